"""Checks that the files that the store has open are still the ones on the disk.

If somebody removes or replaces an open file, the process keeps the old one, and SQLite goes on in it: every commit
succeeds, and all of them are gone when the process ends. The same happens if the WAL is truncated. So the writer checks
the files before each transaction, and commits nothing while something is wrong.
"""

import os
from pathlib import Path

from bridge.errors import StoreUnavailable
from bridge.store.sqlite.volume import FRAME
from bridge.store.sqlite.wal import Wal

MAGIC = b"SQLite format 3\0"
WAL_MAGIC = b"\x37\x7f\x06"  # and one bit for the byte order of its checksums
USER_VERSION = slice(60, 64)  # of the header
HEADER = 100  # bytes
WAL_HEADER = 32  # bytes
CURE = "what arrived since then cannot be stored; see “A file of the ledger is gone” in docs/operations.md"


class Files:
    """The database, its WAL, the WAL's index and the lock file, as they were when the store was opened."""

    def __init__(self, database: Path) -> None:
        """Record the files; SQLite must have them open. Raises OSError."""
        self._database = str(database)
        self._wal = f"{database}-wal"
        self._opened = [
            (name, _identity(name)) for name in (self._database, self._wal, f"{database}-shm", f"{database}.lock")
        ]
        # Closing one descriptor of the database drops all locks that this process has on it: `close` must come last.
        self._fd = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
        self._wal_fd = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def mark(self) -> int:
        """Return the number that `bridge.store.sqlite.wal` keeps in the header of the database's file."""
        return _mark(self._header())

    def close(self) -> None:
        """Close the files, after SQLite closed them."""
        os.close(self._fd)
        os.close(self._wal_fd)

    @property
    def size(self) -> int:
        """Return the size of the database and its WAL in bytes."""
        return os.fstat(self._fd).st_size + os.fstat(self._wal_fd).st_size

    def check(self, wal: Wal) -> None:
        """Raise StoreUnavailable, with the cure, unless all files are as the store left them."""
        for name, opened in self._opened:
            try:
                found = _identity(name)
            except FileNotFoundError:
                raise _gone(name, "was removed") from None
            except OSError as error:
                raise _gone(name, f"cannot be reached ({error.strerror})") from error
            if found != opened:
                raise _gone(name, "was replaced by another file")
        try:
            header = self._header()
            if not header.startswith(MAGIC) or _mark(header) < wal.mark:
                raise _gone(self._database, "was overwritten")
            # Another process may have checkpointed the WAL properly: then SQLite is asked, twice if it
            # happens between two queries. Asking each time would double the cost of this check.
            if self._is_cut(wal.pages) and all(self._is_cut(wal.count()) for _ in range(3)):
                raise _gone(self._wal, "was emptied or overwritten")
        except OSError as error:
            raise _gone(self._database, f"cannot be read ({error.strerror})") from error

    def _header(self) -> bytes:
        return os.pread(self._fd, HEADER, 0)

    def _is_cut(self, pages: int) -> bool:
        if not pages:
            return False
        if os.fstat(self._wal_fd).st_size < WAL_HEADER + pages * FRAME:
            return True
        return os.pread(self._wal_fd, len(WAL_MAGIC), 0) != WAL_MAGIC


def _mark(header: bytes) -> int:
    return int.from_bytes(header[USER_VERSION])


def _identity(name: str) -> tuple[int, int]:
    found = os.stat(name)  # noqa: PTH116  # before each transaction: a Path costs as much again
    return found.st_dev, found.st_ino


def _gone(name: str, what: str) -> StoreUnavailable:
    return StoreUnavailable(f"{name} {what} under the service: {CURE}")
