"""The rows of endpoints' sources: assigned, kept and released within a transaction of the writer's thread."""

from typing import cast

from bridge.directory.allocation import Allocator
from bridge.directory.sources import Sources
from bridge.store.sql.connection import Connection

_WITHIN = "FROM north_source WHERE scheme = ? AND source >= ? AND source < ?"


class UsedSources:
    """`bridge.directory.allocation.Used` over the table."""

    def __init__(self, connection: Connection, scheme: str) -> None:
        self._connection = connection
        self._scheme = scheme

    def largest(self, numbers: range) -> int | None:
        return self._first(f"SELECT max(source) {_WITHIN}", numbers)

    def smallest(self, numbers: range) -> int | None:
        return self._first(f"SELECT min(source) {_WITHIN}", numbers)

    def rested(self, numbers: range, before: float) -> int | None:
        return self._first(f"SELECT source {_WITHIN} AND released_at < ? ORDER BY released_at LIMIT 1", numbers, before)

    def _first(self, question: str, numbers: range, *more: float) -> int | None:
        row = self._connection.execute(question, (self._scheme, numbers.start, numbers.stop, *more)).fetchone()
        return None if row is None else cast("int | None", row[0])


class Giver:
    """Assigns endpoints their sources, within one transaction."""

    def __init__(self, connection: Connection, sources: Sources, now: float) -> None:
        self._connection = connection
        self._sources = sources
        self._now = now
        self._allocator = Allocator(UsedSources(connection, sources.scheme), sources, now)

    def give(self, endpoint: int, shard: int) -> tuple[int, int]:
        """Assign a source to an endpoint that has none, of this shard if there is room; return it and its shard.

        Raises DirectoryError if all are in use, or were so until recently.
        """
        number, shard = self._allocator.free(shard)
        self._put(endpoint, number, shard)
        return number, shard

    def _put(self, endpoint: int, number: int, shard: int) -> None:
        self._connection.execute(
            # The source that it replaces was unused for long enough.
            "INSERT INTO north_source (scheme, source, endpoint, locals, given_at, released_at, shard)"
            " VALUES (?, ?, ?, ?, ?, NULL, ?) ON CONFLICT (scheme, source) DO UPDATE SET endpoint = excluded.endpoint,"
            " locals = excluded.locals, given_at = excluded.given_at, released_at = NULL, shard = excluded.shard",
            (self._sources.scheme, number, endpoint, " ".join(self._sources.seen(number)), self._now, shard),
        )

    def renew(self, endpoint: int, shard: int) -> int:
        """Make sure that an endpoint has a source of the current scheme and range; it keeps one that is.

        Return its shard. Raises DirectoryError as `give` does; then the endpoint keeps its source.
        """
        sources = self._sources
        had = self._connection.execute(
            "SELECT scheme, source FROM north_source WHERE endpoint = ? AND released_at IS NULL", (endpoint,)
        ).fetchone()
        if had is None or had[0] != sources.scheme or had[1] not in sources.numbers:
            number, shard = self._allocator.free(shard)  # before the release: a refusal changes nothing
            release(self._connection, endpoint, self._now)
            self._put(endpoint, number, shard)
            return shard
        present = sources.shard_of(had[1])
        shard = shard if present is None else present
        self._connection.execute(
            "UPDATE north_source SET locals = ?, shard = ? WHERE scheme = ? AND source = ?",
            (" ".join(sources.seen(had[1])), shard, *had),
        )
        return shard


def release(connection: Connection, endpoint: int, now: float) -> None:
    """Release an endpoint's source; it is not assigned again for REUSE_AFTER."""
    connection.execute(
        "UPDATE north_source SET released_at = ? WHERE endpoint = ? AND released_at IS NULL", (now, endpoint)
    )
