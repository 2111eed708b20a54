"""How a group of batches becomes one transaction of PostgreSQL, and how it is found out whether one was committed.

A connection may break while COMMIT is under way. Then nobody knows whether the transaction was committed: it may have
been, it may be so a moment later, since the server goes on. So each transaction leaves its number in the row that also
names the process which may commit (`id_mark`). After a break the writer connects anew, waits until it can change that
row, which no earlier transaction can still be doing then, and reads the number. Until then nothing is told.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterable

import psycopg

from bridge.delivery.rows import Run
from bridge.errors import StoreUnavailable
from bridge.store.lease import Lease
from bridge.store.postgres.clock import lease_clock
from bridge.store.postgres.connection import PostgresConnection, one_line
from bridge.store.postgres.fence import Fence
from bridge.store.postgres.ownership import Ownership
from bridge.store.sql.batches import Batch, Wrong
from bridge.store.sql.connection import value_of
from bridge.store.sql.transactions import Transactions

MEASURED_EVERY = 60.0  # seconds
PAUSE = 0.5  # seconds between two attempts to find out
BLAME = (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.NotSupportedError)
"""What PostgreSQL says when a batch is wrong; all else is the server's, the disk's or the network's."""

log = logging.getLogger(__name__)


class _BeforeCommit(Exception):  # says what it is; it never leaves this module
    """The session ended before COMMIT was sent: the server has rolled everything back, whatever it had received."""

    def __init__(self, failure: StoreUnavailable) -> None:
        super().__init__(failure)
        self.failure = failure


class PostgresTransactions(Transactions):
    """Writes groups. All is called in one thread, but `stopping`, which any may set."""

    def __init__(
        self,
        connection: PostgresConnection,
        ownership: Ownership,
        lease: Lease | None = None,
        fence: Fence | None = None,
    ) -> None:
        """Each transaction that is committed renews the lease, if there is one. `fence`: of a node of a cluster."""
        super().__init__()
        self._fence = fence
        self._lease = lease
        self._connection = connection
        self._ownership = ownership
        self.stopping = threading.Event()
        self._measured_at = -MEASURED_EVERY
        self.size = 0  # bytes of the database, as they were lately
        self.volume_full = 0  # transactions refused since the server had no room
        self.resolved = 0  # transactions that were found out about, after the answer to COMMIT was lost

    def check(self) -> None:
        self._connection.close_if_ended()
        if self._ownership.holds:
            return
        try:
            self._ownership.renew()
        except psycopg.Error as error:
            raise self._cannot_write(error) from error

    def tidy(self) -> None:
        """Measure the database, from time to time; not while it is away: `check` alone opens a session."""
        if not self._connection.is_open:
            return
        if time.monotonic() - self._measured_at < MEASURED_EVERY:
            return
        self._measured_at = time.monotonic()
        with contextlib.suppress(psycopg.Error):
            self.size = value_of(self._connection, "SELECT pg_database_size(current_database())")

    def transact(self, batches: list[Batch]) -> None:
        try:
            self._transact(batches)
        except _BeforeCommit as error:
            log.info("a transaction is repeated over a new session: %s", error, extra={"sample": "repeated"})
            self.check()
            try:
                self._transact(batches)
            except _BeforeCommit as again:
                raise again.failure from again

    def _transact(self, batches: list[Batch]) -> None:
        connection = self._connection
        began = lease_clock()
        try:
            connection.execute("BEGIN")
            lost = self._lost(batches)
            kept = [batch for batch in batches if batch not in lost] if lost else batches
            self.apply(connection, kept)
            number = self._ownership.note_transaction()
        except BaseException as error:
            for batch in batches:
                batch.forget()
            connection.roll_back()
            if isinstance(error, psycopg.errors.LockNotAvailable):
                self._keep_lease()
            if isinstance(error, StoreUnavailable) or not isinstance(error, Exception):
                raise
            if isinstance(error, psycopg.Error) and not isinstance(error, BLAME):
                failure = self._cannot_write(error)
                raise failure if connection.is_open else _BeforeCommit(failure) from error
            raise Wrong from error
        self._commit(kept, number)
        if lost:
            self.fail(lost, StoreUnavailable("another node serves the shard: nothing of it is kept here"))
        if self._lease is not None:
            self._lease.renewed(began)

    def _keep_lease(self) -> None:
        """Renew the lease after a wait for another node that hangs in a transaction: its hang ends no other node.

        All nodes write some rows, such as the number of the last event. The server does not end that transaction in
        each case: where a pipeline came last, PostgreSQL 15 counts no idle time. Whoever takes the shards of that node
        ends it.
        """
        if self._lease is None:
            return
        began = lease_clock()
        try:
            self._connection.execute("BEGIN")
            self._commit([], self._ownership.note_transaction())
        except (psycopg.Error, StoreUnavailable) as error:
            log.warning("the lease is not renewed: %s", error, extra={"sample": "lease"})
            self._connection.roll_back()
        else:
            self._lease.renewed(began)

    def _lost(self, batches: list[Batch]) -> list[Batch]:
        """Return those that must not be kept, since their shard is another node's; the transaction has begun."""
        return [] if self._fence is None else self._fence.lost(self._connection, batches)

    def _commit(self, batches: list[Batch], number: int) -> None:
        """Commit the transaction; return when it is known to be durable. Raises StoreUnavailable if it is not."""
        connection = self._connection
        connection.warned.clear()
        try:
            connection.execute("COMMIT")
        except psycopg.Error as error:
            if connection.is_open:  # the server refused, and rolled back
                for batch in batches:
                    batch.forget()
                raise self._cannot_write(error) from error
            log.warning("the answer to COMMIT is lost: %s", error, extra={"sample": "commit in doubt"})
        else:
            if not connection.warned.is_set():
                return
            # It is committed here; a standby may not have it, since somebody cancelled the wait for it.
            log.warning("the server warned at COMMIT", extra={"sample": "commit in doubt"})
            connection.close()
        if not self._was_committed(number):
            for batch in batches:
                batch.forget()
            raise StoreUnavailable("the store could not write: the connection broke, and the transaction with it")

    def _was_committed(self, number: int) -> bool:
        """Return whether a transaction was committed, as soon as that can be found out.

        Raises StoreUnavailable if the store is closed before.
        """
        while True:
            try:
                committed = self._ownership.renew()
            except psycopg.Error as error:
                log.warning("whether the last commit is kept is not known yet: %s", error, extra={"sample": "in doubt"})
            else:
                self.resolved += 1
                return committed == number
            if self.stopping.wait(PAUSE):
                raise StoreUnavailable("the store was closed before it could find out whether the last commit is kept")

    def change(self, given: Iterable[Run]) -> None:
        self._connection.change(given)

    def _cannot_write(self, error: psycopg.Error) -> StoreUnavailable:
        if isinstance(error, psycopg.errors.DiskFull):
            self.volume_full += 1
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            self._connection.close()  # it is a standby now: the next attempt asks for the one that takes commits
        return StoreUnavailable(f"the store cannot write: {one_line(error)}")
