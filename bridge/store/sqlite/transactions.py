"""How a group of batches becomes one transaction of SQLite.

A full disk is treated like a wrong batch: what needs no more room goes on.
"""

import logging
from collections.abc import Iterable

import apsw

from bridge.delivery.rows import Run
from bridge.errors import StoreUnavailable
from bridge.store.sql.batches import Batch, Wrong
from bridge.store.sql.changes import apply
from bridge.store.sql.transactions import Transactions
from bridge.store.sqlite.files import Files
from bridge.store.sqlite.wal import Wal

BLAME = (
    apsw.SQLError,  # an invalid statement
    apsw.BindingsError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.TooBigError,
)
"""SQLite's errors when a batch is wrong; all other errors come from the disk or the file."""

log = logging.getLogger(__name__)


class SqliteTransactions(Transactions):
    """Writes groups on a connection. All is called in one thread."""

    def __init__(self, connection: apsw.Connection, files: Files, wal: Wal) -> None:
        super().__init__()
        self._connection = connection
        self._files = files
        self._wal = wal
        self.files_lost = 0  # groups refused since a file is not the one that was opened
        self.volume_full = 0  # transactions refused because the volume had no room

    def check(self) -> None:
        try:
            self._files.check(self._wal)
        except StoreUnavailable as failure:
            log.error("nothing is acknowledged any more: %s", failure, extra={"sample": "files lost"})  # noqa: TRY400  # its trace says nothing
            self.files_lost += 1
            raise

    def tidy(self) -> None:
        """Checkpoint the WAL if it is long; call this between two groups, after the first was reported."""
        if self._wal.is_long and self.are_files_unchanged():
            self._wal.empty()

    def are_files_unchanged(self) -> bool:
        """Return whether the files are those that were opened, so that the WAL may be checkpointed."""
        try:
            self._files.check(self._wal)
        except StoreUnavailable:
            return False
        return True

    def commit(self, batches: list[Batch]) -> None:
        try:
            self._wal.make_room()
        except StoreUnavailable as failure:
            self.volume_full += 1
            self.fail(batches, failure)
            return
        except apsw.Error as error:
            self.fail(batches, self._cannot_write(error))
            return
        try:
            self._transact(batches)
        except apsw.FullError as error:
            if not self._wal.is_short:
                self._wal.empty()  # its changes may be the cause
            if len(batches) == 1:
                self.fail(batches, self._cannot_write(error))
            else:
                self.one_by_one(batches)
        except Wrong as wrong:
            self.blame(batches, wrong)
        except apsw.Error as error:
            self.fail(batches, self._cannot_write(error))

    def transact(self, batches: list[Batch]) -> None:
        try:
            self._transact(batches)
        except apsw.Error as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: apsw.Error) -> StoreUnavailable:
        why = str(error)
        if isinstance(error, apsw.FullError):
            self.volume_full += 1
            why = f"{error}; {self._wal.full()}"
        failure = StoreUnavailable(f"the store cannot write: {why}")
        failure.__cause__ = error
        return failure

    def _transact(self, batches: list[Batch]) -> None:
        """Commit batches as one. Raises apsw.Error if the disk or file refuses, Wrong if a batch cannot be stored."""
        connection = self._connection
        self._rollback()  # an earlier transaction that could not be rolled back
        try:
            connection.execute("BEGIN IMMEDIATE")
            self.apply(connection, batches)
            self._wal.before_commit()
            connection.execute("COMMIT")
        except BaseException as error:
            for batch in batches:
                batch.forget()
            self._rollback()
            if not isinstance(error, Exception) or _of_the_disk(error):
                raise
            raise Wrong from error

    def _rollback(self) -> None:
        if self._connection.in_transaction:  # SQLite may have rolled back by itself
            try:
                self._connection.execute("ROLLBACK")
            except apsw.Error:
                log.exception("the rollback of a failed transaction failed")

    def change(self, given: Iterable[Run]) -> None:
        apply(self._connection, given)


def _of_the_disk(error: Exception) -> bool:
    return isinstance(error, apsw.Error) and not isinstance(error, BLAME)
