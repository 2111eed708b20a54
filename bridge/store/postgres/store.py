"""The store in a PostgreSQL database: opened and closed."""

import asyncio
import contextlib

import psycopg

from bridge.store.postgres.connection import READ_ONLY, PostgresConnection, unreachable
from bridge.store.postgres.ownership import Ownership
from bridge.store.postgres.schema import check_server, check_whole, migrate, session
from bridge.store.postgres.transactions import PostgresTransactions
from bridge.store.sql.loads import Loads
from bridge.store.sql.reader import SqlReader
from bridge.store.sql.reads import SqlReads
from bridge.store.sql.store import SqlStore


class PostgresStore(SqlStore):
    """Made by `open`."""

    def __init__(self, where: str, writing: PostgresConnection, ownership: Ownership) -> None:
        self._writing = writing
        self._ownership = ownership
        self._loading = PostgresConnection(where, READ_ONLY)
        self._transactions = PostgresTransactions(writing, ownership)
        loads = Loads(self._loading, asyncio.get_running_loop(), psycopg.Error)

        def reader() -> SqlReader:
            connection = PostgresConnection(where, READ_ONLY)
            return SqlReader(connection, connection.close)

        super().__init__(writing, self._transactions, loads, SqlReads(reader, psycopg.Error))

    @classmethod
    def open(cls, where: str) -> "PostgresStore":
        """Open a database, and make its tables if need be; call it in a running event loop. It blocks.

        `where` is a connection string or URI of libpq. Raises ConfigurationError (in use by another bridge, of a newer
        release, of a kind that cannot be used) or StoreUnavailable (out of reach, no right to use it).
        """
        with contextlib.ExitStack() as opened:
            asking = PostgresConnection(where)
            opened.callback(asking.close)
            try:
                check_server(asking)
                writing = PostgresConnection(where, session(asking))
                failed = opened.enter_context(contextlib.ExitStack())
                failed.callback(writing.close)
                ownership = Ownership(writing)
                ownership.lock()
                migrate(writing)
                check_whole(writing)
                ownership.take()
                store = cls(where, writing, ownership)
            except psycopg.Error as error:
                raise unreachable(where, error) from error
            failed.pop_all()
        store._start()
        return store

    async def close(self) -> None:
        """Finish all commits, tell them, and let go of the database. Later commits fail with StoreUnavailable."""
        self._transactions.stopping.set()
        if await self._stop():
            self._loading.close()
            self._ownership.release()
            self._writing.close()

    def status(self) -> dict[str, int]:
        """Return the numbers of `bridge.operations.types.state.StoreStatus`, by name."""
        counters = {"volume_full": self._transactions.volume_full, "files_lost": 0}
        return {**self._counters(), **counters, "bytes": self._transactions.size}
