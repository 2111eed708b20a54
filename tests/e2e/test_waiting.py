"""Devices that sleep, and requests that must not wait forever: PSM, eDRX, TTL. Hours pass by steps of a test clock."""

import asyncio

import pytest

from tests.e2e.kit import SetUp
from tests.interop.raw_device import CON, POST, URI_PATH, Message, decode, encode
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TTL_OPTION = 65052
SLEEPER = {"t3324": 2.0, "inactivity": 5.0}


async def _asleep(world: SetUp, ue: str, state: str = "power saving mode") -> None:
    """Let time pass until a UE sleeps: inactivity first, then T3324."""
    for _ in range(6):
        if (await world.ue(ue))["state"] == state:
            return
        await world.lab.step(6.0)
        await asyncio.sleep(0.05)
    pytest.fail(f"{ue} does not sleep: {await world.ue(ue)}")


async def _queued(world: SetUp, ue: str, count: int = 1) -> None:
    """Wait until the SCEF holds so many downlinks."""

    async def look() -> bool:
        return len((await world.ue(ue))["queue"]) == count

    await until(look, why="the SCEF does not hold the downlink")


async def _answered_by_ack(world: SetUp, name: str, count: int) -> None:
    async def look() -> bool:
        return len([e for e in await world.seen("acknowledged", name) if e["detail"] == "empty"]) >= count

    await until(look, why="no Empty ACK for the server")


@pytest.mark.requirement("LightweightM2M-LPW-2", "LightweightM2M-LPW-4")
async def test_a_request_for_a_device_in_psm_waits_in_the_scef_and_is_delivered_at_its_tracking_area_update(
    world: SetUp,
):
    await world.add_device("psm", endpoint={}, device={}, t3412=60.0, **SLEEPER)
    await _asleep(world, "psm")
    before = await world.air("psm", "downlink")
    asked = asyncio.create_task(world.ask("psm", "read", "/3/0/0", timeout=120))
    await _queued(world, "psm")
    await _answered_by_ack(world, "psm", 1)  # the server is told at once that its request is taken
    assert await world.air("psm", "downlink") == before
    await world.lab.step(60.0)
    answer = await asyncio.wait_for(asked, 20)
    assert (answer["code"], answer["values"]) == ("2.05", {"/3/0/0": "LwM2M Non-IP bridge"})
    assert (answer["type"], answer["elapsed"] > 25) == ("CON", True)  # a separate response, much later
    tau = [one for one in await world.air("psm", "tau") if one["heard"]]
    (delivered,) = (await world.air("psm", "downlink"))[len(before) :]
    assert tau[0]["time"] <= delivered["time"]


async def test_a_request_for_a_device_in_psm_is_delivered_when_the_device_itself_sends(world: SetUp):
    await world.add_device("early", endpoint={}, device={}, t3412=36000.0, **SLEEPER)
    await _asleep(world, "early")
    asked = asyncio.create_task(world.ask("early", "write", "/3/0/14", value="+09:00", timeout=120))
    await _queued(world, "early")
    assert (await world.act("early", "send", paths=["/3303/0/5700"]))["code"] == "2.04"
    assert (await asyncio.wait_for(asked, 20))["code"] == "2.04"


async def test_a_device_with_edrx_is_reached_in_its_next_paging_window(world: SetUp):
    await world.add_device("edrx", endpoint={}, device={}, edrx_cycle=81.92, edrx_ptw=2.56, inactivity=5.0)
    await _asleep(world, "edrx", "eDRX sleep")
    before = len(await world.air("edrx", "downlink"))
    asked = asyncio.create_task(world.ask("edrx", "read", "/3/0/1", timeout=120))
    await _queued(world, "edrx")
    assert len(await world.air("edrx", "downlink")) == before
    await world.lab.step(81.92)
    assert (await asyncio.wait_for(asked, 20))["values"] == {"/3/0/1": "Emulated device"}


@pytest.mark.requirement("LightweightM2M-LPW-5")
async def test_a_request_whose_time_to_live_ends_is_answered_5_04_and_never_on_air(world: SetUp):
    await world.add_device("ttl", endpoint={}, device={}, t3412=36000.0, **SLEEPER)
    await _asleep(world, "ttl")
    before = await world.air("ttl", "downlink")
    asked = asyncio.create_task(world.ask("ttl", "write", "/3/0/14", value="-01:00", ttl=20, timeout=110))
    await _queued(world, "ttl")
    await world.lab.step(21.0)
    answer = await asyncio.wait_for(asked, 20)
    assert answer["code"] == "5.04"
    await _queued(world, "ttl", 0)
    await world.scef().post("/ues/ttl/wake")
    assert (await world.act("ttl", "update"))["code"] == "2.04"
    (update_answer,) = (await world.air("ttl", "downlink"))[len(before) :]  # the answer to the Update and nothing else
    assert decode(bytes.fromhex(update_answer["data"])).dotted() == "2.04"
    executed = await world.devices.get("/devices/ttl/operations")
    assert executed == []


@pytest.mark.requirement("LightweightM2M-LPW-5")
async def test_the_time_to_live_is_for_the_bridge_and_stays_off_the_air(world: SetUp):
    await world.add_device("stripped", endpoint={}, device={})
    assert (await world.ask("stripped", "read", "/3/0/0", ttl=60))["code"] == "2.05"
    heard = [decode(bytes.fromhex(one["data"])) for one in await world.air("stripped", "downlink")]
    (read,) = [message for message in heard if message.dotted() == "0.01"]
    assert read.path() == "/3/0/0"
    assert read.option(TTL_OPTION) is None


async def test_without_time_to_live_the_servers_patience_is_the_limit(world: SetUp):
    await world.add_device("patience", endpoint={}, device={}, t3412=36000.0, **SLEEPER)
    await _asleep(world, "patience")
    asked = asyncio.create_task(world.ask("patience", "read", "/3/0/0", timeout=120))
    await _queued(world, "patience")
    await world.lab.step(116.0)
    assert (await asyncio.wait_for(asked, 20))["code"] == "5.04"


async def test_requests_for_a_sleeping_device_are_delivered_in_their_order(world: SetUp):
    await world.add_device("order", endpoint={}, device={}, t3412=36000.0, **SLEEPER)
    await _asleep(world, "order")
    values = [f"+0{number}:00" for number in range(1, 6)]
    asked = []
    for number, value in enumerate(values):
        asked.append(asyncio.create_task(world.ask("order", "write", "/3/0/14", value=value, timeout=110)))
        await _answered_by_ack(world, "order", number + 1)
    await world.scef().post("/ues/order/wake")
    assert [(await asyncio.wait_for(one, 20))["code"] for one in asked] == ["2.04"] * 5
    heard = [decode(bytes.fromhex(one["data"])) for one in await world.air("order", "downlink")]
    assert [m.payload.decode() for m in heard if m.dotted() == "0.03"] == values


async def test_a_device_out_of_coverage_is_delivered_to_when_it_is_back(world: SetUp):
    await world.add_device("coverage", endpoint={}, device={}, inactivity=5.0)
    await world.scef().ask("PATCH", "/ues/coverage", {"in_coverage": False})
    asked = asyncio.create_task(world.ask("coverage", "read", "/3/0/0", timeout=120))
    await _answered_by_ack(world, "coverage", 1)
    await world.lab.step(12.0)
    assert not asked.done()
    await world.scef().ask("PATCH", "/ues/coverage", {"in_coverage": True})
    await world.act("coverage", "update")
    assert (await asyncio.wait_for(asked, 20))["code"] == "2.05"


async def test_a_device_that_is_about_to_be_lost_is_named_before_and_when_its_update_comes_late(world: SetUp):
    """Nine tenths of the lifetime without an Update: one lost message more would end the registration."""
    await world.add_device("forgetful", endpoint={}, device={"lifetime": 600})
    location = (await world.devices.get("/devices/forgetful"))["location"]
    await world.act("forgetful", "crash")

    async def said() -> tuple[str, str]:
        listed = await world.command("endpoint", "list", "--prefix", "forgetful")
        shown = await world.command("endpoint", "show", "forgetful")
        return listed.out.splitlines()[-1], next(line for line in shown.out.splitlines() if "registered at" in line)

    listed, shown = await said()
    assert "late" not in listed + shown
    await world.lab.step(560.0)
    listed, shown = await said()
    assert "lab (late)" in listed
    assert "late: the device should have renewed it" in shown

    await world.uplink("forgetful", encode(Message(CON, POST, 4711, b"u", _path(location))))

    async def counted() -> bool:
        return await world.count("late_updates", kind="lab") == 1

    await until(counted, why="the late Update is not counted")
    line = await world.logged("forgetful", "of 600 s only")
    assert "raise its lifetime (/1/x/1)" in line
    listed, shown = await said()
    assert "late" not in listed + shown
    await world.lab.step(601.0)
    listed, shown = await said()
    assert "(lab, lapsed)" in listed
    assert "lapsed" in shown


def _path(location: str) -> tuple[tuple[int, bytes], ...]:
    return tuple((URI_PATH, segment.encode()) for segment in location.strip("/").split("/"))
