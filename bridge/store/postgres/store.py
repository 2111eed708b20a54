"""The store in a PostgreSQL database: opened and closed."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable

import psycopg

from bridge.store.lease import Lease
from bridge.store.postgres.clock import lease_clock
from bridge.store.postgres.connection import READ_ONLY, PostgresConnection, unreachable
from bridge.store.postgres.fence import Fence
from bridge.store.postgres.inbox import PostgresInbox
from bridge.store.postgres.ownership import WAIT, Ownership
from bridge.store.postgres.schema import (
    OLDEST,
    OLDEST_WITH_STANDBY,
    check_server,
    check_whole,
    migrate,
    session,
    session_of_lease,
)
from bridge.store.postgres.transactions import PostgresTransactions
from bridge.store.sql.loads import Loads
from bridge.store.sql.reader import SqlReader
from bridge.store.sql.reads import SqlReads
from bridge.store.sql.store import SqlStore

log = logging.getLogger(__name__)


class PostgresStore(SqlStore):
    """Made by `open`."""

    def __init__(
        self,
        where: str,
        writing: PostgresConnection,
        ownership: Ownership,
        lease: Lease | None = None,
        lost: Callable[[], None] = lambda: None,
        alone_at: float = 0.0,
        fence: Fence | None = None,
    ) -> None:
        """`alone_at`: the time of `lease_clock` from which on no former owner acts any more. `fence`: of a node."""
        self._writing = writing
        self._ownership = ownership
        self._loading = PostgresConnection(where, READ_ONLY)
        self._transactions = PostgresTransactions(writing, ownership, lease, fence)
        loads = Loads(self._loading, asyncio.get_running_loop(), psycopg.Error)

        def reader() -> SqlReader:
            connection = PostgresConnection(where, READ_ONLY)
            return SqlReader(connection, connection.close)

        super().__init__(writing, self._transactions, loads, SqlReads(reader, psycopg.Error))
        self.inbox: PostgresInbox = PostgresInbox(where, self.reads)
        self._lease = lease
        self._lost = lost
        self._alone_at = alone_at
        if lease is not None:
            ownership.when_lost = lost
        self._ended = threading.Event()

    @classmethod
    def open(
        cls, where: str, span: float | None = None, lost: Callable[[], None] = lambda: None, wait: float = WAIT
    ) -> "PostgresStore":
        """Open a database, and make its tables if need be; call it in a running event loop. The call blocks.

        `where` is a connection string or URI of libpq. With `span` the store is held by a lease of so many seconds:
        `lost` is called in another thread before the lease ends, or when another bridge is found to have the place, and
        must end everything at once; the caller sends nothing before `alone` returns. `wait`: seconds to wait for
        another bridge that is ending. Raises LedgerInUse (by another bridge), ConfigurationError (of a newer
        release, of a kind that cannot be used) or StoreUnavailable (out of reach, no right to use it).
        """
        with contextlib.ExitStack() as opened:
            asking = PostgresConnection(where)
            opened.callback(asking.close)
            try:
                check_server(asking, OLDEST if span is None else OLDEST_WITH_STANDBY)
                sets = [session(asking)] if span is None else [session(asking), session_of_lease(span)]
                # A session without the lock must never write: after a break, `Ownership.renew` alone connects.
                writing = PostgresConnection(where, "; ".join(filter(None, sets)), by_itself=False)
                failed = opened.enter_context(contextlib.ExitStack())
                failed.callback(writing.close)
                writing.connect()
                ownership = Ownership(writing)
                ownership.lock(wait)
                migrate(writing)
                check_whole(writing)
                asked_at = lease_clock()
                may_act = ownership.take_place()
                if span is None:
                    store = cls(where, writing, ownership)
                else:
                    alone_at = lease_clock() + span if may_act else asked_at
                    store = cls(where, writing, ownership, Lease(span, asked_at), lost, alone_at)
            except psycopg.Error as error:
                raise unreachable(where, error) from error
            failed.pop_all()
        store._start()
        if store._lease is not None:
            store._keep_renewed(store._lease)
        return store

    def _keep_renewed(self, lease: Lease) -> None:
        """Renew a lease, and watch that it is renewed in time."""
        threading.Thread(target=self._watch, args=(lease,), name="store-lease", daemon=True).start()
        self._renew(lease)

    async def alone(self) -> None:
        """Return when the bridge that held the ledger before has ended; at once if it closed its store.

        Otherwise that takes one lease: since this store has the lock, the database has confirmed that bridge nothing.
        """
        left = self._alone_at - lease_clock()
        if left > 0:
            log.info("the bridge before has not released the ledger: this one serves in %.1f s, after its lease", left)
            await asyncio.sleep(left)

    def _renew(self, lease: Lease) -> None:
        """Commit something small, again and again: the event loop and the database must both be there for it."""
        if not self._ended.is_set():
            self.write(lambda _connection: None, lambda _error: None)
            self._loop.call_later(lease.pause, self._renew, lease)

    def _watch(self, lease: Lease) -> None:
        """Watch the lease in a thread, also while the event loop is held up or after the process was stopped."""
        while not self._ended.wait(lease.pause / 4):
            if lease.is_over(lease_clock()):
                self._lost()
                return

    async def close(self) -> None:
        """Finish all commits, report them, and close the connections. Later commits fail with StoreUnavailable."""
        self._ended.set()
        self._transactions.stopping.set()
        await self.inbox.close()
        if await self._stop():
            self._loading.close()
            self._ownership.release()
            self._writing.close()

    def status(self) -> dict[str, int]:
        """Return the numbers of `bridge.operations.types.state.StoreStatus`, by name."""
        counters = {"volume_full": self._transactions.volume_full, "files_lost": 0}
        return {**self._counters(), **counters, "bytes": self._transactions.size}
