"""Instances of two nodes at a real Mosquitto: each event comes to one of them, and none stays with one that is gone."""

import asyncio

import pytest
from emulated_chirpstack import DEVICE, Emulated

from bindings.contract import Post, UplinkMessage
from bindings.lorawan import outages
from bindings.lorawan.binding import LorawanBinding
from bindings.lorawan.chirpstack import sessions
from bridge.errors import StoreUnavailable
from mock_network.chirpstack.mqtt import BrokerAddress
from tests.bindings.bridge_side import BridgeSide
from tests.waiting import until

NAMES = ("a", "b")
MANY = 10


class Node:
    """One node's instance, and what it has taken."""

    def __init__(self, side, binding):
        self.side = side
        self.binding = binding
        self.passed = []

    @property
    def mqtt(self):
        return self.binding.provider.mqtt

    def payloads(self):
        return [one.payload for one in self.side.of(UplinkMessage)]

    async def pass_on(self, post, shard):
        self.passed.append((post, shard))


class OfNode:
    """The notes that all nodes share, as one of them sees them."""

    def __init__(self, memory, node):
        self._memory = memory
        self.node = node
        self.is_shared = True

    def __getattr__(self, name):
        return getattr(self._memory, name)


@pytest.fixture
async def nodes(broker):
    """Return an emulated server that publishes to the broker, and a function that starts a node by its name."""
    made = []
    async with Emulated(mqtt=BrokerAddress.parse(broker.address), mqtt_qos=1) as server:

        async def start(name, **mqtt):
            side = BridgeSide()
            binding = await server.binding(
                side,
                mqtt={"host": "127.0.0.1", "port": broker.port, **mqtt},
                memory=OfNode(server.memory, name),
                catch_up={"enabled": False},
            )
            node = Node(side, binding)
            binding.posts.pass_on = node.pass_on
            made.append(node)
            await until(lambda: node.mqtt.subscribed)
            return node

        yield server, start
        for node in made:
            await node.binding.stop()


def noted(server, node):
    """Return the keys of a node's notes about its sessions."""
    return [key for key in server.memory.notes if key.startswith("session") and key.endswith(f"/{node}")]


def gone(node):
    """Let a node's connection to the broker end without a word, as when it is killed."""
    client = node.mqtt._client
    client._sock_close()
    client._thread_terminate = True


async def test_each_event_comes_to_one_node(nodes):
    server, start = nodes
    a, b = [await start(name) for name in NAMES]
    for number in range(MANY):
        server.up(b"%d" % number)
    await until(lambda: len(a.payloads() + b.payloads()) == MANY)
    assert min(len(a.payloads()), len(b.payloads())) > 0
    assert len(set(a.payloads() + b.payloads())) == MANY
    assert a.mqtt.topic == b.mqtt.topic
    assert a.mqtt.topic.startswith("$share/lwm2m-bridge-")


async def test_a_name_of_the_group_that_was_chosen_is_used_by_all(nodes):
    _, start = nodes
    a = await start("a", shared_group="field", client_id="bridge")
    assert a.mqtt.topic.startswith("$share/field/application/")
    assert a.mqtt._client._client_id == b"bridge-a"


async def test_an_event_of_another_nodes_device_is_acknowledged_once_it_is_passed_on(nodes):
    server, start = nodes
    a = await start("a")
    a.side.elsewhere[DEVICE] = 7
    refusals = 1

    async def pass_on(post, shard):
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise StoreUnavailable("the inbox is full")
        a.passed.append((post, shard))

    a.binding.posts.pass_on = pass_on
    message = server.up(b"theirs")
    await until(lambda: a.side.counts["lorawan_events_store_unavailable"])
    assert a.mqtt.taken == 0
    await until(lambda: a.mqtt.taken == 1)
    ((post, shard),) = a.passed
    assert (post.sub_path, post.query, shard) == ("", "event=up", 7)
    a.side.elsewhere.clear()
    await a.binding.posts.commit_kept(Post("", post.query, post.body))
    assert a.payloads() == [message.data]


@pytest.mark.parametrize("is_killed", [True, False])
async def test_what_the_broker_kept_for_a_node_that_is_gone_comes_to_another_one(nodes, is_killed):
    """Killed: also what it was given and had not committed. Stopped: what comes after that."""
    server, start = nodes
    a, b = [await start(name) for name in NAMES]
    b.side.gate = asyncio.Event()
    for number in range(MANY):
        server.up(b"%d" % number)
    await until(lambda: b.mqtt.is_busy)
    if is_killed:
        gone(b)
    else:
        b.side.gate.set()
        await b.binding.stop()
    for number in range(MANY, 2 * MANY):
        server.up(b"%d" % number)
    work = asyncio.create_task(a.binding.work_for_all_nodes(lambda: ["a"]))
    expected = {b"%d" % number for number in range(2 * MANY)}
    await until(lambda: {*a.payloads(), *(b.payloads() if not is_killed else ())} == expected)
    assert a.side.counts["lorawan_mqtt_sessions_lost"] == 0
    work.cancel()


async def test_a_session_is_left_alone_when_its_node_comes_back(nodes, monkeypatch):
    monkeypatch.setattr(sessions, "LOOK", 0.1)
    server, start = nodes
    a, b = [await start(name) for name in NAMES]
    gone(b)
    alive = ["a"]
    work = asyncio.create_task(a.binding.work_for_all_nodes(lambda: alive))
    server.up(b"one")
    server.up(b"two")
    await until(lambda: set(a.payloads()) == {b"one", b"two"})
    alive.append("b")
    b = await start("b")
    for number in range(MANY):
        server.up(b"%d" % number)
    await until(lambda: len(set(a.payloads() + b.payloads())) == MANY + 2)
    assert b.payloads()
    await asyncio.sleep(0.5)
    assert b.mqtt.connections == 1, "the other node still takes its session away"
    gone(b)
    alive.remove("b")
    for number in range(MANY, 2 * MANY):
        server.up(b"%d" % number)
    await until(lambda: len(set(a.payloads() + b.payloads())) == 2 * MANY + 2, why="it is not inherited once more")
    work.cancel()


async def test_an_empty_session_is_forgotten(nodes, monkeypatch):
    monkeypatch.setattr(sessions, "LOOK", 0.1)
    monkeypatch.setattr(sessions, "QUIET", 0.3)
    server, start = nodes
    a, b = [await start(name) for name in NAMES]
    gone(b)
    assert len(noted(server, "b")) == 1
    work = asyncio.create_task(a.binding.work_for_all_nodes(lambda: ["a"]))
    await until(lambda: not noted(server, "b"))
    assert len(noted(server, "a")) == 1
    for number in range(MANY):
        server.up(b"%d" % number)
    await until(lambda: len(a.payloads()) == MANY, why="the broker still gives it events")
    work.cancel()


async def test_a_node_that_comes_back_while_its_session_is_being_forgotten_is_inherited_when_it_dies_again(
    nodes, monkeypatch
):
    """Who forgets the session sees the other nodes as they were a moment ago, and its commit may take its time."""
    monkeypatch.setattr(sessions, "LOOK", 0.1)
    monkeypatch.setattr(sessions, "QUIET", 0.3)
    server, start = nodes
    a, b = [await start(name) for name in NAMES]
    gone(b)
    asked, may_commit = asyncio.Event(), asyncio.Event()
    put = server.memory.put

    async def slow(key, value, device=""):
        if value is None and key in noted(server, "b") and not may_commit.is_set():
            asked.set()
            await may_commit.wait()
        await put(key, value, device)

    monkeypatch.setattr(server.memory, "put", slow)
    work = asyncio.create_task(a.binding.work_for_all_nodes(lambda: ["a"]))
    await asked.wait()
    starting = asyncio.create_task(start("b"))
    await asyncio.wait([starting], timeout=0.3)
    may_commit.set()
    b = await starting
    assert len(noted(server, "b")) == 1, "its session is forgotten"
    b.side.gate = asyncio.Event()
    for number in range(MANY):
        server.up(b"%d" % number)
    await until(lambda: b.mqtt.is_busy)
    gone(b)
    await until(lambda: {*a.payloads()} == {b"%d" % number for number in range(MANY)})
    work.cancel()


async def test_each_start_of_a_node_leaves_one_note_of_its_session(nodes):
    """Also after a start of an older release, which had one key for all starts."""
    server, start = nodes
    a = await start("a")
    (key,) = noted(server, "a")
    await a.binding.stop()
    server.memory.notes["session/a"] = server.memory.notes[key]
    await start("a")
    (later,) = noted(server, "a")
    assert later not in {key, "session/a"}


async def test_what_comes_while_no_node_is_there_waits_at_the_broker(nodes):
    """Such as when all nodes are stopped, to be started with other settings."""
    server, start = nodes
    a = await start("a")
    await a.binding.stop()
    for number in range(MANY):
        server.up(b"%d" % number)
    again = await start("a")
    await until(lambda: len(again.payloads()) == MANY, why="the broker kept nothing")


async def test_the_only_node_loses_no_event_while_its_instance_is_replaced(nodes):
    server, start = nodes
    a = await start("a")
    later = Node(a.side, LorawanBinding("net", a.binding._settings))
    stop = a.mqtt.stop

    async def stopped():
        await stop()
        server.up(b"meanwhile")

    a.mqtt.stop = stopped
    await later.binding.succeed(a.binding, a.side, OfNode(server.memory, "a"))
    await until(lambda: later.payloads() == [b"meanwhile"], why="the broker did not keep it")
    await later.binding.stop()


async def test_a_node_that_starts_has_missed_nothing_and_one_whose_session_is_lost_has(nodes, broker):
    _, start = nodes
    a = await start("a")
    missed = []
    a.mqtt._missed = lambda: missed.append(1)
    broker.stop(forget=True)
    await until(lambda: not a.mqtt.connected)
    broker.start()
    await until(lambda: a.mqtt.connections == 2)
    await until(lambda: missed == [1])
    assert a.side.counts["lorawan_mqtt_sessions_lost"] == 1


async def test_a_node_that_has_missed_events_lets_the_others_read_their_histories_too(nodes, monkeypatch):
    """The broker would have given it events of any device."""
    monkeypatch.setattr(outages, "EVERY", 0.1)
    _, start = nodes
    a, b = [await start(name) for name in NAMES]
    read = []
    for node in (a, b):
        node.binding._outages._read_all = lambda node=node: read.append(node)
    await asyncio.sleep(0.3)  # each has looked once
    a.binding.missed()
    await until(lambda: set(map(id, read)) == {id(a), id(b)})
    await asyncio.sleep(0.5)
    assert len(read) == 2, "each once"
