"""Reads of endpoints: grouped, and never older than what was told before they are handed over."""

import asyncio
import threading

import pytest

from bridge.delivery.rows import Insert
from bridge.directory import Draft
from bridge.directory.keys import ByDevice, ById, ByName
from bridge.errors import StoreUnavailable
from bridge.store.sqlite import loads
from tests.store.asking import load, rows


class Gate:
    """Holds every read after it has read, until it is opened."""

    def __init__(self, read):
        self._read = read
        self._open = threading.Event()
        self.reached = threading.Event()
        self.reads = 0

    def __call__(self, *arguments):
        answer = self._read(*arguments)
        self.reads += 1
        self.reached.set()
        assert self._open.wait(10)
        return answer

    def open(self):
        self._open.set()

    async def reading(self):
        await asyncio.to_thread(self.reached.wait, 10)


@pytest.fixture
def gate(monkeypatch):
    made = Gate(loads.read)
    monkeypatch.setattr(loads, "read", made)
    yield made
    made.open()


async def test_endpoints_that_are_asked_for_together_are_one_read(store):
    keys = [ById(1), ByName("endpoint-2"), ByDevice("net", "device-3"), ById(99), *map(ById, range(4, 10))]
    before = store.loads.reads
    found = await asyncio.gather(*(load(store, key) for key in keys))
    assert store.loads.reads - before == 1
    assert [one and one.record.id for one in found] == [1, 2, 3, None, 4, 5, 6, 7, 8, 9]


async def test_what_is_asked_for_during_a_read_is_one_more_read(store, gate):
    first = asyncio.ensure_future(load(store, ById(1)))
    await gate.reading()
    others = [asyncio.ensure_future(load(store, ById(number))) for number in range(2, 10)]
    await asyncio.sleep(0)
    gate.open()
    assert [one.record.id for one in await asyncio.gather(first, *others)] == [*range(1, 10)]
    assert gate.reads == 2


async def test_a_commit_that_is_told_during_a_read_is_in_its_result(store, gate, downlink):
    row = downlink(store.next_id(), 1)
    reading = [asyncio.ensure_future(rows(store, endpoint)) for endpoint in (1, 2)]
    await gate.reading()
    await store.committed([Insert.of(row)], endpoint=1)
    gate.open()
    found = await asyncio.gather(*reading)
    assert [[kept.id for kept in one.downlinks] for one in found] == [[row.id], []]
    assert gate.reads == 2, "only the endpoint that was committed is read again"


async def test_a_change_of_the_directory_that_is_told_during_a_read_is_in_its_result(store, gate):
    gone = asyncio.ensure_future(load(store, ByName("endpoint-1")))
    new = asyncio.ensure_future(load(store, ByDevice("net", "new")))
    await gate.reading()
    await store.directory.remove(1, lambda: 1.0)
    await store.directory.add([Draft("net", "new", "new", ("leshan",))], None, lambda: 1.0)
    gate.open()
    assert await gone is None
    assert (await new).record.name == "new"


async def test_an_endpoint_that_cannot_be_understood_fails_alone(store, caplog):
    await store.run(lambda c: c.execute("UPDATE endpoint SET servers = 'no list' WHERE id = 2"))
    found = await asyncio.gather(*(load(store, ById(number)) for number in (1, 2, 3)), return_exceptions=True)
    assert [type(one) for one in found if isinstance(one, Exception)] == [StoreUnavailable]
    assert [one.record.id for one in found if not isinstance(one, Exception)] == [1, 3]
    assert "cannot be understood" in caplog.text


async def test_a_caller_that_fails_does_not_keep_the_next_from_being_served(store, caplog):
    store.load(ById(1), 0.0, lambda found, error: 1 // 0)
    assert (await load(store, ById(2))).record.id == 2
    assert "ZeroDivisionError" in caplog.text


async def test_a_closed_store_refuses(store):
    store.loads.stop()
    with pytest.raises(StoreUnavailable, match="closed"):
        await load(store, ById(1))
    store.loads.stop = lambda: None
