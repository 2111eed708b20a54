"""The store in one SQLite file (`bridge.store.contract.Store`)."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw

from bridge.store.sql.loads import Loads
from bridge.store.sql.reads import SqlReads
from bridge.store.sql.store import SqlStore
from bridge.store.sqlite.connection import check, connect_reader, connect_writer, end
from bridge.store.sqlite.files import Files
from bridge.store.sqlite.lock import ProcessLock
from bridge.store.sqlite.reader import Reader
from bridge.store.sqlite.schema import migrate
from bridge.store.sqlite.transactions import SqliteTransactions
from bridge.store.sqlite.volume import Volume, check_minimum, measure
from bridge.store.sqlite.wal import Wal


class SqliteStore(SqlStore):
    """Made by `open`."""

    def __init__(
        self,
        path: Path,
        lock: ProcessLock,
        files: Files,
        writing: apsw.Connection,
        loading: apsw.Connection,
        measure: Callable[[Path], Volume | None],
    ) -> None:
        self.path = path
        self._lock = lock
        self._files = files
        self._writing = writing
        self._loading = loading
        self._transactions = SqliteTransactions(writing, files, Wal(writing, path, files.mark, measure))
        loads = Loads(loading, asyncio.get_running_loop(), apsw.Error)
        super().__init__(writing, self._transactions, loads, SqlReads(partial(Reader.open, path), apsw.Error))

    @classmethod
    def open(
        cls,
        path: Path,
        connect: Callable[[Path], apsw.Connection] = connect_writer,
        measure: Callable[[Path], Volume | None] = measure,
    ) -> "SqliteStore":
        """Open the database, or create it; call this in a running event loop. The call blocks during the check.

        `connect` opens the writing connection, `measure` says how much room a directory has. Raises ConfigurationError
        (in use by another process, of another program, of a newer release, on a volume too small) or StoreUnavailable
        (damaged, no space, no right to write).
        """
        directory = path.absolute().parent
        check_minimum(directory, measure(directory))
        lock = ProcessLock(path)
        with contextlib.ExitStack() as opened:
            opened.callback(lock.release)
            writing = connect(path)
            opened.callback(writing.close)
            check(writing, path)
            migrate(writing)
            loading = connect_reader(path)
            opened.callback(loading.close)
            files = Files(path)
            store = cls(path, lock, files, writing, loading, measure)
            opened.pop_all()
        store._start()
        return store

    async def close(self) -> None:
        """Finish all commits, report their results, and close the file. Later commits fail with StoreUnavailable."""
        if not await self._stop():
            return
        self._loading.close()
        end(self._writing, whole=self._transactions.are_files_unchanged())
        self._files.close()
        self._lock.release()

    def status(self) -> dict[str, int]:
        """Return the numbers of `bridge.operations.types.state.StoreStatus`, by name."""
        return {
            **self._counters(),
            "volume_full": self._transactions.volume_full,
            "files_lost": self._transactions.files_lost,
            "bytes": self._files.size,
        }
