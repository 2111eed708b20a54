"""Events over a broker, which is also gone for a minute, with the bridge's session and without it.

Nothing is lost, and nothing comes twice: the verdict is the server's.
"""

import asyncio

import pytest
import pytest_asyncio
from lorawan_kit import lorawan_set_up, until

from mock_network.lab import Broker
from tests.conftest import need_program

pytestmark = pytest.mark.asyncio(loop_scope="session")

MINUTE = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def over_mqtt(tmp_path_factory):
    """Return a set-up with a registered device, and its broker."""
    need_program("mosquitto")
    directory = tmp_path_factory.mktemp("broker")
    broker = Broker(directory, persistent=True)
    broker.start()
    try:
        async with lorawan_set_up(directory / "lab", mqtt=broker.address, arguments=["--history", "50"]) as world:
            await world.client()
            yield world, broker
    finally:
        broker.stop()


async def _sends(world):
    """Return how many different Sends the server took, and how many in all."""
    taken = [one["digest"] for one in await world.server.get("/seen", kind="send")]
    return len(set(taken)), len(taken)


async def _through_an_outage(world, broker, *, forget):
    """Let the broker be gone for a minute in which both sides begin something; return what the server was answered."""
    await world.settled()
    gone, back = await world.count("lorawan_mqtt_disconnects"), (await world.events())["connections"]
    done = len(await world.devices.get("/devices/meter/operations"))
    broker.stop(forget=forget)

    async def noticed():
        return await world.count("lorawan_mqtt_disconnects") > gone

    await until(noticed, why="the bridge does not notice that the broker is gone")
    reading = asyncio.create_task(world.ask("read", "/3/0/0"))
    await world.queued()
    stamp = 1_700_000_000 + int(back)
    sending = asyncio.create_task(
        world.devices.post("/devices/meter/send", {"paths": ["/3303/0/5750"], "timestamp": stamp})
    )

    async def executed():
        return len(await world.devices.get("/devices/meter/operations")) > done

    await until(executed, why="the device did not get the request")
    await world.lab.step(MINUTE)
    assert not reading.done()  # its answer waits for the broker
    await world.radio.ask("DELETE", "/faults")
    broker.start()

    async def connected():
        return (await world.events())["connections"] > back

    await until(connected, why="the bridge does not come back to the broker")
    answer = await asyncio.wait_for(reading, 10)  # by itself: the device says nothing more
    assert answer["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}
    assert (await world.polled(sending))["code"] == "2.04"
    await world.settled()


@pytest.mark.requirement("LightweightM2 M-LPW-10")
async def test_a_device_is_read_where_events_come_over_mqtt(over_mqtt):
    world, _ = over_mqtt
    answer = await world.asked("read", "/3/0/0")
    assert answer["ok"]


async def test_a_minute_without_the_broker_costs_nothing_where_it_kept_the_session(over_mqtt):
    world, broker = over_mqtt
    before, _ = await _sends(world)
    await _through_an_outage(world, broker, forget=False)
    assert await world.count("lorawan_mqtt_sessions_lost") == 0
    assert await _sends(world) == (before + 1, before + 1)
    assert {row["state"] for row in await world.downlinks() if row["kind"] == "request"} == {"RESPONDED"}


async def test_a_minute_without_the_broker_costs_nothing_where_it_lost_the_session_and_the_events(over_mqtt):
    world, broker = over_mqtt
    before, _ = await _sends(world)
    lost = await world.count("lorawan_mqtt_sessions_lost")
    await world.fault("event_lost", where={"via": "mqtt"})  # what the broker had is gone with it
    await _through_an_outage(world, broker, forget=True)
    assert await world.count("lorawan_mqtt_sessions_lost") == lost + 1
    assert await _sends(world) == (before + 1, before + 1)
    assert {row["state"] for row in await world.downlinks() if row["kind"] == "request"} == {"RESPONDED"}
