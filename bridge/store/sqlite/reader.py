"""Queries of the ledger for operations. Read only."""

from pathlib import Path

from bridge.store.sql.reader import SqlReader
from bridge.store.sqlite.connection import connect_reader
from bridge.store.sqlite.registered import add_function


class Reader(SqlReader):
    """A read connection of its own. Reads work beside a running service and without one."""

    @classmethod
    def open(cls, path: Path) -> "Reader":
        """Open a database to read. Raises ConfigurationError or StoreUnavailable."""
        connection = connect_reader(path)
        add_function(connection)
        return cls(connection, connection.close)
