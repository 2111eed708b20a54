"""A ledger in PostgreSQL that is held by a lease: kept while it is renewed, given up before another may have it."""

import asyncio
import threading
import time

import pytest

from bridge.delivery.rows import Insert
from bridge.errors import LedgerInUse, StoreUnavailable
from tests.store.stores import postgres_server

pytest.importorskip("psycopg")

from bridge.store.postgres import PostgresStore, store as postgres_store  # needs psycopg
from bridge.store.postgres.clock import lease_clock

SPAN = 2.5


@pytest.fixture
def where():
    return postgres_server().schema()


async def test_a_lease_that_is_renewed_is_kept_and_the_next_one_takes_over_at_the_end(where, downlink):
    lost = []
    first = PostgresStore.open(where, SPAN, lambda: lost.append("first"))
    until = time.monotonic() + 1.5 * SPAN
    while time.monotonic() < until:
        with pytest.raises(LedgerInUse, match="in use by another bridge"):
            PostgresStore.open(where, SPAN, wait=0.0)
        await asyncio.sleep(0.3)
    await first.committed([Insert.of(downlink(first.next_id()))])
    await first.close()
    second = PostgresStore.open(where, SPAN, wait=0.0)
    assert len(await second.reads.downlinks()) == 1
    await second.close()
    assert lost == []


async def test_a_process_that_is_held_up_gives_up_before_another_may_take_its_place(where, downlink):
    """As after SIGSTOP, or behind a loop that hangs: the server ends a session that says nothing."""
    lost_at = []
    held_up = PostgresStore.open(where, SPAN, lambda: lost_at.append(time.monotonic()))
    with pytest.raises(LedgerInUse):
        PostgresStore.open(where, SPAN, wait=0.0)
    time.sleep(0.7 * SPAN)  # noqa: ASYNC251  # holds the loop up
    assert not lost_at
    next_one = PostgresStore.open(where, SPAN, wait=5 * SPAN)
    taken_at = time.monotonic()
    assert lost_at
    assert lost_at[0] < taken_at
    await next_one.committed([Insert.of(downlink(next_one.next_id()))])
    await next_one.close()
    await held_up.close()


async def test_a_holder_whose_session_was_ended_has_stopped_before_the_next_one_acts(where, downlink):
    """The database stays reachable: the next one has the lock at once, and the holder may have noticed nothing yet."""
    lost_at = []
    holder = PostgresStore.open(where, SPAN, lambda: lost_at.append(time.monotonic()))
    await holder.committed([Insert.of(downlink(holder.next_id()))])
    postgres_server().sql(f"SELECT pg_terminate_backend({holder._writing.backend}, 5000)")
    next_one = PostgresStore.open(where, SPAN, wait=0.0)
    opened_at = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await holder.committed([Insert.of(downlink(holder.next_id()))])
    with pytest.raises(StoreUnavailable, match="another bridge"):
        await holder.committed([Insert.of(downlink(holder.next_id()))])
    assert lost_at, "it is called at once"
    assert lost_at[0] - opened_at < SPAN / 2
    await next_one.alone()
    assert time.monotonic() - opened_at >= 0.95 * SPAN
    await next_one.committed([Insert.of(downlink(next_one.next_id()))])
    await next_one.close()
    await holder.close()


async def test_the_next_one_does_not_wait_for_a_holder_that_closed_the_store(where):
    first = PostgresStore.open(where, SPAN)
    await asyncio.wait_for(first.alone(), SPAN / 2)
    await first.close()
    second = PostgresStore.open(where, SPAN, wait=0.0)
    await asyncio.wait_for(second.alone(), SPAN / 2)
    await second.close()


async def test_a_machine_that_was_suspended_for_longer_than_the_lease_gives_it_up(where, monkeypatch):
    """The database's clock went on: another bridge may have the place. Only some clocks go on with it."""
    lost = threading.Event()
    store = PostgresStore.open(where, SPAN, lost.set)
    monkeypatch.setattr(postgres_store, "lease_clock", lambda: lease_clock() + SPAN)  # of the watch, after it woke up
    assert await asyncio.to_thread(lost.wait, 60)
    await store.close()
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(lease_clock() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
