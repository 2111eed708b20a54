"""DTLS and OSCORE between device and server over LoRaWAN, class A: the bridge carries what it cannot read.

All stories share a set-up, and its bridge attacks where a story orders that.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from lorawan_kit import LorawanSetUp, device, lorawan_set_up

from mock_network.lab import Lab, free_port
from tests.end_to_end_security.hostile import HOSTILE
from tests.end_to_end_security.orders import Orders
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ZONE, SENSOR, RESET = "/3/0/14", "/3303/0/5700", "/3303/0/5605"
MARKER = "+13:37"  # a value that stands nowhere else
PSK = {"identity": "identity-1", "key": bytes(range(16)).hex()}
SECRET = "6d617374657220736563726574206f6620"  # of these tests alone
EUIS = {"dtls": "70b3d57ed0000031", "oscore": "70b3d57ed0000032", "tiny": "70b3d57ed0000033"}
CLASS_A = ("--ack-timeout", "30", "--max-retransmit", "6")  # within DTLS nobody but the device can acknowledge
PATIENT = "[policy]\nhandshake_ttl = 3600.0\nrecord_ttl = 3600.0\n"


@pytest.fixture(scope="module")
def small_port() -> int:
    """Return the port of a server that a test plays itself."""
    return free_port()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own(small_port: int, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanSetUp]:
    async def more(lab: Lab) -> str:
        emulated = lab.server_ready["coap"]
        port = emulated.rpartition(":")[2]
        return (
            f'[servers.secure]\nuri = "{emulated}"\nsecure_port = {port}\npatience = 86400.0\n'
            f'[servers.small]\nuri = "coap://127.0.0.1:{free_port()}"\nsecure_port = {small_port}\n{PATIENT}'
        )

    radios = [device(EUIS["dtls"], adr=False), device(EUIS["oscore"], adr=False)]
    radios.append(device(EUIS["tiny"], data_rate=2, adr=False))  # 51 bytes a frame
    servers = {"dtls": ["secure"], "oscore": ["lab"], "tiny": ["small"]}
    endpoints = [
        {"name": name, "network": "lorawan", "address": eui, "servers": servers[name]} for name, eui in EUIS.items()
    ]
    directory = tmp_path_factory.mktemp("own")
    async with lorawan_set_up(
        directory, devices=radios, endpoints=endpoints, also=more, prefix=HOSTILE, server_arguments=CLASS_A
    ) as world:
        await world.joined()
        keys = {"secret": SECRET, "sender": "01", "recipient": "f1"}
        await world.server.ask("PUT", "/oscore/oscore", {**keys, "sender": "f1", "recipient": "01"})
        await world.server.ask("PUT", "/psk/dtls", PSK)
        await world.start_client("dtls", psk=PSK)
        await world.start_client("oscore", oscore=keys)
        for name in ("dtls", "oscore"):  # flights of a handshake come in windows that polls open
            await world.polled(asyncio.create_task(world.known(name)), name)
        await world.settled()
        yield world


async def passed(world: LorawanSetUp, name: str) -> list[bytes]:
    """Return all payloads that were on the air, of both ways."""
    down = [bytes.fromhex(frame["payload"]) for frame in await world.air(name)]
    up = [bytes.fromhex(one["payload"]) for one in await world.heard(name) if one["what"] == "sent"]
    return [data for data in down + up if data]


@pytest.mark.requirement("LightweightM2M-E2E -2", "LightweightM2M-E2E-8")
@pytest.mark.parametrize("name", ["dtls", "oscore"])
async def test_a_class_a_device_is_managed_and_the_bridge_reads_nothing(own: LorawanSetUp, name: str):
    assert (await own.asked("write", ZONE, name, value=MARKER))["code"] == "2.04"
    await own.settled()
    before = len(await own.air(name))
    waiting = asyncio.create_task(own.ask("read", ZONE, name))
    await own.queued(name)
    await own.lab.step(60)
    assert (len(await own.air(name)), waiting.done()) == (before, False)  # nothing is sent before the device speaks
    assert (await own.polled(waiting, name))["values"] == {ZONE: MARKER}
    await own.devices.post(f"/devices/{name}/send", {"paths": [SENSOR]})
    assert [one["endpoint"] for one in await own.server.get("/sends")].count(name) == 1
    messages = await passed(own, name)
    assert len(messages) >= 6
    assert not any(word in data for data in messages for word in (MARKER.encode(), b"ep=", b"3303"))
    if name == "dtls":
        assert all(20 <= data[0] <= 63 for data in messages)
    for file in own.lab.directory.glob("*"):
        if file.is_file() and ("ledger" in file.name or file.name == "bridge.log"):
            assert MARKER.encode() not in file.read_bytes(), file.name


@pytest.mark.parametrize("name", ["dtls", "oscore"])
async def test_neither_end_notices_a_crash_of_the_bridge(own: LorawanSetUp, name: str):
    await own.settled()  # no window is open
    before = await executed(own, name)
    waiting = asyncio.create_task(own.ask("execute", RESET, name))
    await own.queued(name)
    await own.bridge.restart()
    assert (await own.polled(waiting, name)).get("code") == "2.04"
    assert await executed(own, name) == before + 1


@pytest.mark.requirement("LightweightM2M-E2E-3", "LightweightM2M-E2E-9")
@pytest.mark.parametrize("name", ["dtls", "oscore"])
@pytest.mark.parametrize("what", ["alter", "replay"])
async def test_what_is_changed_or_comes_twice_is_not_carried_out(own: LorawanSetUp, name: str, what: str):
    orders = Orders(own.lab.directory)
    before = await executed(own, name)
    orders.attack(name, "down", what)
    answer = await own.asked("execute", RESET, name)
    await orders.attacked(name, what)
    assert (await own.asked("read", ZONE, name))["code"] == "2.05"  # whatever came, the next request is answered
    succeeded = answer.get("code") == "2.04"
    assert succeeded or what == "alter"
    assert await executed(own, name) == before + succeeded


async def executed(world: LorawanSetUp, name: str) -> int:
    done = await world.devices.get(f"/devices/{name}/operations")
    return sum((one["path"], one["code"]) == (RESET, "2.04") for one in done)


async def test_a_record_that_no_frame_holds_is_refused_with_the_reason_and_the_advice(own: LorawanSetUp):
    before = await own.count("requests_refused", kind="too large")
    await own.act("data-rate", "dtls", data_rate=2)
    for _ in range(2):  # uplinks by which the network learns of it
        await own.act("poll", "dtls")
        await own.settled()
    waiting = asyncio.create_task(own.ask("write", "/3303/0/5750", "dtls", value="long " * 12))

    async def refused() -> bool:
        return await own.count("requests_refused", kind="too large") > before

    await until(refused, 30, "nothing was refused")
    said = own.said()
    assert "a DTLS record of server secure has more than the 51 bytes" in said
    assert "have the server send smaller messages (a smaller block size)" in said
    await own.act("data-rate", "dtls", data_rate=5)
    answer = await own.polled(waiting, "dtls")
    if answer.get("code") != "2.04":  # all its repetitions came while the frames were small
        answer = await own.asked("write", "/3303/0/5750", "dtls", value="long " * 12)
    assert answer["code"] == "2.04"


async def test_a_handshake_whose_ends_fragment_all_of_it_fits_frames_of_51_bytes(own: LorawanSetUp, small_port: int):
    pytest.importorskip("mbedtls", reason="no library for this Python fragments a handshake so far")
    from small_dtls import SMALL, SmallEnd

    loop = asyncio.get_running_loop()
    for _ in range(3):  # with its first uplinks room is kept for MAC commands
        await own.act("poll", "tiny")
        await own.settled()
    modem = tuple((await own.device("tiny"))["modem"])
    server_socket, server = await loop.create_datagram_endpoint(SmallEnd, local_addr=("127.0.0.1", small_port))
    device_socket, client = await loop.create_datagram_endpoint(lambda: SmallEnd(modem), local_addr=("127.0.0.1", 0))
    try:
        client.begin()
        await own.polled(_until_true(lambda: both_open(client, server)), "tiny")
        client.send(b"up")
        await own.polled(_until_true(lambda: server.messages == [b"up"]), "tiny")
        server.send(b"down")
        await own.polled(_until_true(lambda: client.messages == [b"down"]), "tiny")
    finally:
        server_socket.close()
        device_socket.close()
    messages = await passed(own, "tiny")
    assert max(map(len, messages)) == SMALL
    assert all(20 <= data[0] <= 63 for data in messages)


def both_open(*ends: Any) -> bool:
    for end in ends:
        end.expire()  # frames that are lost on the way are made good by the ends
    return all(end.opened for end in ends)


def _until_true(what: Any) -> "asyncio.Task[bool]":
    async def wait() -> bool:
        return await until(what, 60)

    return asyncio.create_task(wait())
