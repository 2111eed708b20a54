"""Events over a real Mosquitto: QoS 1, a session that is kept, PUBACK only after the commit."""

import asyncio
import time

import pytest
from chirpstack_api import integration
from emulated_chirpstack import DEVICE, Emulated
from google.protobuf.json_format import MessageToJson
from mock_chirpstack_kit import listening

from bindings.contract import UplinkMessage
from mock_network.chirpstack.mqtt import BrokerAddress
from tests.waiting import until


@pytest.fixture
async def over_mqtt(broker, side):
    """Return an emulated server that publishes to the broker, and a function that starts bindings on it."""
    bindings = []
    async with Emulated(mqtt=BrokerAddress.parse(broker.address), mqtt_qos=1) as server:

        async def start(**parts):
            mqtt = {"host": "127.0.0.1", "port": broker.port, "client_id": "bridge"} | parts.pop("mqtt", {})
            binding = await server.binding(parts.pop("side", side), mqtt=mqtt, **parts)
            bindings.append(binding)
            await until(lambda: binding.provider.mqtt.subscribed)
            return binding

        yield server, start
        for binding in bindings:
            await binding.stop()


def caught_up(binding):
    """Return whether the history was read, and is not read again: from now on, missed events must be asked for."""
    status = binding.status()["catch_up"]
    return status["runs"] and not status["running"]


async def test_an_uplink_over_mqtt(over_mqtt, side):
    server, start = over_mqtt
    binding = await start()
    server.up(b"hello")
    (one,) = await until(lambda: side.of(UplinkMessage))
    assert one.payload == b"hello"
    await until(lambda: binding.provider.mqtt.taken == 1)
    assert binding.provider.mqtt.lower_qos == 0


async def test_protobuf_is_told_from_json_by_itself(broker, side):
    async with Emulated(mqtt=BrokerAddress.parse(broker.address), mqtt_qos=1, mqtt_json=False) as server:
        binding = await server.binding(side, mqtt={"host": "127.0.0.1", "port": broker.port})
        await until(lambda: binding.provider.mqtt.subscribed)
        server.up(b"hello")
        await until(lambda: side.of(UplinkMessage))
        await binding.stop()


async def test_an_event_is_acknowledged_only_once_it_is_committed(over_mqtt, side):
    """A bridge that ends before the commit gets the event again: the broker still has it."""
    server, start = over_mqtt
    binding = await start(catch_up={"enabled": False})
    side.gate = asyncio.Event()
    server.up(b"precious")
    await until(lambda: binding.provider.mqtt._tasks)
    await binding.stop()
    assert side.of(UplinkMessage) == []
    side.gate = None
    await start(catch_up={"enabled": False})
    (one,) = await until(lambda: side.of(UplinkMessage))
    assert one.payload == b"precious"


async def test_while_the_store_fails_an_event_waits_and_is_not_lost(over_mqtt, side):
    server, start = over_mqtt
    await start(catch_up={"enabled": False})
    side.store_fails = True
    server.up(b"precious")
    await until(lambda: side.counts["lorawan_events_store_unavailable"])
    side.store_fails = False
    await until(lambda: side.of(UplinkMessage))


async def test_events_while_the_bridge_is_away_wait_in_the_session(over_mqtt, broker, side):
    server, start = over_mqtt
    binding = await start(catch_up={"enabled": False})
    await binding.stop()
    async with listening(broker.address, "application/#") as witness:
        server.up(b"one")
        server.up(b"two")
        await until(lambda: len(witness.messages) == 2)
    await start(catch_up={"enabled": False})
    await until(lambda: len(side.of(UplinkMessage)) == 2)


async def test_a_broker_that_comes_back_with_its_session_loses_nothing(over_mqtt, broker, side):
    """Only the broker can bring what was sent meanwhile: ChirpStack is asked for nothing (catch_up)."""
    server, start = over_mqtt
    binding = await start(catch_up={"enabled": False})
    server.up(b"before")
    await until(lambda: len(side.of(UplinkMessage)) == 1)
    broker.stop()
    await until(lambda: not binding.provider.mqtt.connected)
    assert side.counts["lorawan_mqtt_disconnects"] == 1
    server.up(b"while it is away")
    broker.start()
    await until(lambda: binding.provider.mqtt.connected)
    server.up(b"after")
    await until(lambda: len(side.of(UplinkMessage)) == 3)
    assert {one.payload for one in side.of(UplinkMessage)} == {b"before", b"while it is away", b"after"}
    assert side.counts["lorawan_mqtt_sessions_lost"] == 0


async def test_a_lost_session_is_noticed_and_chirpstack_is_asked_for_what_was_missed(over_mqtt, broker, side):
    server, start = over_mqtt
    binding = await start()
    server.up(b"before", f_cnt=1)
    await until(lambda: side.of(UplinkMessage))
    await until(lambda: caught_up(binding))
    broker.stop(forget=True)
    await until(lambda: not binding.provider.mqtt.connected)
    server.fault("event_lost", where={"via": "mqtt"})
    server.up(b"missed", f_cnt=2)
    broker.start()
    await until(lambda: side.counts["lorawan_mqtt_sessions_lost"] == 1)
    await until(lambda: len(side.of(UplinkMessage)) == 2)
    assert [one.payload for one in side.of(UplinkMessage)] == [b"before", b"missed"]


async def test_events_of_qos_0_are_kept_for_nobody_so_chirpstack_is_asked_after_every_outage(broker, side):
    async with Emulated(mqtt=BrokerAddress.parse(broker.address), mqtt_qos=0) as server:
        binding = await server.binding(side, mqtt={"host": "127.0.0.1", "port": broker.port})
        await until(lambda: binding.provider.mqtt.subscribed)
        server.up(b"before", f_cnt=1)
        await until(lambda: side.of(UplinkMessage))
        await until(lambda: caught_up(binding))
        broker.stop()
        await until(lambda: not binding.provider.mqtt.connected)
        server.up(b"missed", f_cnt=2)
        broker.start()
        await until(lambda: binding.provider.mqtt.connected)
        assert side.counts["lorawan_mqtt_sessions_lost"] == 0
        await until(lambda: len(side.of(UplinkMessage)) == 2)
        assert [one.payload for one in side.of(UplinkMessage)] == [b"before", b"missed"]
        await binding.stop()


async def test_that_events_have_qos_0_may_be_seen_only_after_the_outage(broker, side):
    async with Emulated(mqtt=BrokerAddress.parse(broker.address), mqtt_qos=0) as server:
        binding = await server.binding(side, mqtt={"host": "127.0.0.1", "port": broker.port})
        await binding.provision(DEVICE, {})
        await until(lambda: binding.provider.mqtt.connected)
        await until(lambda: caught_up(binding))
        broker.stop()
        await until(lambda: not binding.provider.mqtt.connected)
        server.up(b"missed", f_cnt=1)
        broker.start()
        await until(lambda: binding.provider.mqtt.subscribed and server.is_at_the_broker())
        server.up(b"after", f_cnt=2)
        await until(lambda: len(side.of(UplinkMessage)) == 2)
        assert {one.payload for one in side.of(UplinkMessage)} == {b"missed", b"after"}
        await binding.stop()


async def test_a_shared_subscription_is_taken_by_one_of_the_group(over_mqtt, side):
    server, start = over_mqtt
    for client_id in ("one", "two"):
        await start(mqtt={"client_id": client_id, "shared_group": "bridges"}, catch_up={"enabled": False})
    for f_cnt in range(6):
        server.up(b"x%d" % f_cnt, f_cnt=f_cnt)
    await until(lambda: len(side.of(UplinkMessage)) == 6)
    server.up(b"last", f_cnt=6)  # behind whatever a broker might bring twice
    await until(lambda: b"last" in [one.payload for one in side.of(UplinkMessage)])
    assert len(side.of(UplinkMessage)) == 7


@pytest.mark.parametrize("connected_for", [0.0, 60.0], ids=["just connected", "connected for a minute"])
async def test_what_waited_at_the_broker_says_nothing_of_clocks_however_long_it_takes_to_come(
    over_mqtt, side, connected_for
):
    """A queue of hours takes longer than any time in which it might be thought to end."""
    server, start = over_mqtt
    binding = await start(catch_up={"enabled": False})
    mqtt = binding.provider.mqtt
    mqtt._connected_at -= connected_for
    (sink,) = [sink for sink in server.server._integrations._sinks if sink.via == "mqtt"]

    async def transmitted(age: float) -> None:
        taken = mqtt.taken
        event = integration.TxAckEvent(queue_item_id="i", **server.values(at=time.time() - age))
        sink._mqtt.publish(f"application/{server.application_id}/device/{DEVICE}/event/txack", MessageToJson(event))
        await until(lambda: mqtt.taken == taken + 1)

    await transmitted(3600.0)
    await transmitted(connected_for + 20.0)
    assert binding.status()["clock_ahead"] is None
    assert [one for one in await binding.check() if one.what == "clock"] == []
    await transmitted(-90.0)
    assert binding.status()["clock_ahead"] == pytest.approx(90, abs=5), "this is certain, whenever it came"


async def test_garbage_on_the_topic_is_counted_and_acknowledged(over_mqtt, side):
    server, start = over_mqtt
    binding = await start()
    (sink,) = [sink for sink in server.server._integrations._sinks if sink.via == "mqtt"]
    sink._mqtt.publish(f"application/{server.application_id}/device/70b3d57ed0000001/event/up", b"garbage")
    await until(lambda: side.counts["lorawan_malformed_events"])
    server.up(b"fine")
    await until(lambda: side.of(UplinkMessage))
    await until(lambda: binding.provider.mqtt.taken == 2)
