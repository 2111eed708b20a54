"""Group commit: order, one wake-up per group, and failures that stay where they belong."""

import asyncio

import apsw
import pytest

from bridge.delivery.rows import Insert, Update
from bridge.directory.keys import ById
from bridge.errors import DirectoryError, StoreUnavailable
from bridge.store.sqlite import Reader, SqliteStore
from bridge.store.sqlite.connection import connect_writer
from tests.store.asking import rows


def limit_pages(extra):
    """Let the database grow by so many pages: SQLite's own disk-full."""

    def work(connection):
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + extra}")

    return work


def unlimited(connection):
    connection.execute("PRAGMA max_page_count = 1000000")


async def count(store):
    return sum((await store.reads.ask(Reader.downlink_counts)).values())


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


async def test_the_size_counts_what_stands_in_the_wal(store, downlink):
    before = store.status()["bytes"]
    await store.committed([Insert.of(downlink(store.next_id(), n)) for n in range(500)])
    assert store.status()["bytes"] >= before + 500 * len(downlink(1).body)
    assert store.status()["bytes"] > store.path.stat().st_size


async def test_a_caller_that_fails_does_not_keep_the_next_from_being_told(store, caplog):
    def broken(error):
        raise ValueError("the caller's own fault")

    store.commit([], broken)
    await store.committed([])
    assert "the caller's own fault" in caplog.text


async def test_full_disk_fails_the_group_and_the_store_goes_on_when_there_is_space_again(store, downlink):
    await store.committed([Insert.of(downlink(store.next_id(), 1))])
    await store.run(limit_pages(0))
    big = b"x" * 100_000

    outcomes = await asyncio.gather(
        *(store.committed([Insert.of(downlink(store.next_id(), n, body=big))], endpoint=n) for n in (2, 3, 4)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert "full" in str(outcomes[0])
    assert await count(store) == 1
    await store.run(unlimited)
    await store.committed([Insert.of(downlink(store.next_id(), 2, body=big))], endpoint=2)
    assert await count(store) == 2


async def test_a_full_disk_at_the_commit_itself_keeps_nothing(path, downlink):
    """The commit's own write fails, as with a cut line to the disk; the connection is handed in."""
    refuse = []

    class Failing(apsw.Connection):
        def execute(self, sql, *rest):
            if sql == "COMMIT" and refuse:
                raise apsw.IOError("disk I/O error")
            return super().execute(sql, *rest)

    def connect(where):
        connect_writer(where).close()
        connection = Failing(str(where))
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    store = SqliteStore.open(path, connect)
    await store.committed([])
    refuse.append(True)
    with pytest.raises(StoreUnavailable, match="I/O error"):
        await store.committed([Insert.of(downlink(store.next_id()))], endpoint=1)
    refuse.clear()
    assert await count(store) == 0
    await store.committed([Insert.of(downlink(store.next_id()))], endpoint=1)
    assert await count(store) == 1
    await store.close()


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
    assert "endpoint 2 is wrong" in caplog.text


async def test_a_value_that_sqlite_cannot_hold_fails_its_batch_alone(store, downlink):
    outcomes = await asyncio.gather(
        store.committed([Insert.of(downlink(2**70, 1))], endpoint=1),
        store.committed([Insert.of(downlink(store.next_id(), 2, north_token="text"))], endpoint=2),
        store.committed([Insert.of(downlink(store.next_id(), 3, server=object()))], endpoint=3),
        store.committed([Insert.of(downlink(store.next_id(), 4))], endpoint=4),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3 + [type(None)]


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


async def test_a_follower_in_a_later_group_fails_as_well(store, downlink):
    """The second commit is queued behind the group of the first, before the loop hears of the failure."""
    second = downlink(store.next_id(), 1)
    told = []
    finished = asyncio.Event()
    store.commit([Update.of(downlink(4711, 1))], lambda error: told.append(type(error)), endpoint=1)
    store._writer._flush()
    while store._writer._queue.qsize():
        pass  # the thread has taken the group; the loop is not given a turn
    store.commit([Insert.of(second)], lambda error: (told.append(type(error)), finished.set()), endpoint=1)
    await finished.wait()
    assert told == [StoreUnavailable, StoreUnavailable]
    await store.committed([Insert.of(second)], endpoint=1)


async def test_a_failure_of_another_endpoint_told_meanwhile_does_not_free_the_followers(store, downlink):
    second = downlink(store.next_id(), 1)
    told = []
    finished = asyncio.Event()

    def follow(_error):  # the loop hears of the first group only
        store.commit([Insert.of(second)], lambda error: (told.append(type(error)), finished.set()), endpoint=1)

    for endpoint, done in ((2, follow), (1, lambda error: told.append(type(error)))):
        store.commit([Update.of(downlink(4711, endpoint))], done, endpoint=endpoint)
        store._writer._flush()
        while endpoint not in store._writer._failed:
            pass  # the thread has done the group; the loop is not given a turn
    await finished.wait()
    assert told == [StoreUnavailable, StoreUnavailable]
    await store.committed([Insert.of(second)], endpoint=1)


async def test_work_that_refuses_is_no_failure_of_the_store(store, downlink):
    def refused(_connection):
        raise DirectoryError("no")

    generation = store._writer._generation
    with pytest.raises(DirectoryError):
        await store.run(refused)
    assert store.status()["failures"] == 0
    assert store._writer._generation == generation
    with pytest.raises(StoreUnavailable):
        await store.committed([Update.of(downlink(4711, 1))], endpoint=1)
    assert store.status()["failures"] == 1


async def test_work_gives_its_result_and_its_refusal_undoes_it_alone(store, downlink):
    def refused(connection):
        connection.execute("INSERT INTO note VALUES ('n', 'k', '', 0, x'00')")
        raise DirectoryError("no")

    def pages(connection):
        return connection.execute("PRAGMA page_size").fetchone()[0]

    outcomes = await asyncio.gather(
        store.run(refused),
        store.run(pages),
        store.committed([Insert.of(downlink(store.next_id()))]),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [DirectoryError, int, type(None)]
    assert await store.memories.of("n").load("k") is None


async def test_work_that_breaks_fails_alone(store, downlink):
    outcomes = await asyncio.gather(
        store.run(lambda connection: 1 // 0),
        store.run(lambda connection: connection.execute("INSERT INTO endpoint (id) VALUES (1)")),
        store.run(lambda connection: connection.execute("SELECT nonsense")),
        store.committed([Insert.of(downlink(store.next_id()))]),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3 + [type(None)]


async def test_close_finishes_what_was_given(path, downlink):
    store = SqliteStore.open(path)
    futures = [store.committed([Insert.of(downlink(store.next_id(), n))]) for n in range(50)]
    await store.close()
    assert [future.exception() for future in futures] == [None] * 50
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.committed([])
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.run(lambda connection: None)
    await store.close()


async def test_every_commit_is_on_the_disk(store):
    assert await store.run(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert await store.run(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
