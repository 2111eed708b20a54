"""The one thread that writes: it takes all batches that wait, commits them as one group, and says so once.

Batches of a group are applied in the order in which they were given. A group that the disk refuses fails as a whole. A
group that fails for any other reason holds a batch that is wrong in itself: the group is done again with a transaction
for each batch, so that only the wrong one fails.

A batch that builds on a failed one is not kept either (`bridge.store.followers`). Work that refuses with a BridgeError
is no failure: it answered, and nothing builds on it.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from itertools import chain, islice
from queue import SimpleQueue
from typing import Any

import apsw

from bridge.delivery.rows import Change, Update
from bridge.errors import BridgeError, StoreUnavailable
from bridge.store.followers import Followers
from bridge.store.sqlite.statements import change_sql

MAX_GROUP = 1024  # batches in one transaction: bounds how long the first of them waits (about 25 ms)

BLAME = (
    apsw.SQLError,  # a statement that cannot be
    apsw.BindingsError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.TooBigError,
)
"""What SQLite says when a batch is wrong; all else is the disk's or the file's."""

log = logging.getLogger(__name__)

Done = Callable[[BaseException | None], None]
Work = Callable[[apsw.Connection], Any]


class Batch:
    """What is committed together, or not at all: changes to rows, or work on the connection."""

    __slots__ = (
        "changes", "directory", "done", "endpoint", "error", "generation", "refused", "result", "touches", "work",
    )  # fmt: skip

    def __init__(
        self,
        changes: Sequence[Change],
        work: Work | None,
        done: Done,
        endpoint: int | None,
        *,
        directory: bool = False,
        touches: tuple[Hashable, ...] = (),
    ) -> None:
        self.changes = changes
        self.work = work
        self.done = done
        self.endpoint = endpoint
        self.directory = directory  # whether it changes the directory
        self.touches = touches  # what else it changes, as `bridge.store.sqlite.asked` names it
        self.generation = 0
        self.error: BaseException | None = None
        self.refused = False  # `error` is the considered answer of its own work
        self.result: Any = None

    @property
    def failed(self) -> bool:
        """Whether it was to be kept, and is not."""
        return self.error is not None and not self.refused


class _Wrong(Exception):
    """A batch is wrong in itself; the group is done again one by one."""


class Writer:
    """Owns the writing connection from `start` to `stop`. Everything but the thread itself runs in the event loop.

    `told` is called with every group before its batches are told.
    """

    def __init__(
        self, connection: apsw.Connection, loop: asyncio.AbstractEventLoop, told: Callable[[Sequence[Batch]], None]
    ) -> None:
        self._told = told
        self._connection = connection
        self._loop = loop
        self._queue: SimpleQueue[list[Batch] | None] = SimpleQueue()
        self._collected: list[Batch] = []
        self._flush_asked = False
        self._generation = 0
        self._followers = Followers()  # of the thread alone
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._stopped: asyncio.Future[None] = loop.create_future()
        self.waiting = 0  # batches given and not yet told
        self.groups = 0
        self.rows = 0
        self.failures = 0

    def start(self) -> None:
        self._thread.start()

    def give(self, batch: Batch) -> None:
        """Queue a batch. All that are given in one turn of the loop wake the thread once."""
        batch.generation = self._generation
        self.waiting += 1
        self._collected.append(batch)
        if not self._flush_asked:
            self._flush_asked = True
            self._loop.call_soon(self._flush)

    async def stop(self) -> None:
        """Finish what was given, tell it, and end the thread."""
        self._flush()
        self._queue.put(None)
        await self._stopped
        self._thread.join()

    def _flush(self) -> None:
        self._flush_asked = False
        if self._collected:
            self._queue.put(self._collected)
            self._collected = []

    def _tell(self, group: list[Batch], rows: int) -> None:
        self.groups += 1
        self.rows += rows
        self.waiting -= len(group)
        self._told(group)
        failed = sum(batch.failed for batch in group)
        if failed:
            self.failures += failed
            self._generation += 1
        for batch in group:
            try:
                batch.done(batch.error)
            except Exception:
                log.exception("what follows a commit failed")

    # From here on: the thread.

    def _run(self) -> None:
        ending = False
        while not ending:
            given = self._queue.get()
            pending: list[list[Batch]] = []
            while True:
                if given is None:
                    ending = True
                else:
                    pending.append(given)
                if self._queue.empty():
                    break
                given = self._queue.get()
            batches = chain.from_iterable(pending)
            while group := list(islice(batches, MAX_GROUP)):
                rows = self._write(group)
                self._followers.group_ended(failed=any(batch.failed for batch in group))
                self._loop.call_soon_threadsafe(self._tell, group, rows)
        self._loop.call_soon_threadsafe(self._stopped.set_result, None)

    def _write(self, group: list[Batch]) -> int:
        if self._followers:
            self._followers.forget(group[0].generation)  # generations never fall along the queue
            self._refuse_followers(group)
        wanted = [batch for batch in group if batch.error is None and (batch.changes or batch.work)]
        if not wanted:
            return 0
        try:
            try:
                self._transact(wanted)
            except _Wrong as wrong:
                log.error("one of %d batches is wrong, each is committed alone: %s", len(wanted), wrong.__cause__)  # noqa: TRY400  # the batch itself is logged with its trace
                self._one_by_one(wanted)
        except apsw.Error as error:
            failure = StoreUnavailable(f"the store cannot write: {error}")
            failure.__cause__ = error
            self._fail(wanted, failure)
        return sum(len(batch.changes) for batch in wanted if batch.error is None)

    def _one_by_one(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._refuse_followers([batch])
            if batch.error is not None:
                continue
            try:
                self._transact([batch])
            except _Wrong as wrong:
                log.error("a batch of endpoint %s is wrong", batch.endpoint, exc_info=wrong.__cause__)  # noqa: TRY400  # the cause is what counts
                failure = StoreUnavailable(f"the store cannot take these changes: {wrong.__cause__}")
                failure.__cause__ = wrong.__cause__
                self._fail([batch], failure)
            except apsw.Error as error:
                failure = StoreUnavailable(f"the store cannot write: {error}")
                failure.__cause__ = error
                self._fail([batch], failure)

    def _transact(self, batches: list[Batch]) -> None:
        """Commit batches as one. Raises apsw.Error if the disk or file refuses, _Wrong if a batch is to blame."""
        connection = self._connection
        self._rollback()  # of a transaction that could not even be rolled back before
        try:
            connection.execute("BEGIN IMMEDIATE")
            if any(batch.work for batch in batches):
                self._apply_mixed(batches)
            else:
                apply(connection, chain.from_iterable(batch.changes for batch in batches))
            connection.execute("COMMIT")
        except BaseException as error:
            for batch in batches:  # a refusal of work that was rolled back with the others says nothing now
                batch.error = None
                batch.refused = False
            self._rollback()
            if not isinstance(error, Exception) or _of_the_disk(error):
                raise
            raise _Wrong from error

    def _apply_mixed(self, batches: list[Batch]) -> None:
        connection = self._connection
        for batch in batches:
            if batch.work is None:
                apply(connection, batch.changes)
                continue
            connection.execute("SAVEPOINT work")
            try:
                batch.result = batch.work(connection)
            except BridgeError as refusal:  # a considered answer, not a fault
                batch.error = refusal
                batch.refused = True
                connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")

    def _rollback(self) -> None:
        if self._connection.in_transaction:  # SQLite may have rolled back by itself
            try:
                self._connection.execute("ROLLBACK")
            except apsw.Error:
                log.exception("rollback failed")

    def _fail(self, batches: list[Batch], failure: StoreUnavailable) -> None:
        for batch in batches:
            batch.error = failure
            self._followers.failed(batch.endpoint)

    def _refuse_followers(self, batches: list[Batch]) -> None:
        for batch in batches:
            if self._followers.follows(batch.endpoint, batch.generation):
                batch.error = StoreUnavailable("an earlier commit of this endpoint failed")


def _of_the_disk(error: Exception) -> bool:
    return isinstance(error, apsw.Error) and not isinstance(error, BLAME)


def apply(connection: apsw.Connection, changes: Sequence[Change] | chain[Change]) -> None:
    """Apply changes in order, neighbours of one form together. Raises LookupError if a row to update is not there."""
    form: tuple[type[Change], Any] | None = None
    run: list[tuple[Any, ...]] = []
    for change in changes:
        this = (type(change), change.row)
        if this != form:
            if form is not None:
                _apply_run(connection, form, run)
            form = this
            run = []
        run.append(change.values)
    if form is not None:
        _apply_run(connection, form, run)


def _apply_run(connection: apsw.Connection, form: tuple[type[Change], Any], run: list[tuple[Any, ...]]) -> None:
    kind, row = form
    before = connection.total_changes()
    connection.executemany(change_sql(kind, row), run)
    changed = connection.total_changes() - before
    if kind is Update and changed != len(run):
        raise LookupError(f"{len(run) - changed} of {len(run)} rows of {row.TABLE} to update are not there")
