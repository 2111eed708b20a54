"""A ledger in PostgreSQL, to be looked at while no service runs."""

import asyncio
import contextlib

import psycopg

from bridge.errors import NotRunning
from bridge.store.postgres.connection import READ_ONLY, PostgresConnection, unreachable
from bridge.store.postgres.schema import check_readable
from bridge.store.sql.connection import value_of
from bridge.store.sql.loads import Loads
from bridge.store.sql.read_only import ReadOnlySqlStore
from bridge.store.sql.reader import SqlReader
from bridge.store.sql.reads import SqlReads


class ReadOnlyPostgresStore(ReadOnlySqlStore):
    """Nothing is made, locked or changed."""

    def __init__(self, where: str) -> None:
        """Open a database in a running event loop.

        Raises NotRunning (no service made its tables yet), ConfigurationError (made by another release) or
        StoreUnavailable.
        """
        connection = PostgresConnection(where, READ_ONLY)
        with contextlib.ExitStack() as failed:
            failed.callback(connection.close)
            try:
                if not check_readable(connection):
                    raise NotRunning("there is no ledger in the database yet: the first start of the service makes it")
                endpoints = value_of(connection, "SELECT count(*) FROM endpoint")
            except psycopg.Error as error:
                raise unreachable(where, error) from error
            failed.pop_all()

        def reader() -> SqlReader:
            asking = PostgresConnection(where, READ_ONLY)
            return SqlReader(asking, asking.close)

        loads = Loads(connection, asyncio.get_running_loop(), psycopg.Error)
        super().__init__("the database", endpoints, loads, SqlReads(reader, psycopg.Error), connection.close)
