"""A disk that is full for one bridge: no file of it may grow any more."""

import resource

from tests.e2e.kit import SetUp

WRITTEN = 32 * 1024  # bytes that the log has at least, and that no file may grow beyond while the disk is full


def is_long(found: SetUp) -> bool:
    """Return whether the write-ahead log cannot be written below the limit any more."""
    wal = found.lab.directory / "bridge.db-wal"
    return wal.stat().st_size >= 2 * WRITTEN


def limit(found: SetUp, size: int) -> None:
    pid = found.bridge.process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
