"""DTLS between a real Leshan client and a real Leshan server, while the bridge between them attacks, over NIDD.

To the bridge these are records, which it cannot read: it is an intermediate node that is not aware of LwM2M.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.components import LESHAN
from tests.conftest import need_component
from tests.e2e.kit import set_up
from tests.end_to_end_security.conftest import Hostile
from tests.end_to_end_security.hostile import HOSTILE
from tests.interop.leshan_client import LeshanClient, leshan_client
from tests.interop.leshan_server import Leshan, LeshanProcess, start_leshan

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

NAME, KEY = "own-session", bytes(range(16)).hex()
ZONE, SENSOR = "/3/0/14", "/3303/0/5700"
MARKER = "+13:37"  # a value that stands nowhere else


@dataclass(frozen=True)
class Ends:
    hostile: Hostile
    leshan: Leshan
    client: LeshanClient

    async def sends(self, value: float) -> int:
        """Have the client send a value; return how many of it the server took in the next two seconds."""
        self.client.order(f"set {value}")
        self.client.order("send")
        await self.leshan.event("send", NAME, wait=60, where=lambda one: one["values"] == {SENSOR: value})
        more = 0
        try:
            while True:
                await self.leshan.event("send", NAME, wait=2, where=lambda one: one["values"] == {SENSOR: value})
                more += 1
        except AssertionError:
            return 1 + more


@pytest.fixture(scope="module")
def process() -> Iterator[LeshanProcess]:
    need_component(LESHAN)
    started = start_leshan(secure=[("--psk", f"{NAME},identity,{KEY}")])
    yield started
    started.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends(process: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ends]:
    server = f"coap://{process.host}:{process.coap_port}"
    async with (
        set_up(
            tmp_path_factory.mktemp("hostile"),
            servers={"leshan": server},
            server_lines=f"secure_port = {process.coaps_port}",
            prefix=HOSTILE,
        ) as world,
        Leshan(process) as leshan,
    ):
        ue = await world.add_ue(NAME)
        await world.add_endpoint(name=NAME, network="nidd", address=f"{NAME}@iot")
        await world.configured(NAME)
        async with leshan_client(NAME, server="coaps://{}:{}".format(*ue["modem"]), psk=f"identity,{KEY}") as client:
            await leshan.event("registered", NAME, wait=60)
            yield Ends(Hostile(world), leshan, client)


@pytest.mark.requirement("LightweightM2M-E2E -2")
async def test_all_that_passes_is_encrypted_and_the_bridge_keeps_nothing_readable(ends: Ends):
    assert (await ends.leshan.write(NAME, ZONE, MARKER))["code"] == "2.04"
    assert (await ends.leshan.read(NAME, ZONE))["values"] == {ZONE: MARKER}
    world = ends.hostile.world
    passed = [bytes.fromhex(one["data"]) for way in ("uplink", "downlink") for one in await world.air(NAME, way)]
    assert len(passed) >= 10
    assert all(20 <= data[0] <= 63 for data in passed)  # records of DTLS
    assert not any(word in data for data in passed for word in (MARKER.encode(), b"ep=", b"3303"))
    for file in world.lab.directory.glob("*"):
        if file.is_file() and ("ledger" in file.name or file.name == "bridge.log"):
            assert MARKER.encode() not in file.read_bytes(), file.name


@pytest.mark.requirement("LightweightM2M-E2E-1")
@pytest.mark.parametrize("what", ["alter", "truncate", "drop"])
async def test_a_record_that_is_changed_is_not_taken_and_its_message_comes_again(ends: Ends, what: str):
    before = len(ends.hostile.attacks(NAME, what))
    for way in ("down", "up"):
        ends.hostile.attack(NAME, way, what)
        value = "+05:00" if way == "down" else "-05:00"
        assert (await ends.leshan.write(NAME, ZONE, value))["code"] == "2.04"
        assert (await ends.leshan.read(NAME, ZONE))["values"] == {ZONE: value}
    await ends.hostile.attacked(NAME, what, before + 2)


@pytest.mark.requirement("LightweightM2M-E2E-3")
async def test_a_record_that_is_replayed_is_taken_once(ends: Ends):
    ends.hostile.attack(NAME, "up", "replay", times=5)
    assert await ends.sends(31.5) == 1
    await ends.hostile.attacked(NAME, "replay")
    ends.hostile.attack(NAME, "down", "replay", times=5)
    assert (await ends.leshan.read(NAME, SENSOR))["values"] == {SENSOR: 31.5}


@pytest.mark.requirement("LightweightM2M-E2E -4")
async def test_the_bridge_can_neither_command_the_device_nor_end_its_registration(ends: Ends):
    zone = (await ends.leshan.read(NAME, ZONE))["values"]
    registration = await ends.leshan.registration(NAME)
    assert registration is not None
    write = bytes((0x40, 3, 0x77, 1)) + b"\xb13\x010\x0214\xff" + MARKER.encode()
    location = f"/rd/{registration['registration_id']}".encode()[4:]
    leave = bytes((0x40, 4, 0x77, 2)) + b"\xb2rd" + bytes((len(location),)) + location
    as_record = bytes((23, 254, 253)) + bytes(8) + len(write).to_bytes(2, "big") + write  # of epoch 0: not protected
    for way, data in (("down", write), ("down", as_record), ("up", leave)):
        ends.hostile.attack(NAME, way, "forge", data=data.hex())
        assert (await ends.leshan.read(NAME, ZONE))["values"] == zone
    await ends.hostile.attacked(NAME, "forge", 3)
    assert await ends.leshan.registration(NAME) == registration


@pytest.mark.requirement("LightweightM2M-E2E-5")
async def test_the_response_to_one_request_is_not_taken_for_that_to_another(ends: Ends):
    ends.client.order("set 20.5")
    ends.hostile.attack(NAME, "up", "keep")
    assert (await ends.leshan.read(NAME, SENSOR))["values"] == {SENSOR: 20.5}
    await ends.hostile.attacked(NAME, "keep")
    ends.client.order("set 35.5")
    ends.hostile.attack(NAME, "up", "again")
    result = await ends.leshan.read(NAME, SENSOR, timeout=30)
    await ends.hostile.attacked(NAME, "again")
    assert result.get("values") in (None, {SENSOR: 35.5})
    assert (await ends.leshan.read(NAME, SENSOR))["values"] == {SENSOR: 35.5}


async def test_records_that_change_places_lose_nothing(ends: Ends):
    ends.hostile.attack(NAME, "down", "swap")
    results = await asyncio.gather(*(ends.leshan.read(NAME, path) for path in ("/3/0/0", "/3/0/1")))
    assert [result["code"] for result in results] == ["2.05", "2.05"]
    await ends.hostile.attacked(NAME, "swap")
