"""Keeps a second process away from a database: a lock file beside it, locked until the process ends."""

import fcntl
import os
from pathlib import Path

from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.store.sqlite.owner import cure, hand_over


class ProcessLock:
    """An flock on `<database>.lock`. The kernel releases it with the process, even after a crash."""

    def __init__(self, database: Path) -> None:
        """Take the lock.

        Raises ConfigurationError if another process has it, StoreUnavailable if the file cannot be written.
        """
        path = database.with_name(database.name + ".lock")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StoreUnavailable(f"cannot write {path}: {error.strerror}; {cure(path)}") from error
        hand_over(path)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            who = f"process {holder}" if holder else "another process"
            raise ConfigurationError(
                f"{database} is in use by {who}: stop that one, or give this one another state_directory"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Release the lock; the file stays, because removing it would let two processes in."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
