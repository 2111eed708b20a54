"""Giving endpoints their sources, within a transaction of the writer's thread."""

import apsw

from bridge.directory.sources import REUSE_AFTER, Sources
from bridge.errors import DirectoryError


class Allocator:
    """Gives sources within one transaction, in the writer's thread."""

    def __init__(self, connection: apsw.Connection, sources: Sources, now: float) -> None:
        self._connection = connection
        self._sources = sources
        self._now = now
        self._next: int | None = None

    def give(self, endpoint: int) -> tuple[int, tuple[str, ...]]:
        """Give an endpoint that has none a source, one that nobody ever had if there is one.

        Raises DirectoryError if all are in use, or were until lately.
        """
        return self._put(endpoint, self._free())

    def renew(self, endpoint: int) -> None:
        """See to it that an endpoint has a source of the present scheme and range, the one it had if that is in it.

        Raises DirectoryError as `give` does; the endpoint keeps what it had then.
        """
        sources = self._sources
        had: tuple[str, int, str] | None = self._connection.execute(
            "SELECT scheme, source, locals FROM north_source WHERE endpoint = ? AND released_at IS NULL", (endpoint,)
        ).fetchone()
        if had is None or had[0] != sources.scheme or had[1] not in sources.numbers:
            number = self._free()
            release(self._connection, endpoint, self._now)
            self._put(endpoint, number)
        elif had[2] != (seen := " ".join(sources.seen(had[1]))):
            self._connection.execute(
                "UPDATE north_source SET locals = ? WHERE scheme = ? AND source = ?", (seen, *had[:2])
            )

    def _put(self, endpoint: int, number: int) -> tuple[int, tuple[str, ...]]:
        seen = self._sources.seen(number)
        self._connection.execute(
            "INSERT OR REPLACE INTO north_source VALUES (?, ?, ?, ?, ?, NULL)",  # replaces a row that has rested
            (self._sources.scheme, number, endpoint, " ".join(seen), self._now),
        )
        return number, seen

    def _free(self) -> int:
        number = self._unused()
        return self._rested() if number is None else number

    def _unused(self) -> int | None:
        numbers = self._sources.numbers
        span = (self._sources.scheme, numbers.start, numbers.stop)
        if self._next is None:
            largest = self._connection.execute(
                "SELECT max(source) FROM north_source WHERE scheme = ? AND source >= ? AND source < ?", span
            ).get
            self._next = numbers.start if largest is None else largest + 1
        if self._next in numbers:
            self._next += 1
            return self._next - 1
        # Only when the end is reached: the range may have been made larger at its beginning.
        first = self._connection.execute(
            "SELECT min(source) FROM north_source WHERE scheme = ? AND source >= ? AND source < ?", span
        ).get
        if first is not None and first > numbers.start:
            return int(first) - 1
        return None

    def _rested(self) -> int:
        """Give the source that has been free for the longest time, if that is long enough."""
        sources = self._sources
        row = self._connection.execute(
            "SELECT source FROM north_source WHERE scheme = ? AND released_at < ? AND source >= ? AND source < ?"
            " ORDER BY released_at LIMIT 1",
            (sources.scheme, self._now - REUSE_AFTER, sources.numbers.start, sources.numbers.stop),
        ).fetchone()
        if row is None:
            what = "ports" if sources.scheme == "ports" else "addresses"
            raise DirectoryError(
                f"no {what} are left for another endpoint: all {len(sources.numbers)} are in use, or were until less "
                f"than {REUSE_AFTER / 86400:.0f} days ago; configure a larger range under [north]"
            )
        return int(row[0])


def release(connection: apsw.Connection, endpoint: int, now: float) -> None:
    """Take an endpoint's source back; nobody gets it for REUSE_AFTER."""
    connection.execute(
        "UPDATE north_source SET released_at = ? WHERE endpoint = ? AND released_at IS NULL", (now, endpoint)
    )
