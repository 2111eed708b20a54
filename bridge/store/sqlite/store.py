"""The store: durable state of the bridge in one SQLite file."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import apsw

from bridge.delivery.ledger import Downlink, DownlinkState, UnattributedReport, Uplink
from bridge.delivery.rows import FOREVER, Change, Row
from bridge.errors import StoreUnavailable
from bridge.relay.model import Kept, Observation, RelayState
from bridge.store.sqlite.connection import check, connect_reader, connect_writer, end
from bridge.store.sqlite.directory import SqliteDirectory
from bridge.store.sqlite.lock import ProcessLock
from bridge.store.sqlite.memory import NetworkMemory
from bridge.store.sqlite.reader import Reader
from bridge.store.sqlite.schema import migrate
from bridge.store.sqlite.statements import LIVE, NEEDED, columns_sql, decoder
from bridge.store.sqlite.writer import Batch, Done, Writer

T = TypeVar("T")
R = TypeVar("R", bound=Row)

ID_BLOCK = 1000  # ids reserved ahead: a crash skips at most so many
PRUNE_CHUNK = 500  # rows looked at in one transaction (a few ms)


def _select(row: type[R], where: str) -> tuple[str, Callable[[tuple[Any, ...]], R]]:
    return f'SELECT {columns_sql(row)} FROM "{row.TABLE}" WHERE {where}', decoder(row)  # noqa: S608  # names of our own


_DOWNLINKS, _downlink = _select(Downlink, f"{NEEDED} ORDER BY id")
_UPLINKS, _uplink = _select(Uplink, f"{NEEDED} ORDER BY id")
_OBSERVATIONS, _observation = _select(Observation, "endpoint = ?")
_REPORTS, _report = _select(UnattributedReport, "endpoint = ? ORDER BY id")
_RELAY, _relay = _select(RelayState, "endpoint = ?")


class Store:
    """Reads in the event loop's thread, writes in the writer's. Made by `open`, given back by `close`.

    `connection` only reads, what is committed, and belongs to the event loop's thread: a query there must be quick
    (microseconds); anything that walks a table goes through `ask`.
    """

    def __init__(
        self, path: Path, lock: ProcessLock, writing: apsw.Connection, reading: apsw.Connection, next_id: int
    ) -> None:
        self.path = path
        self.connection = reading
        self._lock = lock
        self._writing = writing
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(writing, self._loop)
        self._next_id = next_id
        self._reserved = next_id  # the first id that may not be given out before the mark is committed
        self._closing = False
        self._asking: ThreadPoolExecutor | None = None
        self._asked: Reader | None = None
        self.directory = SqliteDirectory(self)

    @classmethod
    def open(cls, path: Path, connect: Callable[[Path], apsw.Connection] = connect_writer) -> "Store":
        """Open, and make if need be, the database; call it in a running event loop. It blocks for the check.

        `connect` opens the writing connection. Raises ConfigurationError (in use by another process, not ours, of a
        newer release) or StoreUnavailable (damaged, no space, no right to write).
        """
        lock = ProcessLock(path)
        writing = reading = None
        try:
            writing = connect(path)
            check(writing, path)
            migrate(writing)
            reading = connect_reader(path)
            store = cls(path, lock, writing, reading, _first_free_id(writing))
        except BaseException:
            for connection in (writing, reading):
                if connection is not None:
                    connection.close()
            lock.release()
            raise
        store._writer.start()
        store._reserve()
        return store

    async def close(self) -> None:
        """Finish all commits, tell them, and let go of the file. Later commits fail with StoreUnavailable."""
        if self._closing:
            return
        next_id = self._next_id

        def mark(connection: apsw.Connection) -> None:
            connection.execute("UPDATE id_mark SET next = ?", (next_id,))

        self._writer.give(Batch((), mark, lambda _error: None, None))
        self._closing = True
        await self._writer.stop()
        if self._asking is not None:
            self._asking.shutdown()
        if self._asked is not None:
            self._asked.close()
        self.connection.close()
        end(self._writing)
        self._lock.release()

    # Writing

    def commit(self, changes: Sequence[Change], done: Done, *, endpoint: int | None = None) -> None:
        """Commit changes, all or none, without blocking; `done` is called in the event loop, in the order of commits.

        It gets None when the changes are on the disk, or StoreUnavailable: then nothing of them is kept, nor of what
        was committed after them for the same `endpoint` until this failure was told. The caller must then forget what
        it knows of the endpoint and load it again. Commits without changes are told in their turn.
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

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` on the writing connection, in the writer's thread, inside a commit; give its result when durable.

        It must not commit, must be quick, and may be run twice. A BridgeError that it raises undoes it alone and is
        raised here; any other failure is StoreUnavailable.
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

        batch = Batch((), work, done, None)
        self._writer.give(batch)
        return await future

    def next_id(self) -> int:
        """Give an id for a downlink, uplink or report: larger than any before it, in this and in earlier lives."""
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

    @property
    def backlog(self) -> int:
        """How many commits are not yet told."""
        return self._writer.waiting

    def status(self) -> dict[str, int]:
        """Give counters since the start: rows and groups committed, commits failed and waiting; bytes on disk."""
        writer = self._writer
        size = self.path.stat().st_size
        with contextlib.suppress(OSError):  # there is none before the first commit
            size += Path(f"{self.path}-wal").stat().st_size
        return {
            "rows": writer.rows,
            "groups": writer.groups,
            "failures": writer.failures,
            "waiting": writer.waiting,
            "bytes": size,
        }

    # Reading

    def load(self, endpoint: int, now: float) -> Kept:
        """Give all rows of an endpoint that the core still needs at wall time `now`; none of its commits may wait."""
        execute = self.connection.execute
        try:
            execute("BEGIN")
            try:
                relay = execute(_RELAY, (endpoint,)).fetchone()
                return Kept(
                    [*map(_downlink, execute(_DOWNLINKS, (endpoint, now)))],
                    [*map(_uplink, execute(_UPLINKS, (endpoint, now)))],
                    [*map(_observation, execute(_OBSERVATIONS, (endpoint,)))],
                    [*map(_report, execute(_REPORTS, (endpoint,)))],
                    None if relay is None else _relay(relay),
                )
            finally:
                execute("COMMIT")
        except apsw.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error

    def first(self, question: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Give the first row of an answer, None without any. Raises StoreUnavailable."""
        try:
            found: tuple[Any, ...] | None = self.connection.execute(question, values).fetchone()
        except apsw.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error
        return found

    def due_endpoints(self, before: float = FOREVER) -> Iterator[tuple[int, float]]:
        """Give (endpoint, earliest `due`) of every endpoint with a row that needs attention, up to `before`, unsorted.

        A read stays open until the iterator is used up: do so at once.
        """
        return self.connection.execute(
            "SELECT endpoint, min(due) FROM ("  # noqa: S608  # names of our own
            f"SELECT endpoint, due FROM downlink INDEXED BY downlink_live WHERE {LIVE} AND due <= ?"
            f" UNION ALL SELECT endpoint, due FROM uplink INDEXED BY uplink_live WHERE {LIVE} AND due <= ?"
            ") GROUP BY endpoint",
            (before, before),
        )

    def live_endpoints(self) -> Iterator[int]:
        """Give every endpoint with a downlink that is not over or an uplink not yet forwarded (start, R32)."""
        return _first(
            self.connection.execute(
                f"SELECT endpoint FROM downlink INDEXED BY downlink_live WHERE {LIVE} AND over = 0"  # noqa: S608  # as above
                f" UNION SELECT endpoint FROM uplink INDEXED BY uplink_live WHERE {LIVE} AND state = 'RECEIVED'"
            )
        )

    def uncertain_endpoints(self) -> Iterator[int]:
        """Give every endpoint with a downlink of which nobody knows whether the network took it (R7, R9, R32)."""
        return _first(
            self.connection.execute(
                "SELECT DISTINCT endpoint FROM downlink INDEXED BY downlink_live"  # noqa: S608  # as above
                f" WHERE {LIVE} AND over = 0 AND state IN (?, ?)",
                (DownlinkState.SUBMITTING, DownlinkState.UNKNOWN),
            )
        )

    def memory(self, network: str) -> NetworkMemory:
        """Give the notes of one network instance (bindings.contract.Memory)."""
        return NetworkMemory(self, network)

    async def ask(self, question: Callable[[Reader], T]) -> T:
        """Run a slow read in a thread of its own: `await store.ask(Reader.downlink_counts)`."""
        if self._closing:
            raise StoreUnavailable("the store is closed")
        if self._asking is None:
            self._asking = ThreadPoolExecutor(1, "store-reader")

        def answer() -> T:
            if self._asked is None:
                self._asked = Reader.open(self.path)
            return question(self._asked)

        try:
            return await self._loop.run_in_executor(self._asking, answer)
        except apsw.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error

    async def prune(self, before: float) -> int:
        """Remove messages that were over, and that the core no longer needed, before wall time `before`; how many.

        It walks each table from its oldest row in small transactions, and gives way to other commits in between.
        """
        removed = 0
        for table, began, over in (
            ("downlink", "accepted_at", "over = 1"),
            ("uplink", "received_at", "state <> 'RECEIVED' AND due IS NULL"),
        ):
            after = 0
            while True:
                after, gone = await self.run(_pruning(table, began, over, after, before))
                removed += gone
                if not after:
                    break
        return removed


def _pruning(
    table: str, began: str, over: str, after: int, before: float
) -> Callable[[apsw.Connection], tuple[int, int]]:
    def work(connection: apsw.Connection) -> tuple[int, int]:
        rows: list[tuple[Any, ...]] = connection.execute(
            f"SELECT id, {began} FROM {table} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608  # names of our own
            (after, PRUNE_CHUNK),
        ).fetchall()
        if not rows:
            return 0, 0
        last = rows[-1][0]
        connection.execute(
            f"DELETE FROM {table} WHERE id > ? AND id <= ? AND {over} AND finished_at < ? AND keep_until < ?",  # noqa: S608  # as above
            (after, last, before, before),
        )
        gone = connection.changes()
        finished = len(rows) < PRUNE_CHUNK or rows[-1][1] >= before  # ids rise with time: the rest is younger
        return 0 if finished else last, gone

    return work


def _first(rows: Iterable[tuple[int]]) -> Iterator[int]:
    return (endpoint for (endpoint,) in rows)


def _first_free_id(connection: apsw.Connection) -> int:
    mark: int = connection.execute("SELECT next FROM id_mark").get
    for table in (Downlink.TABLE, Uplink.TABLE, UnattributedReport.TABLE):
        largest: int = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").get  # noqa: S608  # as above
        mark = max(mark, largest + 1)
    return mark
