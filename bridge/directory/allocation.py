"""Chooses the source of an endpoint: the number of its own address toward servers, and thereby its shard."""

from typing import Protocol

from bridge.directory.sources import REUSE_AFTER, Sources
from bridge.errors import DirectoryError
from bridge.north.udp.prefixes import SHARDS


def shard_of_new(endpoint: int) -> int:
    """Return the preferred shard of a new endpoint with this id: each shard in turn."""
    return (endpoint - 1) % SHARDS


class Used(Protocol):
    """The sources of one scheme in a table, assigned or released."""

    def largest(self, numbers: range) -> int | None:
        """Return the largest one within `numbers`."""

    def smallest(self, numbers: range) -> int | None:
        """Return the smallest one within `numbers`."""

    def rested(self, numbers: range, before: float) -> int | None:
        """Return the source within `numbers` that was released first, if before wall time `before`."""


class Allocator:
    """Finds free sources within one transaction. The caller adds each result to the table before the next call."""

    def __init__(self, used: Used, sources: Sources, now: float) -> None:
        self._used = used
        self._sources = sources
        self._now = now
        self._next: dict[range, int] = {}

    def free(self, shard: int) -> tuple[int, int]:
        """Return a source, preferably a never used one, and its shard: the given one if it has room.

        Raises DirectoryError if all are in use, or were until lately.
        """
        number = self._unused_in(shard)
        if number is None:
            number = self._rested_in(shard)
        if number is None and self._sources.divided:
            found = (self._unused_in(other % SHARDS) for other in range(shard + 1, shard + SHARDS))
            number = next((one for one in found if one is not None), None)
        if number is None:
            number = self._used.rested(self._sources.numbers, self._now - REUSE_AFTER)
        if number is not None:
            present = self._sources.shard_of(number)
            return number, shard if present is None else present
        sources = self._sources
        what = "ports" if sources.scheme == "ports" else "addresses"
        raise DirectoryError(
            f"no {what} are left for another endpoint: all {len(sources.numbers)} are in use, or were until less "
            f"than {REUSE_AFTER / 86400:.0f} days ago; configure a larger range under [north]"
        )

    def _unused_in(self, shard: int) -> int | None:
        found = map(self._unused, self._sources.part(shard))
        return next((number for number in found if number is not None), None)

    def _rested_in(self, shard: int) -> int | None:
        found = (self._used.rested(part, self._now - REUSE_AFTER) for part in self._sources.part(shard))
        return next((number for number in found if number is not None), None)

    def _unused(self, numbers: range) -> int | None:
        if numbers not in self._next:
            largest = self._used.largest(numbers)
            self._next[numbers] = numbers.start if largest is None else largest + 1
        if self._next[numbers] in numbers:
            self._next[numbers] += 1
            return self._next[numbers] - 1
        # Only at the end of the range: it may have been extended at its beginning.
        first = self._used.smallest(numbers)
        return first - 1 if first is not None and first > numbers.start else None
