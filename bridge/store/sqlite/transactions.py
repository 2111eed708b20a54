"""Writes a group of batches as one transaction, in the writer's thread.

Batches of a group are applied in the order in which they were given. If the disk refuses a group, the whole group
fails. If a group fails for any other reason, one of its batches cannot be stored: the group is written again with a
transaction for each batch, so that only that batch fails. A full disk is treated in the same way: batches that need no
more room succeed.

A batch that builds on a failed one is not kept either (`bridge.store.followers`). Work that raises a BridgeError is
not a failure: it answered, and nothing builds on it.
"""

import logging
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Any

import apsw

from bridge.delivery.rows import Change, Update
from bridge.errors import BridgeError, StoreUnavailable
from bridge.store.contract import Done
from bridge.store.followers import Followers
from bridge.store.sqlite.files import Files
from bridge.store.sqlite.statements import change_sql
from bridge.store.sqlite.wal import Wal

BLAME = (
    apsw.SQLError,  # a statement that cannot be
    apsw.BindingsError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.TooBigError,
)
"""SQLite's errors when a batch is wrong; all other errors come from the disk or the file."""

log = logging.getLogger(__name__)

Work = Callable[[apsw.Connection], Any]


class Batch:
    """Changes to rows, or work on the connection, that are committed together or not at all."""

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
        """Whether it should have been kept, and is not."""
        return self.error is not None and not self.refused


class _Wrong(Exception):
    """A batch cannot be stored; the group is written again one by one."""


class Transactions:
    """Writes groups on a connection. All is called in one thread."""

    def __init__(self, connection: apsw.Connection, files: Files, wal: Wal) -> None:
        self._connection = connection
        self._files = files
        self._wal = wal
        self._followers = Followers()
        self.files_lost = 0  # groups refused since a file is not the one that was opened
        self.volume_full = 0  # transactions refused since the volume had no room

    def write(self, group: list[Batch]) -> int:
        """Commit a group, and set the result in each batch; return how many rows were changed."""
        if self._followers:
            self._followers.forget(group[0].generation)  # generations never fall along the queue
            self._refuse_followers(group)
        asked = [batch for batch in group if batch.error is None]
        try:
            self._files.check(self._wal)
        except StoreUnavailable as failure:
            log.error("nothing is acknowledged any more: %s", failure, extra={"sample": "files lost"})  # noqa: TRY400  # its trace says nothing
            self.files_lost += 1
            self._fail(asked, failure)
        else:
            self._write([batch for batch in asked if batch.changes or batch.work])
        self._followers.group_ended(failed=any(batch.failed for batch in group))
        return sum(len(batch.changes) for batch in asked if batch.error is None)

    def tidy(self) -> None:
        """Checkpoint the WAL if it is long; call this between two groups, after the first was reported."""
        if self._wal.is_long and self.are_files_whole():
            self._wal.empty()

    def are_files_whole(self) -> bool:
        """Return whether the files are those that were opened, so that the WAL may be checkpointed."""
        try:
            self._files.check(self._wal)
        except StoreUnavailable:
            return False
        return True

    def _write(self, batches: list[Batch]) -> None:
        if not batches:
            return
        try:
            self._wal.make_room()
            self._transact(batches)
        except _Wrong as wrong:
            log.error("one of %d batches cannot be stored, each is committed alone: %s", len(batches), wrong.__cause__)  # noqa: TRY400  # the batch itself is logged with its trace
            self._one_by_one(batches)
        except StoreUnavailable as failure:
            self.volume_full += 1
            self._fail(batches, failure)
        except apsw.FullError as error:
            if not self._wal.is_short:
                self._wal.empty()  # what it holds may be in the way
            if len(batches) == 1:
                self._fail(batches, self._cannot_write(error))
            else:
                self._one_by_one(batches)
        except apsw.Error as error:
            self._fail(batches, self._cannot_write(error))

    def _one_by_one(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._refuse_followers([batch])
            if batch.error is not None:
                continue
            try:
                self._transact([batch])
            except _Wrong as wrong:
                log.error("a batch of endpoint %s cannot be stored", batch.endpoint, exc_info=wrong.__cause__)  # noqa: TRY400  # the cause is what counts
                failure = StoreUnavailable(f"the store cannot take these changes: {wrong.__cause__}")
                failure.__cause__ = wrong.__cause__
                self._fail([batch], failure)
            except apsw.Error as error:
                self._fail([batch], self._cannot_write(error))

    def _cannot_write(self, error: apsw.Error) -> StoreUnavailable:
        why = str(error)
        if isinstance(error, apsw.FullError):
            self.volume_full += 1
            why = f"{error}; {self._wal.full()}"
        failure = StoreUnavailable(f"the store cannot write: {why}")
        failure.__cause__ = error
        return failure

    def _transact(self, batches: list[Batch]) -> None:
        """Commit batches as one. Raises apsw.Error if the disk or file refuses, _Wrong if a batch cannot be stored."""
        connection = self._connection
        self._rollback()  # of a transaction that could not even be rolled back before
        try:
            connection.execute("BEGIN IMMEDIATE")
            if any(batch.work for batch in batches):
                self._apply_mixed(batches)
            else:
                apply(connection, chain.from_iterable(batch.changes for batch in batches))
            self._wal.before_commit()
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
    """Apply changes in order, neighbours of one kind together. Raises LookupError if a row to update is missing."""
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
