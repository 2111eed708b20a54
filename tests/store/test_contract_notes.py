"""Durable notes of bindings: kept, in memory while they are used, and read in the order in which they are asked for."""

import asyncio

import pytest

from bindings.contract import MISS
from bridge.directory.keys import ById
from bridge.errors import StoreUnavailable
from bridge.store import notes
from bridge.store.notes import NetworkMemory
from tests.store.asking import load


async def listed(memory, prefix=""):
    return [pair async for pair in memory.items(prefix)]


async def test_a_binding_keeps_notes_of_its_own(store):
    one, two = store.memories.of("one"), store.memories.of("two")
    await one.put("config:a", b"A")
    await one.put("config:b", b"old")
    await one.put("config:b", b"B")
    await one.put("other", b"C")
    await two.put("config:a", b"other network")

    assert await one.load("config:a") == b"A"
    assert await two.load("config:b") is None
    assert await listed(one, "config:") == [("config:a", b"A"), ("config:b", b"B")]
    await one.put("config:a", None)
    assert await listed(one) == [("config:b", b"B"), ("other", b"C")]


async def test_what_was_used_last_is_in_memory_and_all_else_is_loaded(store, monkeypatch):
    monkeypatch.setattr(notes, "RECENT", 4)
    memory = NetworkMemory(store.memories._table, "one")
    for number in range(20):
        await memory.put(f"key {number}", b"%d" % number)
    assert memory.cached("key 19") == b"19"
    assert memory.cached("key 1") is MISS
    assert await memory.load("key 1") == b"1"
    await asyncio.sleep(0)
    assert memory.cached("key 1") == b"1"


async def test_a_note_that_is_gone_is_in_no_memory(store):
    memory = store.memories.of("one")
    await memory.put("key", b"x")
    await memory.put("key", None)
    assert memory.cached("key") is MISS
    assert await memory.load("key") is None


async def test_a_note_that_cannot_be_read_is_no_missing_note(store, stores):
    """Whoever asks must be able to tell, and wait: an event that was taken for a mistake would be lost."""
    memory = NetworkMemory(store.memories._table, "one")
    stores.fail_reads(store, True)
    with pytest.raises(StoreUnavailable):
        await memory.load("key")
    stores.fail_reads(store, False)
    assert await memory.load("key") is None


async def test_the_notes_of_a_device_come_with_its_endpoint(store):
    memory = store.memories.of("net")
    await memory.put("d/1", b"its note", "device-1")
    await memory.put("c/abc", b"device-1", "device-1")
    await memory.put("d/2", b"another", "device-2")
    await memory.put("secret", b"nobody's")
    assert (await load(store, ById(1))).notes == {"d/1": b"its note", "c/abc": b"device-1"}
    assert (await load(store, ById(3))).notes == {}


async def test_a_note_is_read_together_with_the_endpoint_of_its_device(store, stores):
    await store.memories.of("net").put("c/abc", b"device-1", "device-1")
    await store.memories.of("net").put("c/lone", b"stranger", "stranger")
    before = stores.reads(store)

    def ask(key):
        answered = asyncio.get_running_loop().create_future()
        store.load_with_note("net", key, 0.0, lambda *answer: answered.set_result(answer))
        return answered

    (note, found, error), lone, none = await asyncio.gather(ask("c/abc"), ask("c/lone"), ask("c/none"))
    assert (note, found.record.name, found.notes, error) == (b"device-1", "endpoint-1", {"c/abc": b"device-1"}, None)
    assert lone == (b"stranger", None, None)
    assert none == (None, None, None)
    assert stores.reads(store) - before == 1


async def test_the_notes_of_a_device_stay_in_memory_as_long_as_its_endpoint(store, monkeypatch):
    monkeypatch.setattr(notes, "RECENT", 2)
    memory = NetworkMemory(store.memories._table, "net")
    memory.hold("device-1", {"d/1": b"old"})
    for number in range(9):
        await memory.put(f"other {number}", b"")
    assert memory.held("d/1") == memory.cached("d/1") == b"old"
    await memory.put("d/1", b"new", "device-1")
    await memory.put("c/1", b"added", "device-1")
    assert (memory.held("d/1"), memory.held("c/1")) == (b"new", b"added")
    await memory.put("c/1", None, "device-1")
    assert memory.held("c/1") is None
    memory.release("device-1")
    assert (memory.held("d/1"), memory.cached("d/1")) == (None, MISS)
    assert await memory.load("d/1") == b"new"


class SlowTable:
    """Notes whose reads end when the test says so."""

    def __init__(self):
        self.asked = []

    def find(self, network, key, done):
        self.asked.append((key, done))

    def put(self, network, key, value, device, done):
        done(None)


async def test_who_waits_for_a_note_goes_on_in_order_and_before_all_who_come_later():
    table = SlowTable()
    memory = NetworkMemory(table, "net")
    order = []

    async def event(name, waiting):
        await waiting
        order.append(name)

    def arrives(name):
        if memory.cached("key") is MISS:
            return asyncio.ensure_future(event(name, memory.load("key")))
        order.append(name)
        return asyncio.sleep(0)

    tasks = [arrives("first"), arrives("second")]
    table.asked.pop()[1](b"note", None)
    tasks += [arrives("third")]  # the note is there, but the first two have not gone on yet
    await asyncio.sleep(0)
    tasks += [arrives("fourth")]
    await asyncio.gather(*tasks)
    await asyncio.sleep(0)
    arrives("last").close()
    assert order == ["first", "second", "third", "fourth", "last"]
    assert table.asked == []


async def test_a_note_that_is_written_while_its_reader_waits_is_what_the_next_one_gets():
    table = SlowTable()
    memory = NetworkMemory(table, "net")
    first = memory.load("key")
    table.asked.pop()[1](None, None)
    second = memory.load("key")
    await memory.put("key", b"new")
    assert (await first, await second) == (None, b"new")


async def test_r30_those_who_wait_are_bounded(monkeypatch):
    monkeypatch.setattr(notes, "EACH", 2)
    monkeypatch.setattr(notes, "ALL", 1)
    table = SlowTable()
    memory = NetworkMemory(table, "net")
    waiting = [memory.load("key") for _ in range(3)] + [memory.load("other")]
    table.asked.pop()[1](b"note", None)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert told[:2] == [b"note", b"note"]
    assert [str(error) for error in told[2:]] == ["too many messages wait for the store to be read"] * 2


async def test_a_read_that_fails_tells_all_who_wait_and_is_begun_anew():
    table = SlowTable()
    memory = NetworkMemory(table, "net")
    waiting = [memory.load("key"), memory.load("key")]
    table.asked.pop()[1](None, StoreUnavailable("I/O error"))
    assert [type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)] == [StoreUnavailable] * 2
    again = memory.load("key")
    table.asked.pop()[1](b"note", None)
    assert await again == b"note"


async def test_a_walk_through_many_notes_holds_no_read_open(store):
    memory = store.memories.of("one")
    await asyncio.gather(*(memory.put(f"{index:06}", b"x") for index in range(1201)))
    walk = memory.items("")
    seen = [(await anext(walk))[0]]
    await memory.put("000700", None)
    seen += [key async for key, _ in walk]
    assert len(seen) == 1200
    assert seen == sorted(seen)


async def test_a_note_that_is_put_during_its_read_is_in_the_result(store, stores):
    memory = NetworkMemory(store.memories._table, "net")
    gate = stores.hold_reads(store)
    reading = [memory.load("d/1"), asyncio.ensure_future(load(store, ById(1)))]
    await gate.reading()
    await store.memories.of("net").put("d/1", b"new", "device-1")
    gate.open()
    note, found = await asyncio.gather(*reading)
    assert (note, found.notes) == (b"new", {"d/1": b"new"})
