"""EXPIRED promises that the device never got it: not said of what may have been on the air, whoever kept silent."""

import asyncio

import pytest
from lorawan_kit import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TTL = 60  # seconds
RESPONSE_TIMEOUT = 1500  # seconds after which no answer is expected any more (OMA LwM2M Transport, App. C)
LEFT = {"SENT", "UNANSWERED", "UNKNOWN"}


async def _executed(world, name, before):
    operations = await world.devices.get(f"/devices/{name}/operations", since=before)
    return [one["operation"] for one in operations]


async def _requests(world, name):
    return [row for row in await world.downlinks(name) if row["kind"] == "request"]


@pytest.mark.parametrize("name", ["meter", "listener"], ids=["class A", "class C"])
async def test_an_execute_that_a_gateway_sent_without_a_word_is_not_said_to_have_expired(world, name):
    """The gateway reports no transmission, the device executes, and its answer is lost on the air."""
    await world.client(name)
    before, rows = len(await world.devices.get(f"/devices/{name}/operations")), len(await _requests(world, name))
    of_device = {"dev_eui": world.euis[name]}
    await world.fault("tx_ack_lost", where=of_device)
    asked = asyncio.create_task(world.ask("execute", "/3/0/12", name, ttl=TTL))
    try:
        if name == "meter":
            await world.queued(name)
            await world.fault("uplink_lost", count=1, after=1, where=of_device)
            await world.act("poll", name)
        else:
            await world.fault("uplink_lost", count=1, where=of_device)

        async def executed():
            return await _executed(world, name, before)

        await until(executed, why="the device did not execute")
        await world.lab.step(TTL)

        async def left():
            (row,) = (await _requests(world, name))[: -rows or None]
            return row["state"] if row["state"] != "BUFFERED" else None

        assert await until(left, why="the downlink stays in the network server's queue") in LEFT
        await world.lab.step(RESPONSE_TIMEOUT)  # so that the next story is not behind it
        assert await left() in LEFT
        assert await _executed(world, name, before) == ["Execute"]
    finally:
        asked.cancel()
        await world.radio.ask("DELETE", "/faults")
