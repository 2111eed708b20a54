"""Bad input and faults: each leaves a clear log line and a counter, the service lives, nothing accepted is lost."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.interop.raw_device import CON, CONTENT_FORMAT, POST, Message, code, decode, encode, uri
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

MALFORMED = {
    "nothing but half a header": b"\x40\x01",
    "a token that is cut off": b"\x44\x01\x00\x01\xaa",
    "token length 9": b"\x49\x01\x00\x01" + bytes(9),
    "token length 15": b"\x4f\x01\x00\x01" + bytes(15),
    "option delta 15": b"\x40\x01\x00\x01\xf1\x00",
    "option delta beyond 65535": b"\x40\x01\x00\x01\xe0\xff\xff\xe0\xff\xff",
    "an option that is cut off": b"\x40\x01\x00\x01\xb9\x33",
    "a payload marker without payload": b"\x40\x01\x00\x01\xb1\x33\xff",
    "a version that is not 1": b"\x80\x01\x00\x01",
    "an Empty message with a token": b"\x41\x00\x00\x01\xaa",
}
LINKS = b"</1/0>,</3/0>"


class RawServer:
    """A server that is a socket: its datagrams are what a test says."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    async def receive(self) -> tuple[bytes, Any]:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(self.socket, 2048), 8)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    raw = RawServer()
    async with set_up(
        tmp_path_factory.mktemp("faults"),
        tolerate=("mimetype not found: application/problem+json",),  # a gateway's 500 is not as 3GPP's schema has it
        service='default_servers = ["lab"]',
        sections=f'[servers.raw]\nuri = "coap://127.0.0.1:{raw.port}"\n',
    ) as found:
        found.raw = raw
        yield found
    raw.socket.close()


async def _lives(world: SetUp, name: str) -> None:
    """The proof that the service lives: a device is read."""
    answer = await world.ask(name, "read", "/3/0/1")
    assert (answer["code"], answer["values"]) == ("2.05", {"/3/0/1": "Emulated device"})


async def _device(world: SetUp, name: str, **ue: Any) -> None:
    await world.add_device(name, endpoint={}, device={}, **ue)


# -- malformed messages ------------------------------------------------------------------------------------------------


async def test_malformed_coap_of_a_device_is_taken_off_the_scef_counted_and_dropped(world: SetUp):
    await _device(world, "garbled")
    for what, data in MALFORMED.items():
        counted = await world.count("malformed_messages", kind="south")
        before = len([n for n in await world.notifications("garbled") if n["accepted"]])
        await world.uplink("garbled", data)

        async def taken(before: int = before) -> bool:
            return len([n for n in await world.notifications("garbled") if n["accepted"]]) > before

        await until(taken, why=f"{what} was not answered 204")
        assert await world.count("malformed_messages", kind="south") == counted + 1, what
    await world.logged("garbled", "from device")
    assert {n["status"] for n in await world.notifications("garbled")} == {204}
    await _lives(world, "garbled")


async def test_malformed_coap_of_a_server_is_counted_and_dropped(world: SetUp):
    await world.add_device("pestered", endpoint={"servers": ["raw"]})
    register = Message(CON, POST, 1, b"\x01", (*uri("/rd", "ep=pestered&lt=300"), (CONTENT_FORMAT, b"\x28")), LINKS)
    await world.uplink("pestered", encode(register))
    data, endpoint = await world.raw.receive()
    assert decode(data).path() == "/rd"
    for what, datagram in MALFORMED.items():
        counted = await world.count("malformed_messages", kind="north")
        world.raw.socket.sendto(datagram, endpoint)

        async def found(counted: float = counted) -> bool:
            return await world.count("malformed_messages", kind="north") == counted + 1

        await until(found, why=f"{what} was not counted")
    await world.logged("from server raw")
    assert len(await world.air("pestered", "downlink")) == 0
    accepted = encode(Message(2, code("2.01"), decode(data).mid, decode(data).token, ((8, b"rd"), (8, b"1"))))
    world.raw.socket.sendto(accepted, endpoint)

    async def answered() -> bool:
        heard = [decode(bytes.fromhex(one["data"])) for one in await world.air("pestered", "downlink")]
        return [(m.dotted(), m.mid) for m in heard] == [("2.01", 1)]

    await until(answered, why="the device was not answered")


async def test_datagrams_of_strangers_are_counted_and_dropped(world: SetUp):
    await _device(world, "quiet")
    host, port = (await world.registered("quiet"))["address"].split(":")
    before = await world.count("north_strangers_messages")
    air = len(await world.air("quiet", "downlink"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(encode(Message(CON, 1, 7, b"\x01", uri("/3/0/0"))), (host, int(port)))

        async def counted() -> bool:
            return await world.count("north_strangers_messages") == before + 1

        await until(counted)
    await world.logged("unknown sender")
    assert len(await world.air("quiet", "downlink")) == air
    await _lives(world, "quiet")


# -- notifications that are wrong --------------------------------------------------------------------------------------


def _destination(world: SetUp) -> str:
    """Return the bridge's own callback URL, as it told the SCEF."""
    found = [
        r["request"]["notificationDestination"]
        for r in world.proxies["nidd"].records
        if r["status"] == 201 and "notificationDestination" in r["request"]
    ]
    return str(found[-1])


async def _post(url: str, body: Any, **more: Any) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session, session.post(url, data=data, headers=headers, **more) as answer:
        await answer.read()
        return answer.status


def _uplink(world: SetUp, configuration: str, **more: Any) -> dict[str, Any]:
    link = f"{world.proxies['nidd'].url}/3gpp-nidd/v1/lab/configurations/{configuration}"
    return {"niddConfiguration": link, "data": base64.b64encode(b"\x40\x01\x00\x01").decode(), **more}


async def _refused(world: SetUp, body: Any, status: int, counter: str, words: tuple[str, ...], url: str = "") -> None:
    before = await world.count(counter)
    rows = (await world.bridge.ask("message.count"))["uplinks"]
    assert await _post(url or _destination(world), body) == status
    assert await world.count(counter) == before + 1
    await world.logged(*words)
    assert (await world.bridge.ask("message.count"))["uplinks"] == rows


async def test_a_notification_for_an_unknown_configuration_is_answered_404(world: SetUp):
    await _device(world, "known")
    body = _uplink(world, "4711", externalId="known@iot")
    counter = "nidd_notifications_unknown_configuration"
    await _refused(world, body, 404, counter, ("4711", "does not name a configuration of the bridge"))
    await _lives(world, "known")


async def test_a_notification_that_names_an_unknown_external_identifier_is_dropped(world: SetUp):
    await _device(world, "victim")
    body = _uplink(world, await world.configured("victim"), externalId="stranger@iot")
    await _refused(world, body, 204, "nidd_notifications_wrong_identity", ("victim@iot", "names another device"))
    await _lives(world, "victim")


async def test_data_that_is_no_base64_is_answered_204_and_dropped(world: SetUp):
    await _device(world, "base64")
    body = _uplink(world, await world.configured("base64"), externalId="base64@iot", data="@@@ not base64 @@@")
    await _refused(world, body, 204, "nidd_uplinks_bad_base64", ("base64@iot", "not base64"))
    await _lives(world, "base64")


async def test_a_notification_that_is_no_json_is_answered_400(world: SetUp):
    await _device(world, "json")
    await _refused(world, b'{"data": ', 400, "nidd_notifications_refused", ("answered 400", "not JSON"))
    await _lives(world, "json")


async def test_a_notification_that_is_too_large_is_answered_413(world: SetUp):
    await _device(world, "heavy")
    body = _uplink(world, await world.configured("heavy"), externalId="heavy@iot", data="A" * 100_000)
    await _refused(world, body, 413, "nidd_callbacks_too_large", ("callback", "refused"))
    await _lives(world, "heavy")


async def test_a_notification_to_a_wrong_path_is_answered_404_without_a_word(world: SetUp):
    await _device(world, "path")
    body = _uplink(world, await world.configured("path"), externalId="path@iot")
    wrong = _destination(world)[:-4] + "0000"
    await _refused(world, body, 404, "nidd_callbacks_wrong_path", ("callback", "refused"), wrong)
    secret = _destination(world).rpartition("/")[2]
    assert secret not in world.log()
    await _lives(world, "path")


async def test_a_notification_that_comes_twice_reaches_the_server_once(world: SetUp):
    await _device(world, "twice")
    await world.fault("notification_duplicate", count=1, where={"kind": "uplink", "ue": "twice"})
    assert (await world.act("twice", "send", paths=["/3/0/9"]))["code"] == "2.04"

    async def both() -> bool:
        subjects = [n["subject"] for n in await world.notifications("twice") if n["accepted"]]
        return len(subjects) > len(set(subjects))

    await until(both, why="the SCEF did not notify twice")
    assert len(await world.seen("send", "twice")) == 1
    assert await world.count("device_repeats") >= 1


# -- a SCEF that refuses, breaks and is slow ---------------------------------------------------------------------------

ON_SUBMIT = {"method": "POST", "resource": "deliveries"}


async def _until_done(world: SetUp, asked: "asyncio.Task[Any]", step: float = 3.0) -> Any:
    """Let time pass until a server has its answer."""
    for _ in range(60):
        done, _ = await asyncio.wait({asked}, timeout=0.3)
        if done:
            return asked.result()
        await world.lab.step(step)
    pytest.fail("the server got no answer")


async def _executions(world: SetUp, name: str, operation: str) -> int:
    return sum(1 for one in await world.devices.get(f"/devices/{name}/operations") if one["operation"] == operation)


@pytest.mark.parametrize(
    ("status", "codes", "executed"),
    [
        (401, {"2.04"}, 1),  # somebody corrects the credentials: tried again
        (400, {"5.02"}, 0),  # refused for good: the same bytes would get it again
        (403, {"2.04"}, 1),  # without a cause: said of the rights of the bridge, which somebody corrects
        (404, {"2.04"}, 1),  # the configuration is gone and made again
        (429, {"2.04"}, 1),
        (500, {"2.04"}, 1),  # no verdict of the SCEF's own on the data: looked up and submitted once more
        (503, {"2.04"}, 1),
    ],
)
async def test_an_error_of_the_scef_has_one_outcome(world: SetUp, status: int, codes: set[str], executed: int):
    name = f"error-{status}"
    await _device(world, name)
    before = await world.count("nidd_submit_errors", status=str(status))
    params = {"status": status, "retry_after": 2} if status == 429 else {"status": status}
    await world.fault("http_error", count=1, where=ON_SUBMIT, params=params)
    try:
        asked = asyncio.create_task(world.ask(name, "write", "/3/0/14", value="+04:00", timeout=125))
        answer = await _until_done(world, asked)
    finally:
        await world.no_faults()
    assert answer["code"] in codes
    assert await _executions(world, name, "Write") == executed
    assert await world.count("nidd_submit_errors", status=str(status)) == before + 1
    await world.logged("not submitted", str(status), name)
    await _lives(world, name)


async def test_a_connection_cut_before_the_request_took_effect_costs_nothing(world: SetUp):
    await _device(world, "cut-before")
    before = await world.count("nidd_submits_without_answer")
    await world.fault("cut_before_processing", count=1, where=ON_SUBMIT)
    asked = asyncio.create_task(world.ask("cut-before", "write", "/3/0/14", value="+05:00", timeout=125))
    assert (await _until_done(world, asked))["code"] == "2.04"
    assert await _executions(world, "cut-before", "Write") == 1
    assert await world.count("nidd_submits_without_answer") == before + 1
    await world.logged("not submitted", "cut-before")


async def test_r9_a_connection_cut_after_the_post_leaves_one_write(world: SetUp):
    await _device(world, "cut-after")
    await world.fault("cut_after_processing", count=1, where=ON_SUBMIT)
    asked = asyncio.create_task(world.ask("cut-after", "write", "/3/0/14", value="+06:00", timeout=125))
    assert (await _until_done(world, asked))["code"] == "2.04"
    assert await _executions(world, "cut-after", "Write") == 1
    heard = [one["data"] for one in await world.air("cut-after", "downlink")]
    assert all(heard.count(data) <= 2 for data in heard)
    await _lives(world, "cut-after")


@pytest.mark.parametrize("kind", ["cut_before_processing", "cut_after_processing"])
async def test_r9_an_execute_is_submitted_at_most_once(world: SetUp, kind: str):
    name = f"execute-{kind}".replace("_", "-")
    await _device(world, name)
    posts = len(
        [
            r
            for r in world.proxies["nidd"].records
            if r["way"] == "api" and "deliveries" in r["path"] and r["method"] == "POST"
        ]
    )
    await world.fault(kind, count=1, where=ON_SUBMIT)
    asked = asyncio.create_task(world.ask(name, "execute", "/3303/0/5605", timeout=125))
    answer = await _until_done(world, asked, 10.0)
    cut = kind == "cut_before_processing"
    assert answer["code"] == ("5.04" if cut else "2.04")
    assert await _executions(world, name, "Execute") == (0 if cut else 1)
    made = [
        r
        for r in world.proxies["nidd"].records
        if r["way"] == "api" and "deliveries" in r["path"] and r["method"] == "POST"
    ]
    assert len(made) == posts + 1
    await _lives(world, name)


async def test_a_scef_that_answers_too_late_leaves_one_write(world: SetUp):
    await _device(world, "slow-scef")
    await world.fault("slow_answer", count=1, where=ON_SUBMIT, params={"seconds": 45})
    asked = asyncio.create_task(world.ask("slow-scef", "write", "/3/0/14", value="+07:00", timeout=125))
    assert (await _until_done(world, asked))["code"] == "2.04"
    assert await _executions(world, "slow-scef", "Write") == 1
    await world.lab.step(50.0)
    await _lives(world, "slow-scef")


async def test_a_delivery_status_that_overtakes_the_answer_is_attributed(world: SetUp):
    await _device(world, "overtaken")
    await world.fault("status_before_answer", count=1, where={"ue": "overtaken"})
    assert (await world.ask("overtaken", "write", "/3/0/14", value="+08:00"))["code"] == "2.04"
    rows = (await world.bridge.ask("downlink.list", endpoint="overtaken"))["items"]
    assert [(row["operation"], row["state"]) for row in rows if row["kind"] == "request"] == [("Write", "RESPONDED")]
    assert await _executions(world, "overtaken", "Write") == 1


async def test_a_scef_that_is_away_is_no_refusal(world: SetUp):
    """Requests wait for their deadline (R3): all calls break for a while, then the request goes through."""
    await _device(world, "away")
    await world.fault("http_error", where=ON_SUBMIT, params={"status": 503})
    asked = asyncio.create_task(world.ask("away", "read", "/3/0/0", timeout=125))
    for _ in range(4):
        await world.lab.step(2.0)
        await asyncio.sleep(0.1)
    assert not asked.done()
    await world.no_faults()
    assert (await _until_done(world, asked))["code"] == "2.05"


async def test_r8_an_outage_of_the_scef_costs_messages_nothing_but_time(world: SetUp):
    """The SCEF answers 500 for a minute and a half; then each request is carried out once."""
    await _device(world, "outage")
    pauses = await world.count("network_pauses", network="nidd")
    await world.fault("http_error", where=ON_SUBMIT, params={"status": 500})
    asked = [
        asyncio.create_task(world.ask("outage", "write", "/3/0/14", value=value, ttl=7200, timeout=600))
        for value in ("+01:00", "+02:00")
    ]
    try:
        for _ in range(30):
            await world.lab.step(3.0)
            await asyncio.sleep(0.05)
        assert await world.count("network_pauses", network="nidd") > pauses
        (first, second) = (await world.bridge.ask("endpoint.explain", name="outage"))["waiting"]
        assert "the network is down" in first["why"]
        assert second["blocked_by"] == first["downlink"]
    finally:
        await world.no_faults()

    async def states() -> list[str]:
        rows = (await world.bridge.ask("downlink.list", endpoint="outage"))["items"]
        return [row["state"] for row in rows if row["kind"] == "request"]

    for _ in range(60):
        await world.lab.step(3.0)
        if await states() == ["RESPONDED"] * 2:
            break
        await asyncio.sleep(0.05)
    assert await states() == ["RESPONDED"] * 2
    assert await _executions(world, "outage", "Write") == 2
    await asyncio.gather(*asked)
    await world.logged("is down", "nidd")
    await world.logged("answers again", "nidd")
