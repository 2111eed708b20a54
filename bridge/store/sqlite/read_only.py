"""A ledger's file for reading while no service runs: nothing is created, locked or changed."""

import asyncio
import contextlib
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

import apsw

from bridge.errors import NotRunning
from bridge.store.contract import Done
from bridge.store.sqlite.access import SqliteAccess
from bridge.store.sqlite.connection import connect_reader
from bridge.store.sqlite.direct import SqliteDirect
from bridge.store.sqlite.directory import SqliteDirectory
from bridge.store.sqlite.fleet import SqliteFleet
from bridge.store.sqlite.loads import Loads
from bridge.store.sqlite.outbox import SqliteOutbox
from bridge.store.sqlite.reads import SqliteReads

T = TypeVar("T")


class ReadOnlyStore:
    """The directory and the ledger of `bridge.store.contract.Store`, read only. The caller must close it."""

    def __init__(self, path: Path) -> None:
        """Open a file in a running event loop. Raises ConfigurationError or StoreUnavailable."""
        self.path = path
        self._connection = connect_reader(path)
        self.loads = Loads(self._connection, asyncio.get_running_loop())
        self.loads.start()
        self.reads = SqliteReads(path)
        self.fleet = SqliteFleet(self, writable=False)
        self.access = SqliteAccess(self)
        self.outbox = SqliteOutbox(self)
        self.direct = SqliteDirect(self)
        self.directory = SqliteDirectory(self, self._connection.execute("SELECT count(*) FROM endpoint").get)

    async def run(self, work: Callable[[apsw.Connection], T], *, directory: bool = False) -> T:  # noqa: ARG002  # as `Engine` has it
        raise self._refusal()

    def write(self, work: Callable[[apsw.Connection], None], done: Done, *, touches: tuple[Hashable, ...] = ()) -> None:  # noqa: ARG002  # as `Engine` has it
        done(self._refusal())

    def status(self) -> dict[str, int]:
        """Return the same counters as an open store; nothing was written."""
        size = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
        counters = dict.fromkeys(("rows", "groups", "failures", "waiting", "volume_full", "files_lost"), 0)
        return {**counters, "bytes": size}

    async def close(self) -> None:
        self.loads.stop()
        self.reads.close()
        self._connection.close()

    def _refusal(self) -> NotRunning:
        return NotRunning(f"{self.path} was opened for reading only")
