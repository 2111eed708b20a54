"""How SQLite is written: groups, full disks, wrong batches, and work on the connection."""

import asyncio

import apsw
import pytest

from bridge.delivery.rows import Insert, Update
from bridge.errors import DirectoryError, StoreUnavailable
from bridge.store.sql.writer import FURTHER_TURNS
from bridge.store.sqlite import Reader, SqliteStore
from bridge.store.sqlite.connection import connect_writer


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


async def test_the_size_counts_what_stands_in_the_wal(sqlite, downlink):
    before = sqlite.status()["bytes"]
    await sqlite.committed([Insert.of(downlink(sqlite.next_id(), n)) for n in range(500)])
    assert sqlite.status()["bytes"] >= before + 500 * len(downlink(1).body)
    assert sqlite.status()["bytes"] > sqlite.path.stat().st_size


async def test_what_comes_in_the_next_turns_of_the_loop_is_one_group_but_no_stream_holds_it_open(sqlite, downlink):
    await sqlite.committed([])  # the start's own writing is over
    before = sqlite.status()["groups"]
    commits = []
    for n in range(1, FURTHER_TURNS + 2):
        commits.append(sqlite.committed([Insert.of(downlink(sqlite.next_id(), n))], endpoint=n))
        await asyncio.sleep(0)
    await asyncio.gather(*commits)
    assert sqlite.status()["groups"] == before + 1

    first = sqlite.committed([Insert.of(downlink(sqlite.next_id(), 1))], endpoint=1)
    others = []
    while not first.done():  # one more in every turn
        await asyncio.sleep(0)
        others.append(sqlite.committed([], endpoint=2))
    await asyncio.gather(*others)


async def test_work_amid_changes_finds_those_before_it(sqlite, downlink):
    """Changes of one group are written together as far as work among them allows."""
    found = []

    def look(connection):
        found.append(connection.execute("SELECT count(*) FROM downlink").fetchone()[0])

    def commit(n):
        return sqlite.committed([Insert.of(downlink(sqlite.next_id(), n))], endpoint=n)

    before = [commit(1), commit(2)]
    sqlite.write(look, lambda _error: None)
    after = [commit(3), commit(4)]
    await asyncio.gather(*before, *after)

    assert found == [2]
    assert await count(sqlite) == 4


async def test_full_disk_fails_the_group_and_the_store_goes_on_when_there_is_space_again(sqlite, downlink):
    await sqlite.committed([Insert.of(downlink(sqlite.next_id(), 1))])
    await sqlite.run(limit_pages(0))
    big = b"x" * 100_000

    outcomes = await asyncio.gather(
        *(sqlite.committed([Insert.of(downlink(sqlite.next_id(), n, body=big))], endpoint=n) for n in (2, 3, 4)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert "full" in str(outcomes[0])
    assert await count(sqlite) == 1
    await sqlite.run(unlimited)
    await sqlite.committed([Insert.of(downlink(sqlite.next_id(), 2, body=big))], endpoint=2)
    assert await count(sqlite) == 2


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

    sqlite = SqliteStore.open(path, connect)
    await sqlite.committed([])
    refuse.append(True)
    with pytest.raises(StoreUnavailable, match="I/O error"):
        await sqlite.committed([Insert.of(downlink(sqlite.next_id()))], endpoint=1)
    refuse.clear()
    assert await count(sqlite) == 0
    await sqlite.committed([Insert.of(downlink(sqlite.next_id()))], endpoint=1)
    assert await count(sqlite) == 1
    await sqlite.close()


async def test_a_value_that_sqlite_cannot_hold_fails_its_batch_alone(sqlite, downlink):
    outcomes = await asyncio.gather(
        sqlite.committed([Insert.of(downlink(2**70, 1))], endpoint=1),
        sqlite.committed([Insert.of(downlink(sqlite.next_id(), 2, north_token="text"))], endpoint=2),
        sqlite.committed([Insert.of(downlink(sqlite.next_id(), 3, server=object()))], endpoint=3),
        sqlite.committed([Insert.of(downlink(sqlite.next_id(), 4))], endpoint=4),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3 + [type(None)]


async def test_a_follower_in_a_later_group_fails_as_well(sqlite, downlink):
    """The second commit is queued behind the group of the first, before the loop hears of the failure."""
    second = downlink(sqlite.next_id(), 1)
    told = []
    finished = asyncio.Event()
    sqlite.commit([Update.of(downlink(4711, 1))], lambda error: told.append(type(error)), endpoint=1)
    sqlite._writer._flush()
    while sqlite._writer._queue.qsize():
        pass  # the thread has accepted the group; the loop is not given a turn
    sqlite.commit([Insert.of(second)], lambda error: (told.append(type(error)), finished.set()), endpoint=1)
    await finished.wait()
    assert told == [StoreUnavailable, StoreUnavailable]
    await sqlite.committed([Insert.of(second)], endpoint=1)


async def test_a_failure_of_another_endpoint_told_meanwhile_does_not_free_the_followers(sqlite, downlink):
    second = downlink(sqlite.next_id(), 1)
    told = []
    finished = asyncio.Event()

    def follow(_error):  # the loop hears of the first group only
        sqlite.commit([Insert.of(second)], lambda error: (told.append(type(error)), finished.set()), endpoint=1)

    for endpoint, done in ((2, follow), (1, lambda error: told.append(type(error)))):
        sqlite.commit([Update.of(downlink(4711, endpoint))], done, endpoint=endpoint)
        sqlite._writer._flush()
        while endpoint not in sqlite._transactions._followers._failed:
            pass  # the thread has done the group; the loop is not given a turn
    await finished.wait()
    assert told == [StoreUnavailable, StoreUnavailable]
    await sqlite.committed([Insert.of(second)], endpoint=1)


async def test_work_that_refuses_is_no_failure_of_the_store(sqlite, downlink):
    def refused(_connection):
        raise DirectoryError("no")

    generation = sqlite._writer._generation
    with pytest.raises(DirectoryError):
        await sqlite.run(refused)
    assert sqlite.status()["failures"] == 0
    assert sqlite._writer._generation == generation
    with pytest.raises(StoreUnavailable):
        await sqlite.committed([Update.of(downlink(4711, 1))], endpoint=1)
    assert sqlite.status()["failures"] == 1


async def test_work_gives_its_result_and_its_refusal_undoes_it_alone(sqlite, downlink):
    def refused(connection):
        connection.execute("INSERT INTO note VALUES ('n', 'k', '', 0, x'00')")
        raise DirectoryError("no")

    def pages(connection):
        return connection.execute("PRAGMA page_size").fetchone()[0]

    outcomes = await asyncio.gather(
        sqlite.run(refused),
        sqlite.run(pages),
        sqlite.committed([Insert.of(downlink(sqlite.next_id()))]),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [DirectoryError, int, type(None)]
    assert await sqlite.memories.of("n").load("k") is None


async def test_work_that_breaks_fails_alone(sqlite, downlink):
    outcomes = await asyncio.gather(
        sqlite.run(lambda connection: 1 // 0),
        sqlite.run(lambda connection: connection.execute("INSERT INTO endpoint (id) VALUES (1)")),
        sqlite.run(lambda connection: connection.execute("SELECT nonsense")),
        sqlite.committed([Insert.of(downlink(sqlite.next_id()))]),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3 + [type(None)]


async def test_every_commit_is_on_the_disk(sqlite):
    assert await sqlite.run(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert await sqlite.run(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
