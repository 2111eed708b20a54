"""Timers of a core without a clock: named moments, taken out in order when they are due."""

import heapq
from collections.abc import Iterator

Key = tuple[str, str]  # what it is for, and whose


class Timers:
    """At most one moment per key."""

    def __init__(self) -> None:
        self._when: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def set(self, key: Key, when: float) -> None:
        """Set or move a timer."""
        self._count += 1
        self._when[key] = (when, self._count)
        heapq.heappush(self._heap, (when, self._count, key))

    def cancel(self, *keys: Key) -> None:
        """Forget timers, set or not."""
        for key in keys:
            self._when.pop(key, None)

    def when(self, key: Key) -> float | None:
        """Give the moment of a timer; None if it is not set."""
        found = self._when.get(key)
        return found[0] if found else None

    def due(self) -> float | None:
        """Give the earliest moment; None without timers."""
        while self._heap:
            when, count, key = self._heap[0]
            if self._when.get(key) == (when, count):
                return when
            heapq.heappop(self._heap)
        return None

    def pop(self, now: float) -> Iterator[tuple[float, Key]]:
        """Take out what is due, in order, also what is set meanwhile."""
        while (when := self.due()) is not None and when <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._when[key]
            yield when, key
