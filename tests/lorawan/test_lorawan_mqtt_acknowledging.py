"""An acknowledgement goes over the connection on which its event came: later its number may be another event's."""

import asyncio
import contextlib

import pytest

from bindings.lorawan.chirpstack import mqtt
from bindings.lorawan.chirpstack.mqtt import MqttEvents
from bindings.lorawan.settings import Mqtt
from bridge.errors import NotServedHere, StoreUnavailable
from tests.waiting import until

TOPIC = b"application/a/device/70b3d57ed0000001/event/up"
PUBACK = 0x40


def connected(*, session_kept):
    return bytes([0x20, 3, session_kept, 0, 0])  # CONNACK, MQTT 5.0 §3.2


def published(number, payload, topic=TOPIC):
    """Return an event with QoS 1 and a packet identifier, §3.3."""
    body = len(topic).to_bytes(2) + topic + number.to_bytes(2) + b"\0" + payload
    return bytes([0x32, len(body)]) + body


def published_once(payload):
    """Return an event with QoS 0, which has no packet identifier."""
    body = len(TOPIC).to_bytes(2) + TOPIC + b"\0" + payload
    return bytes([0x30, len(body)]) + body


class ScriptedBroker:
    """Takes one connection at a time; `session_kept` is what it says to the next one."""

    def __init__(self):
        self.session_kept = False
        self.connections = 0
        self.acknowledged = []  # packet identifiers, each with the number of its connection
        self.writer = None

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, length = await reader.readexactly(2)  # no packet of these tests is longer than 127 octets
                body = await reader.readexactly(length)
                if kind == 0x10:
                    self.connections += 1
                    writer.write(connected(session_kept=self.session_kept))
                    self.writer = writer
                elif kind == PUBACK:
                    self.acknowledged.append((self.connections, int.from_bytes(body[:2])))
        writer.close()

    def publish(self, number, payload):
        self.writer.write(published(number, payload))


class Store:
    """Commits an event as soon as its gate is open; while it `fails`, none."""

    def __init__(self):
        self.gates = {}
        self.fails = False
        self.tries = []

    async def commit_event(self, _kind, payload, *, within=0.0):
        self.tries.append(payload)
        if self.fails:
            raise StoreUnavailable("down")
        await self.gates.setdefault(payload, asyncio.Event()).wait()

    def commits(self, payload):
        self.gates.setdefault(payload, asyncio.Event()).set()


@pytest.fixture
async def broker():
    one = ScriptedBroker()
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one
        if one.writer is not None:
            one.writer.close()


@pytest.fixture
async def store():
    return Store()


@pytest.fixture
async def events(broker, store):
    made = MqttEvents(
        Mqtt(host="127.0.0.1", port=broker.port), "", store.commit_event, missed=lambda: None, count=lambda _name: None
    )
    await made.start("bridge")
    await until(lambda: made.connections == 1)
    yield made
    await made.stop()


async def connects_again(broker, events):
    broker.writer.close()
    await until(lambda: events.connections == 2)


async def test_an_event_of_a_former_session_acknowledges_none_of_the_new_one(broker, store, events):
    """The broker lost the session, and its numbers begin anew: the new event is acknowledged after its own commit."""
    broker.publish(1, b"former")
    await until(lambda: store.tries == [b"former"])
    await connects_again(broker, events)
    broker.publish(1, b"new")
    await until(lambda: store.tries == [b"former", b"new"])
    store.commits(b"former")
    await until(lambda: events.taken == 1)
    broker.publish(2, b"witness")
    store.commits(b"witness")
    await until(lambda: broker.acknowledged)
    assert broker.acknowledged == [(2, 2)]
    store.commits(b"new")
    await until(lambda: (2, 1) in broker.acknowledged)


async def test_events_that_wait_for_the_store_do_not_add_up_with_each_connection(broker, store, events, monkeypatch):
    monkeypatch.setattr(mqtt, "_RETRY", 0.01)
    monkeypatch.setattr(mqtt, "_MAX_RETRY", 0.01)
    store.fails = broker.session_kept = True
    broker.publish(1, b"event")
    await until(lambda: store.tries)
    await connects_again(broker, events)
    broker.publish(1, b"event")
    broker.publish(2, b"later")
    await until(lambda: b"later" in store.tries)
    await until(lambda: len(events._tasks) == 2)
    store.fails = False
    store.commits(b"event")
    store.commits(b"later")
    await until(lambda: sorted(broker.acknowledged) == [(2, 1), (2, 2)])


async def test_an_event_whose_session_was_lost_is_kept_also_over_later_sessions(broker, store, events, monkeypatch):
    """A later session, which the broker keeps, does not have it: nobody would send it again."""
    monkeypatch.setattr(mqtt, "_RETRY", 0.01)
    monkeypatch.setattr(mqtt, "_MAX_RETRY", 0.01)
    store.fails = True
    broker.publish(1, b"event")
    await until(lambda: store.tries)
    await connects_again(broker, events)
    broker.session_kept = True
    broker.writer.close()
    await until(lambda: events.connections == 3)
    store.fails = False
    store.commits(b"event")
    await until(lambda: events.taken == 1)


async def test_a_connection_of_which_the_loop_does_not_know_yet_proves_no_session(broker, store, events, monkeypatch):
    """What follows in the loop may be that the session was lost, and the event with it."""
    monkeypatch.setattr(mqtt, "_RETRY", 0.01)
    monkeypatch.setattr(mqtt, "_MAX_RETRY", 0.01)
    broker.session_kept = True
    await connects_again(broker, events)
    store.fails = True
    broker.publish(1, b"event")
    await until(lambda: store.tries)
    events._connection += 2  # in paho's thread: the connection ended, and there is another one
    store.fails = False
    store.commits(b"event")
    await until(lambda: events.taken == 1)


async def test_an_event_for_another_node_that_meets_a_bug_waits_and_is_passed_on_later(
    broker, store, events, monkeypatch
):
    monkeypatch.setattr(mqtt, "_RETRY", 0.01)
    bugs = [1, 2]

    async def elsewhere(*_, within=0.0):
        raise NotServedHere("another node's", 7)

    async def pass_on(_post, _shard):
        if bugs:
            raise RuntimeError(f"bug {bugs.pop()}")

    monkeypatch.setattr(events, "_commit_event", elsewhere)
    events.pass_on = pass_on
    broker.publish(1, b"event")
    await until(lambda: broker.acknowledged == [(1, 1)])
    assert not bugs


async def test_a_topic_that_is_no_text_is_dropped_and_acknowledged(broker, store, events):
    """Unacknowledged, it would take a place of those that the broker may send at the same time, for ever."""
    store.commits(b"odd")
    broker.writer.write(published(1, b"odd", b"application/a/device/\xff\xfe/event/\xff"))
    await until(lambda: broker.acknowledged == [(1, 1)])
    assert not events._tasks


async def test_events_that_nobody_bounds_wait_for_the_store_in_a_bounded_number(broker, store):
    """With QoS 0, as ChirpStack publishes by default, a broker sends any number; the rest is read from histories."""
    missed, counted = [], []
    settings = Mqtt(host="127.0.0.1", port=broker.port, receive_maximum=3)
    events = MqttEvents(settings, "", store.commit_event, missed=lambda: missed.append(1), count=counted.append)
    await events.start("bridge")
    await until(lambda: events.connections == 1)
    before, store.fails = len(missed), True
    for number in range(10):
        broker.writer.write(published_once(b"%d" % number))
    await until(lambda: len({*store.tries}) == 10)
    await until(lambda: len(events._tasks) == 3)
    assert len(missed) == before
    store.fails = False
    for number in range(10):
        store.commits(b"%d" % number)
    store.commits(b"next")
    broker.writer.write(published_once(b"next"))
    await until(lambda: not events._tasks)
    assert len(missed) == before + 1
    await events.stop()
