"""OSCORE between device and server, while the bridge between them attacks: aiocoap's OSCORE at both ends, over NIDD.

The bridge is the intermediate node that knows LwM2M; whatever it does, each end takes only what the other has said.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import set_up
from tests.end_to_end_security.conftest import Hostile
from tests.end_to_end_security.hostile import HOSTILE
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ZONE, SENSOR, PACKAGE = "/3/0/14", "/3303/0/5700", "/5/0/0"
MARKER = "+13:37"  # a value that stands nowhere else


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hostile]:
    async with set_up(tmp_path_factory.mktemp("hostile"), prefix=HOSTILE) as world:
        yield Hostile(world)


def succeeded(answer: dict[str, Any]) -> bool:
    return str(answer.get("code", "")).startswith("2.")


@pytest.mark.requirement("LightweightM2M-E2E-8")
async def test_all_that_passes_is_encrypted_and_the_bridge_keeps_nothing_readable(hostile: Hostile):
    await hostile.protected("sealed", 1)
    assert (await hostile.world.ask("sealed", "write", ZONE, value=MARKER))["code"] == "2.04"
    assert (await hostile.world.ask("sealed", "read", ZONE))["values"] == {ZONE: MARKER}
    client = await hostile.world.registered("sealed")
    assert client["lifetime"] == 86400, client  # as the device said it: nothing was fitted
    passed = [
        bytes.fromhex(one["data"]) for way in ("uplink", "downlink") for one in await hostile.world.air("sealed", way)
    ]
    assert len(passed) >= 6
    readable = (MARKER.encode(), b"ep=", b"lt=", b"3303")
    assert not any(word in data for data in passed for word in readable)
    for file in hostile.world.lab.directory.glob("*"):
        if file.is_file() and ("ledger" in file.name or file.name == "bridge.log"):
            assert MARKER.encode() not in file.read_bytes(), file.name


@pytest.mark.requirement("LightweightM2M-E2E-7")
@pytest.mark.parametrize("what", ["alter", "truncate"])
async def test_a_request_that_is_changed_on_its_way_is_not_carried_out(hostile: Hostile, what: str):
    name = f"request-{what}"
    await hostile.protected(name, 2 + (what == "alter"))
    before = await hostile.value(name, ZONE)
    hostile.attack(name, "down", what)
    answer = await hostile.world.ask(name, "write", ZONE, value=MARKER)
    await hostile.attacked(name, what)
    assert not succeeded(answer)
    assert (await hostile.value(name, ZONE), await hostile.executed(name, ZONE)) == (before, 0)
    assert succeeded(await hostile.world.ask(name, "write", ZONE, value=MARKER))  # and nothing was spoilt by it


@pytest.mark.requirement("LightweightM2M-E2E-7")
@pytest.mark.parametrize("what", ["alter", "truncate"])
async def test_a_response_that_is_changed_on_its_way_is_not_believed(hostile: Hostile, what: str):
    name = f"response-{what}"
    await hostile.protected(name, 4 + (what == "alter"))
    hostile.attack(name, "up", what, longer_than=8)
    answer = await hostile.world.ask(name, "read", ZONE)
    await hostile.attacked(name, what)
    assert not succeeded(answer)
    assert succeeded(await hostile.world.ask(name, "read", ZONE))


@pytest.mark.requirement("LightweightM2M-E2E-9")
async def test_a_request_that_is_replayed_is_carried_out_once(hostile: Hostile):
    await hostile.protected("replayed", 6)
    hostile.attack("replayed", "down", "replay")
    assert succeeded(await hostile.world.ask("replayed", "execute", "/3303/0/5605"))
    await hostile.attacked("replayed", "replay")

    async def twice() -> bool:  # on the air, the same but for its message ID
        sent = [bytes.fromhex(one["data"]) for one in await hostile.world.air("replayed", "downlink")]
        return any(one[4:] == other[4:] and len(one) > 8 for one, other in pairwise(sent))

    await until(twice)
    assert succeeded(await hostile.world.ask("replayed", "read", ZONE))
    assert await hostile.executed("replayed", "/3303/0/5605") == 1


@pytest.mark.requirement("LightweightM2M-E2E-9")
async def test_a_message_of_the_device_that_is_replayed_is_taken_once(hostile: Hostile):
    await hostile.protected("sends-once", 7)
    hostile.attack("sends-once", "up", "replay", longer_than=8)
    sending = asyncio.create_task(hostile.world.act("sends-once", "send", paths=[SENSOR]))
    await hostile.attacked("sends-once", "replay")
    while not sending.done():  # it is not acknowledged: the device repeats it some times, and gives up
        await hostile.world.lab.step(10)
        await asyncio.wait([sending], timeout=0.1)
    await sending
    assert succeeded(await hostile.world.ask("sends-once", "read", ZONE))
    sends = [one for one in await hostile.world.server().get("/sends") if one["endpoint"] == "sends-once"]
    assert len(sends) == 1


@pytest.mark.requirement("LightweightM2M-E2E-10")
async def test_the_bridge_can_neither_command_the_device_nor_end_its_registration(hostile: Hostile):
    await hostile.protected("forged", 8)
    before = await hostile.value("forged", ZONE)
    write = bytes((0x40, 3, 0x77, 0x01)) + b"\xb1" + b"3" + b"\x01" + b"0" + b"\x02" + b"14" + b"\xff" + MARKER.encode()
    hostile.attack("forged", "down", "forge", data=write.hex())
    assert succeeded(await hostile.world.ask("forged", "read", "/3/0/9"))
    assert any(one["data"] == write.hex() for one in await hostile.world.air("forged", "downlink"))
    assert (await hostile.value("forged", ZONE), await hostile.executed("forged", ZONE)) == (before, 0)
    location = (await hostile.world.registered("forged"))["location"].strip("/").split("/")[-1].encode()
    leave = bytes((0x40, 4, 0x77, 0x02)) + b"\xb2rd" + bytes((len(location),)) + location
    hostile.attack("forged", "up", "forge", data=leave.hex(), longer_than=8)
    assert succeeded(await hostile.world.ask("forged", "read", "/3/0/9"))
    await hostile.attacked("forged", "forge", 2)
    assert succeeded(await hostile.world.ask("forged", "read", "/3/0/9"))  # it is still registered


@pytest.mark.requirement("LightweightM2M-E2E-11")
async def test_the_response_to_one_request_is_not_taken_for_that_to_another(hostile: Hostile):
    await hostile.protected("bound", 9)
    hostile.attack("bound", "up", "keep", longer_than=8)
    assert (await hostile.world.ask("bound", "read", SENSOR))["values"] == {SENSOR: 20.0}
    await hostile.attacked("bound", "keep")
    await hostile.world.set_value("bound", SENSOR, 35.5)
    hostile.attack("bound", "up", "again", longer_than=8)
    answer = await hostile.world.ask("bound", "read", SENSOR)
    await hostile.attacked("bound", "again")
    assert not succeeded(answer)
    assert (await hostile.world.ask("bound", "read", SENSOR))["values"] == {SENSOR: 35.5}


@pytest.mark.requirement("LightweightM2M-E2E-12")
async def test_a_request_that_is_held_back_is_asked_for_again_and_not_carried_out_late(hostile: Hostile):
    await hostile.protected("fresh", 10, fresh_within=20.0)
    assert succeeded(await hostile.world.ask("fresh", "write", ZONE, value="+01:00"))
    hostile.attack("fresh", "down", "delay", seconds=30.0, longer_than=40)  # the one with the Echo value
    late = asyncio.create_task(hostile.world.ask("fresh", "write", ZONE, value=MARKER, wait=60))
    await hostile.attacked("fresh", "delay")
    await hostile.world.lab.step(31)
    answer = await late
    assert not succeeded(answer), answer
    assert await hostile.value("fresh", ZONE) == "+01:00"
    assert succeeded(await hostile.world.ask("fresh", "write", ZONE, value=MARKER))


async def test_messages_that_change_places_are_taken_each_once(hostile: Hostile):
    await hostile.protected("swapped", 11)
    hostile.attack("swapped", "up", "swap", longer_than=8)
    for value in (1.5, 2.5):
        await hostile.world.set_value("swapped", SENSOR, value)
        await hostile.world.act("swapped", "send", paths=[SENSOR], confirmable=False, wait=1)
    await hostile.attacked("swapped", "swap")

    async def sends() -> list[dict[str, Any]]:
        found = await hostile.world.server().get("/sends")
        return [one for one in found if one["endpoint"] == "swapped"]

    await until(lambda: _has(sends, 2))
    assert succeeded(await hostile.world.ask("swapped", "read", ZONE))
    assert len(await sends()) == 2


async def _has(sends: Any, number: int) -> bool:
    return len(await sends()) >= number


@pytest.mark.requirement("LightweightM2M-E2E-13")
async def test_each_fragment_of_a_firmware_is_verified_by_itself(hostile: Hostile):
    await hostile.protected("firmware", 12)
    package = bytes(range(256)) * 12
    content = base64.b64encode(package).decode()
    hostile.attack("firmware", "down", "alter", longer_than=900)  # a block that is full
    answer = await hostile.world.ask("firmware", "write", PACKAGE, value={"base64": content}, content_format=42)
    await hostile.attacked("firmware", "alter")
    assert not succeeded(answer)
    assert await hostile.executed("firmware", PACKAGE) == 0
    blocks = [len(one["data"]) // 2 for one in await hostile.world.air("firmware", "downlink")]
    assert blocks[-1] > 900  # no further one was asked for: the first that was changed ended it
    answer = await hostile.world.ask("firmware", "write", PACKAGE, value={"base64": content}, content_format=42)
    assert succeeded(answer)
    assert base64.b64decode((await hostile.value("firmware", PACKAGE))["base64"]) == package
