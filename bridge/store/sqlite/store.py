"""The store in one SQLite file (`bridge.store.contract.Store`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import apsw

from bridge.delivery.downlinks import Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Change
from bridge.delivery.uplinks import Uplink
from bridge.directory.keys import Key
from bridge.errors import StoreUnavailable
from bridge.quota.periods import day_of
from bridge.quota.usage import KEPT_DAYS, Usage
from bridge.store.contract import Done, FoundEndpoint, FoundWithNote
from bridge.store.notes import Memories
from bridge.store.sqlite import prune, unfinished, usage_rows
from bridge.store.sqlite.access import SqliteAccess
from bridge.store.sqlite.asked import AskedEndpoint, AskedNoteWithEndpoint
from bridge.store.sqlite.connection import check, connect_reader, connect_writer, end
from bridge.store.sqlite.direct import SqliteDirect
from bridge.store.sqlite.directory import SqliteDirectory
from bridge.store.sqlite.files import Files
from bridge.store.sqlite.fleet import SqliteFleet
from bridge.store.sqlite.loads import Loads
from bridge.store.sqlite.lock import ProcessLock
from bridge.store.sqlite.notes import SqliteNotes
from bridge.store.sqlite.outbox import SqliteOutbox
from bridge.store.sqlite.reads import SqliteReads
from bridge.store.sqlite.schema import migrate
from bridge.store.sqlite.transactions import Batch, Transactions
from bridge.store.sqlite.volume import Volume, check_minimum, measure
from bridge.store.sqlite.wal import Wal
from bridge.store.sqlite.writer import Writer

T = TypeVar("T")

ID_BLOCK = 1000  # ids reserved ahead: a crash skips at most so many


class SqliteStore:
    """Writes in one thread, loads endpoints in another, and answers queries in a third. Made by `open`."""

    def __init__(
        self,
        path: Path,
        lock: ProcessLock,
        files: Files,
        writing: apsw.Connection,
        loading: apsw.Connection,
        measure: Callable[[Path], Volume | None],
    ) -> None:
        self.path = path
        self._lock = lock
        self._files = files
        self._writing = writing
        self._loading = loading
        self._loop = asyncio.get_running_loop()
        self.loads = Loads(loading, self._loop)
        self.reads = SqliteReads(path)
        self._transactions = Transactions(writing, files, Wal(writing, path, files.mark, measure))
        self._writer = Writer(self._transactions, self._loop, self._told)
        self._next_id = _first_free_id(writing)
        self._reserved = self._next_id  # the first id that may not be given out before the mark is committed
        self._closing = False
        self.memories = Memories(SqliteNotes(self))
        self.fleet = SqliteFleet(self)
        self.access = SqliteAccess(self)
        self.outbox = SqliteOutbox(self)
        self.direct = SqliteDirect(self)
        self.directory = SqliteDirectory(self, writing.execute("SELECT count(*) FROM endpoint").get)

    @classmethod
    def open(
        cls,
        path: Path,
        connect: Callable[[Path], apsw.Connection] = connect_writer,
        measure: Callable[[Path], Volume | None] = measure,
    ) -> "SqliteStore":
        """Open the database, or create it; call this in a running event loop. It blocks during the check.

        `connect` opens the writing connection, `measure` says how much room a directory has. Raises ConfigurationError
        (in use by another process, of another program, of a newer release, on a volume too small) or StoreUnavailable
        (damaged, no space, no right to write).
        """
        directory = path.absolute().parent
        check_minimum(directory, measure(directory))
        lock = ProcessLock(path)
        with contextlib.ExitStack() as opened:
            opened.callback(lock.release)
            writing = connect(path)
            opened.callback(writing.close)
            check(writing, path)
            migrate(writing)
            loading = connect_reader(path)
            opened.callback(loading.close)
            files = Files(path)
            store = cls(path, lock, files, writing, loading, measure)
            opened.pop_all()
        store._writer.start()
        store.loads.start()
        store._reserve()
        return store

    async def close(self) -> None:
        """Finish all commits, report their results, and close the file. Later commits fail with StoreUnavailable."""
        if self._closing:
            return
        next_id = self._next_id

        def mark(connection: apsw.Connection) -> None:
            connection.execute("UPDATE id_mark SET next = ?", (next_id,))

        self._writer.give(Batch((), mark, lambda _error: None, None))
        self._closing = True
        await self._writer.stop()
        self.loads.stop()
        self.reads.close()
        self._loading.close()
        end(self._writing, whole=self._transactions.are_files_whole())
        self._files.close()
        self._lock.release()

    # Writing

    def commit(self, changes: Sequence[Change], done: Done, *, endpoint: int | None = None) -> None:
        """Commit changes, all or none, without blocking; `done` is called in the event loop, in the order of commits.

        `done` gets None when the changes are on the disk, or StoreUnavailable. Then neither these changes are kept,
        nor later commits of the same `endpoint` that were given before this failure was reported. The caller must then
        drop the endpoint's state and load it again. Commits without changes are reported in their turn.
        """
        if self._closing:
            self._loop.call_soon(done, StoreUnavailable("the store is closed"))
            return
        self._writer.give(Batch(changes, None, done, endpoint))

    def committed(self, changes: Sequence[Change], *, endpoint: int | None = None) -> asyncio.Future[None]:
        """Do what `commit` does, as an awaitable."""
        future: asyncio.Future[None] = self._loop.create_future()

        def done(error: BaseException | None) -> None:
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

        self.commit(changes, done, endpoint=endpoint)
        return future

    async def run(self, work: Callable[[apsw.Connection], T], *, directory: bool = False) -> T:
        """Run `work` in the writer's thread, inside a commit; return its result when that is durable.

        `work` gets the writing connection. It must not commit, must be quick, and may be run twice. If it raises a
        BridgeError, only its own changes are undone, and the error is raised here; any other failure is
        StoreUnavailable. `directory`: it changes the directory.
        """
        if self._closing:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()

        def done(error: BaseException | None) -> None:
            if not future.done():
                if error is None:
                    future.set_result(batch.result)
                else:
                    future.set_exception(error)

        batch = Batch((), work, done, None, directory=directory)
        self._writer.give(batch)
        return await future

    def write(self, work: Callable[[apsw.Connection], None], done: Done, *, touches: tuple[Hashable, ...] = ()) -> None:
        """Run `work` as `run` does. `done` is called when it is durable, as with `commit`."""
        if self._closing:
            self._loop.call_soon(done, StoreUnavailable("the store is closed"))
            return
        self._writer.give(Batch((), work, done, None, touches=touches))

    def next_id(self) -> int:
        """Return an id for a downlink, uplink or report: larger than any before it, in this run and in earlier ones."""
        if self._reserved - self._next_id < ID_BLOCK // 2:
            self._reserve()
        given = self._next_id
        self._next_id += 1
        return given

    def _reserve(self) -> None:
        if self._closing:
            return
        self._reserved = until = self._next_id + ID_BLOCK
        # In the queue before any batch that uses the new ids, so it is on the disk before or with them.

        def mark(connection: apsw.Connection) -> None:
            connection.execute("UPDATE id_mark SET next = ?", (until,))

        self._writer.give(Batch((), mark, lambda _error: None, None))

    def _told(self, group: Sequence[Batch]) -> None:
        """Pass reported commits to the loads, so that no load returns older data."""
        if self.loads.is_reading:
            kept = [batch for batch in group if batch.error is None]
            changed = [batch.endpoint for batch in kept], *(batch.touches for batch in kept)
            self.loads.told(chain.from_iterable(changed), directory=any(batch.directory for batch in kept))

    @property
    def backlog(self) -> int:
        """The number of commits without a result yet."""
        return self._writer.waiting

    @property
    def is_failing(self) -> bool:
        return self._writer.is_failing

    def status(self) -> dict[str, int]:
        """Return counters since the start: rows and groups committed, commits failed and waiting; bytes on disk."""
        writer = self._writer
        return {
            "rows": writer.rows,
            "groups": writer.groups,
            "failures": writer.failures,
            "volume_full": self._transactions.volume_full,
            "files_lost": self._transactions.files_lost,
            "waiting": writer.waiting,
            "bytes": self._files.size,
        }

    # Reading

    def load(self, key: Key, now: float, done: FoundEndpoint) -> None:
        """Call `done` with the endpoint under `key` and its rows that the core needs at wall time `now`."""
        self.loads.ask(AskedEndpoint(key, now, done))

    def load_with_note(self, network: str, key: str, now: float, done: FoundWithNote) -> None:
        """Call `done` with a note of a network and the endpoint of the device that the note belongs to."""
        self.loads.ask(AskedNoteWithEndpoint(network, key, now, done))

    async def unfinished(self) -> AsyncIterator[Sequence[int]]:
        """Yield the endpoints with a message that has no outcome yet or is due, the uncertain ones first."""
        for part in (unfinished.uncertain, unfinished.live):
            after = -1
            while endpoints := await self.reads.ask(partial(part, after=after)):
                yield endpoints
                after = endpoints[-1]

    async def usage_in_turn(self, day: int) -> list[Usage]:
        """Return the usage of all endpoints since a day, as of all commits before this call."""
        return await self.run(partial(usage_rows.since, day=day))

    async def prune(self, before: float) -> int:
        """Remove messages that were finished, and no longer needed by the core, before wall time `before`; how many."""
        await self.fleet.fold()  # what is removed may be the latest of its endpoint
        removed = 0
        for table in prune.TABLES:
            after = 0
            while True:
                after, gone = await self.run(partial(prune.part, table=table, after=after, before=before))
                removed += gone
                if not after:
                    break
        return removed + await self.run(partial(usage_rows.prune, before=day_of(before) - KEPT_DAYS))


def _first_free_id(connection: apsw.Connection) -> int:
    mark: int = connection.execute("SELECT next FROM id_mark").get
    for table in (Downlink.TABLE, Uplink.TABLE, UnattributedReport.TABLE):
        largest: int = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").get  # noqa: S608  # as above
        mark = max(mark, largest + 1)
    return mark
