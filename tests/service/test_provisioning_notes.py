"""Reports about provisioning: none is told as stored before its commit, and none is lost to what is only presumed."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from bindings.contract import Provisioned
from bindings.provisioning import ProvisioningState as State
from bridge.directory import Draft
from bridge.errors import StoreUnavailable
from bridge.service.provisioning import ProvisioningNotes
from bridge.service.tasks import Tasks
from bridge.store.fleet import Also, EndpointConditions, ProvisioningChange, ProvisioningNote, nothing_else
from bridge.store.in_memory import Disk, InMemoryStore
from bridge.store.in_memory.fleet import InMemoryFleet


class Fleet(InMemoryFleet):
    """Makes no commit where there is nothing to store, as the SQL databases do."""

    async def note(self, notes: Sequence[ProvisioningNote], also: Also = nothing_else) -> list[ProvisioningChange]:
        return await super().note(notes, also) if notes else []


@pytest.fixture
async def store() -> InMemoryStore:
    opened = InMemoryStore(Disk())
    await opened.directory.add([Draft("net", "d1", "e1", ("leshan",))], None, lambda: 100.0)
    return opened


@pytest.fixture
async def notes(store: InMemoryStore) -> AsyncIterator[ProvisioningNotes]:
    tasks = Tasks(lambda _name: None)
    yield ProvisioningNotes(Fleet(store), lambda: 100.0, tasks)
    await tasks.stop()


def presume(notes: ProvisioningNotes) -> asyncio.Future[None]:
    return notes.note("net", "d1", State.PENDING, unless_known=True)


async def stored(store: InMemoryStore) -> State:
    (found,) = await store.fleet.page(EndpointConditions(), limit=9)
    return found.provisioning.state


async def begun(work: asyncio.Task[None]) -> None:
    """Let a task run until it waits for the store."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not work.done()


async def fail(store: InMemoryStore, work: asyncio.Task[None]) -> None:
    """Let the store refuse what a task waits for."""
    store.faults.commits_fail = True
    store.faults.go()
    with pytest.raises(StoreUnavailable):
        await work
    store.faults.commits_fail = False


async def test_what_is_presumed_does_not_replace_a_report_that_could_not_be_stored(
    store: InMemoryStore, notes: ProvisioningNotes
) -> None:
    store.faults.commits_wait = True
    ready = notes.store_report("net", Provisioned("d1", State.READY))
    flush = asyncio.create_task(notes.flush())
    await begun(flush)
    pending = presume(notes)  # as a provisioning that is asked for just then
    await fail(store, flush)
    assert not ready.done()
    await notes.flush()
    assert ready.done()
    assert pending.done()
    assert await stored(store) is State.READY


async def test_a_newer_report_replaces_one_that_could_not_be_stored(
    store: InMemoryStore, notes: ProvisioningNotes
) -> None:
    store.faults.commits_wait = True
    notes.store_report("net", Provisioned("d1", State.READY))
    flush = asyncio.create_task(notes.flush())
    await begun(flush)
    notes.store_report("net", Provisioned("d1", State.FAILED, "the SCEF does not know it any more"))
    await fail(store, flush)
    await notes.flush()
    assert await stored(store) is State.FAILED


async def test_a_flush_waits_for_what_is_just_being_stored(store: InMemoryStore, notes: ProvisioningNotes) -> None:
    store.faults.commits_wait = True
    ready = notes.store_report("net", Provisioned("d1", State.READY))
    first = asyncio.create_task(notes.flush())
    await begun(first)
    hand_over = asyncio.create_task(notes.flush())
    await begun(hand_over)
    store.faults.go()
    await hand_over
    assert ready.done()
    assert await stored(store) is State.READY
    await first


async def test_a_flush_stores_what_an_earlier_one_could_not(store: InMemoryStore, notes: ProvisioningNotes) -> None:
    store.faults.commits_wait = True
    ready = notes.store_report("net", Provisioned("d1", State.READY))
    first = asyncio.create_task(notes.flush())
    await begun(first)
    hand_over = asyncio.create_task(notes.flush())
    await begun(hand_over)
    await fail(store, first)
    await hand_over
    assert ready.done()
    assert await stored(store) is State.READY


async def test_a_flush_that_cannot_store_says_so(store: InMemoryStore, notes: ProvisioningNotes) -> None:
    store.faults.commits_fail = True
    ready = notes.store_report("net", Provisioned("d1", State.READY))
    with pytest.raises(StoreUnavailable):
        await notes.flush()
    assert not ready.done()
