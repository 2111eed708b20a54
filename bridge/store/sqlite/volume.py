"""The free room on the volume of a database, and how long its WAL may become there."""

import os
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigurationError

MINIMUM = 8 << 20  # bytes that a volume must have: an empty database and its WAL take 1 MB
MOST_PAGES = 4000  # 16 MiB of WAL between checkpoints: fewer pauses than SQLite's 1000 pages
PAGE = 4096  # bytes
FRAME = PAGE + 24  # bytes of a page in the WAL
WAL_SHARE = 32  # a WAL is checkpointed when it takes this part of the volume
KEPT = 4  # times that length stay allocated, so that a WAL has room on a volume that became full


@dataclass(frozen=True, slots=True)
class Volume:
    """Size and free room of a file system, in bytes."""

    size: int
    free: int

    def __str__(self) -> str:
        return f"{self.free / 1e6:.1f} of {self.size / 1e6:.1f} MB free"


def measure(directory: Path) -> Volume | None:
    """Return the volume that a directory is on, or None if the file system does not say."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    if not found.f_blocks:
        return None  # some network file systems do not know
    return Volume(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


@dataclass(frozen=True, slots=True)
class WalLimits:
    """How much of a volume a WAL may take.

    `pages`: the WAL is checkpointed when it has this many. `kept`: bytes of its file that stay allocated. `reserve`:
    bytes of the volume that the database leaves free, so that the WAL can always be written and checkpointed.
    """

    pages: int
    kept: int
    reserve: int

    @classmethod
    def of(cls, volume: Volume | None) -> "WalLimits":
        pages = MOST_PAGES if volume is None else min(MOST_PAGES, volume.size // WAL_SHARE // PAGE)
        return cls(pages, KEPT * pages * FRAME, 2 * pages * FRAME)


def check_minimum(directory: Path, volume: Volume | None) -> None:
    """Raise ConfigurationError if a directory's volume is too small for any database."""
    if volume is not None and volume.size < MINIMUM:
        raise ConfigurationError(
            f"the volume of {directory} has {volume.size / 1e6:.1f} MB; the database needs at least "
            f"{MINIMUM / 1e6:.1f} MB: put the state directory on a larger one"
        )
