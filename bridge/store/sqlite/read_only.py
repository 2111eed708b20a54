"""A ledger's file for reading while no service runs: nothing is created, locked or changed."""

import asyncio
import contextlib
from functools import partial
from pathlib import Path

import apsw

from bridge.store.sql.connection import value_of
from bridge.store.sql.loads import Loads
from bridge.store.sql.read_only import ReadOnlySqlStore
from bridge.store.sql.reads import SqlReads
from bridge.store.sqlite.connection import connect_reader
from bridge.store.sqlite.reader import Reader


class ReadOnlyStore(ReadOnlySqlStore):
    """Made with the path of the file."""

    def __init__(self, path: Path) -> None:
        """Open a file in a running event loop. Raises ConfigurationError or StoreUnavailable."""
        self.path = path
        connection = connect_reader(path)
        endpoints = value_of(connection, "SELECT count(*) FROM endpoint")
        loads = Loads(connection, asyncio.get_running_loop(), apsw.Error)
        reads = SqlReads(partial(Reader.open, path), apsw.Error)
        super().__init__(str(path), endpoints, loads, reads, connection.close)

    def status(self) -> dict[str, int]:
        size = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
        return {**super().status(), "bytes": size}
