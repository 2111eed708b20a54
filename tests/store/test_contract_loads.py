"""Reads of endpoints: grouped, and never older than what was told before they are handed over."""

import asyncio

import pytest

from bridge.delivery.rows import Insert
from bridge.directory import Draft
from bridge.directory.keys import ByDevice, ById, ByName
from bridge.errors import StoreUnavailable
from tests.store.asking import load, rows


async def test_endpoints_that_are_asked_for_together_are_one_read(store, stores):
    keys = [ById(1), ByName("endpoint-2"), ByDevice("net", "device-3"), ById(99), *map(ById, range(4, 10))]
    before = stores.reads(store)
    found = await asyncio.gather(*(load(store, key) for key in keys))
    assert stores.reads(store) - before == 1
    assert [one and one.record.id for one in found] == [1, 2, 3, None, 4, 5, 6, 7, 8, 9]


async def test_what_is_asked_for_during_a_read_is_one_more_read(store, stores):
    gate = stores.hold_reads(store)
    first = asyncio.ensure_future(load(store, ById(1)))
    await gate.reading()
    others = [asyncio.ensure_future(load(store, ById(number))) for number in range(2, 10)]
    await asyncio.sleep(0)
    gate.open()
    assert [one.record.id for one in await asyncio.gather(first, *others)] == [*range(1, 10)]


async def test_a_commit_that_is_told_during_a_read_is_in_its_result(store, stores, downlink):
    row = downlink(store.next_id(), 1)
    gate = stores.hold_reads(store)
    reading = [asyncio.ensure_future(rows(store, endpoint)) for endpoint in (1, 2)]
    await gate.reading()
    await store.committed([Insert.of(row)], endpoint=1)
    gate.open()
    found = await asyncio.gather(*reading)
    assert [[kept.id for kept in one.downlinks] for one in found] == [[row.id], []]


async def test_a_change_of_the_directory_that_is_told_during_a_read_is_in_its_result(store, stores):
    gate = stores.hold_reads(store)
    gone = asyncio.ensure_future(load(store, ByName("endpoint-1")))
    new = asyncio.ensure_future(load(store, ByDevice("net", "new")))
    await gate.reading()
    await store.directory.remove(1, lambda: 1.0)
    await store.directory.add([Draft("net", "new", "new", ("leshan",))], None, lambda: 1.0)
    gate.open()
    assert await gone is None
    assert (await new).record.name == "new"


async def test_a_caller_that_fails_does_not_keep_the_next_from_being_served(store, caplog):
    store.load(ById(1), 0.0, lambda found, error: 1 // 0)
    assert (await load(store, ById(2))).record.id == 2
    assert "ZeroDivisionError" in caplog.text


async def test_a_read_that_fails_is_no_missing_endpoint(store, stores):
    stores.fail_reads(store, True)
    with pytest.raises(StoreUnavailable):
        await load(store, ById(1))
    with pytest.raises(StoreUnavailable):
        await load(store, ById(99))
    stores.fail_reads(store, False)
    assert (await load(store, ById(1))).record.name == "endpoint-1"


async def test_a_closed_store_refuses(stores):
    store = await stores.open()
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await load(store, ById(1))
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.reads.downlinks()
