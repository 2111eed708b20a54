"""The WAL, and the room it needs: when it is checkpointed, and what can be written on a full volume.

SQLite checkpoints the WAL into the database when it has a number of pages. On a small or full volume the WAL could take
the room that the database needs for that: then nothing could be written, not even to remove old rows. So the WAL is
kept short for its volume. On a volume that is nearly full the database no longer grows: a transaction that needs
another page is refused, and one that removes or changes rows succeeds in the room that is reserved for the WAL.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import apsw

from bridge.errors import StoreUnavailable
from bridge.store.sqlite.volume import Volume, WalLimits

UNLIMITED = 0xFFFF_FFFE  # pages: the maximum of SQLite
CURE = "make room there, or keep messages for a shorter time ([service] retention)"

log = logging.getLogger(__name__)


class Wal:
    """The WAL of a writing connection. All methods are called in the writer's thread.

    `mark` is a number in the header of the database's file. The number rises with each complete checkpoint, so that an
    earlier copy of the file has a smaller one.
    """

    def __init__(
        self, connection: apsw.Connection, database: Path, mark: int, measure: Callable[[Path], Volume | None]
    ) -> None:
        self.mark = mark
        self._marked = False  # the WAL has the next mark
        self._connection = connection
        self._directory = database.absolute().parent
        self._measure = measure
        self._limits = WalLimits.of(measure(self._directory))
        self._page = int(connection.pragma("page_size"))
        self.pages = self.count()  # pages in the WAL since it last began
        self._emptied = 0  # of them, pages that are in the database, too
        self.is_short = False  # short of room: the database must not grow
        connection.execute(f"PRAGMA journal_size_limit = {self._limits.kept}")
        connection.set_wal_hook(self._committed)

    def count(self) -> int:
        """Return the number of pages in the WAL."""
        return max(0, int(self._connection.execute("PRAGMA wal_checkpoint(NOOP)").fetchone()[1]))  # type: ignore[index]  # it has a row

    @property
    def is_long(self) -> bool:
        """Return whether a checkpoint is due."""
        return self.pages - self._emptied >= self._limits.pages

    def empty(self) -> bool:
        """Checkpoint the WAL; return whether no page is left, so that the WAL begins anew.

        A running reader, or a disk that refuses, leaves some pages.
        """
        try:
            self.pages, self._emptied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            log.warning("the WAL cannot be emptied into the database: %s", error)
            return False
        if self._emptied < self.pages:
            return False
        if self._marked:
            self._marked = False
            self.mark += 1
        return True

    def before_commit(self) -> None:
        """Write the next mark, within the first transaction since the last complete checkpoint."""
        if not self._marked:
            self._connection.execute(f"PRAGMA user_version = {self.mark + 1}")

    def make_room(self) -> None:
        """Make sure that a transaction can be written, and checkpointed afterwards.

        Raises StoreUnavailable if the volume is full and the WAL cannot be checkpointed.
        """
        volume = self._measure(self._directory)
        if volume is None:
            return
        needed = (self.pages - self._emptied) * self._page + self._limits.reserve
        if self.is_short:
            if volume.free > 2 * needed:
                self.is_short = False
                self._connection.execute(f"PRAGMA max_page_count = {UNLIMITED}")
                log.info("the volume of %s has room again: %s", self._directory, volume)
            return
        if volume.free >= needed:
            return
        if not self.empty():
            raise StoreUnavailable(f"the store cannot write: {self.full()}")
        self.is_short = True
        self._connection.execute("PRAGMA max_page_count = 1")  # SQLite raises this to the existing number of pages
        log.error("the database is not allowed to grow: %s", self.full())

    def full(self) -> str:
        """Return the error text for a full volume, with the cure."""
        return f"the volume of {self._directory} is full ({self._measure(self._directory) or 'size unknown'}): {CURE}"

    def _committed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if self._emptied >= self.pages or pages < self.pages:  # this commit began the WAL anew, or may have done so
            self._emptied = 0
        self.pages = pages
        self._marked = True
        return apsw.SQLITE_OK
