"""Commits: told in their order, in groups, and failures that stay where they belong. Every store."""

import asyncio
import contextlib

import pytest

from bridge.delivery.rows import Insert, Update
from bridge.directory.keys import ById
from bridge.errors import DirectoryError, StoreUnavailable
from tests.store.asking import rows
from tests.store.conftest import DRAFTS


async def count(store):
    return sum((await store.reads.downlink_counts()).values())


async def test_commits_are_told_in_their_order(store, downlink):
    told = []
    waiting = []
    for index in range(300):
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)

        def done(error, index=index, future=future):
            told.append((index, error))
            future.set_result(None)

        changes = [] if index % 7 == 0 else [Insert.of(downlink(store.next_id(), index))]
        store.commit(changes, done, endpoint=index)
        if index % 50 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert told == [(index, None) for index in range(300)]


async def test_what_is_told_is_committed(store, downlink):
    row = downlink(store.next_id())
    seen = asyncio.get_running_loop().create_future()

    def done(error):
        store.load(ById(1), 0.0, lambda found, _: seen.set_result((error, [kept.id for kept in found.kept.downlinks])))

    store.commit([Insert.of(row)], done)
    assert not seen.done()
    assert await seen == (None, [row.id])


async def test_commits_that_wait_together_are_one_group(store, downlink):
    await store.committed([])
    before = store.status()["groups"]
    await asyncio.gather(*(store.committed([Insert.of(downlink(store.next_id(), n))]) for n in range(500)))
    assert store.status()["groups"] - before <= 2
    assert store.backlog == 0


async def test_a_caller_that_fails_does_not_keep_the_next_from_being_told(store, caplog):
    def broken(error):
        raise ValueError("the caller's own fault")

    store.commit([], broken)
    await store.committed([])
    assert "the caller's own fault" in caplog.text


async def test_a_wrong_batch_fails_alone(store, downlink, caplog):
    good, same, other = downlink(store.next_id(), 1), downlink(1, 2), downlink(store.next_id(), 3)
    same.id = good.id

    outcomes = await asyncio.gather(
        store.committed([Insert.of(good)], endpoint=1),
        store.committed([Insert.of(same)], endpoint=2),
        store.committed([Insert.of(other)], endpoint=3),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), StoreUnavailable, type(None)]
    assert await count(store) == 2
    assert "endpoint 2 cannot be stored" in caplog.text


async def test_an_update_of_a_row_that_is_not_there_is_no_success(store, downlink):
    with pytest.raises(StoreUnavailable, match="not there"):
        await store.committed([Update.of(downlink(4711))], endpoint=1)


async def test_what_builds_on_a_failed_commit_fails_too_until_the_failure_was_told(store, downlink):
    first, second = downlink(store.next_id(), 1), downlink(store.next_id(), 1)
    other = downlink(store.next_id(), 2)
    wrong = Update.of(downlink(4711, 1))

    outcomes = await asyncio.gather(
        store.committed([Insert.of(first), wrong], endpoint=1),
        store.committed([Insert.of(second)], endpoint=1),
        store.committed([Insert.of(other)], endpoint=2),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable, StoreUnavailable, type(None)]
    assert (await rows(store, 1, 0.0)).downlinks == []
    await store.committed([Insert.of(second)], endpoint=1)
    assert [row.id for row in (await rows(store, 1, 0.0)).downlinks] == [second.id]


async def test_a_full_disk_fails_the_group_and_the_store_goes_on_when_there_is_space_again(store, stores, downlink):
    await store.committed([Insert.of(downlink(store.next_id(), 1))], endpoint=1)
    stores.fail_commits(store, True)
    outcomes = await asyncio.gather(
        *(store.committed([Insert.of(downlink(store.next_id(), n))], endpoint=n) for n in (2, 3, 4)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert "full" in str(outcomes[0])
    stores.fail_commits(store, False)
    assert await count(store) == 1
    await store.committed([Insert.of(downlink(store.next_id(), 2))], endpoint=2)
    assert await count(store) == 2
    assert store.status()["failures"] == 3


async def test_a_follower_that_is_given_before_the_failure_is_told_fails_as_well(store, stores, downlink):
    """Each of them is told first; what is given by then knows of the failure, and is kept."""
    told = []
    rows = [downlink(store.next_id(), 1) for _ in range(3)]
    after = asyncio.get_running_loop().create_future()

    def refused(error):
        told.append(type(error))
        store.commit([Insert.of(rows[2])], after.set_result, endpoint=1)

    store.commit([Update.of(downlink(4711, 1))], refused, endpoint=1)
    store.commit([Insert.of(rows[1])], lambda error: told.append(type(error)), endpoint=1)
    assert await after is None
    assert told == [StoreUnavailable, StoreUnavailable]
    assert await count(store) == 1


async def is_committed(store, endpoint):
    try:
        await store.committed([], endpoint=endpoint)
    except StoreUnavailable:
        return False
    return True


@pytest.mark.parametrize("cause", ["wrong", "full"])
async def test_a_follower_without_changes_of_the_same_turn_fails_as_well(store, stores, downlink, cause):
    """Its step ran on the state that is not kept: an acknowledgement of what was not stored would leave with it."""
    told = []
    change = Update.of(downlink(4711, 1)) if cause == "wrong" else Insert.of(downlink(store.next_id(), 1))
    stores.fail_commits(store, cause == "full")
    store.commit([change], lambda error: told.append(("first", type(error))), endpoint=1)
    store.commit([], lambda error: told.append(("follower", type(error))), endpoint=1)
    with contextlib.suppress(StoreUnavailable):
        await store.committed([], endpoint=2)
    stores.fail_commits(store, False)
    async with asyncio.timeout(20):
        while not await is_committed(store, endpoint=2):  # PostgreSQL may still be ending the former session
            pass
    assert told == [("first", StoreUnavailable), ("follower", StoreUnavailable)]


async def test_close_finishes_what_was_given(stores, downlink):
    store = await stores.open()
    futures = [store.committed([Insert.of(downlink(store.next_id(), n))]) for n in range(50)]
    await store.close()
    assert [future.exception() for future in futures] == [None] * 50
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.committed([])
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.directory.add([], None, lambda: 1.0)
    await store.close()


async def test_a_refusal_of_the_directory_is_no_failure_of_the_store(store):
    with pytest.raises(DirectoryError):
        await store.directory.add([DRAFTS[0]], None, lambda: 1.0)
    assert store.status()["failures"] == 0
