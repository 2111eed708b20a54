"""Timers of a core without a clock: named moments with a handler for each kind, fired in order when time has passed."""

import heapq
from collections.abc import Callable

Key = tuple[str, str]  # what it is for, and whose
Handler = Callable[[str, float], None]  # whose, and the moment that the timer was set for


class Timers:
    """At most one moment per key. Times are wall-clock seconds."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._when: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def handle(self, kind: str, handler: Handler) -> None:
        """Call `handler` for each timer of this kind that is due."""
        self._handlers[kind] = handler

    def set(self, kind: str, name: str, when: float) -> None:
        """Set or move a timer."""
        self._count += 1
        self._when[kind, name] = (when, self._count)
        heapq.heappush(self._heap, (when, self._count, (kind, name)))

    def cancel(self, name: str, *kinds: str) -> None:
        """Forget timers of one name, set or not."""
        for kind in kinds:
            self._when.pop((kind, name), None)

    def when(self, kind: str, name: str) -> float | None:
        """Return the moment of a timer; None if it is not set."""
        found = self._when.get((kind, name))
        return found[0] if found else None

    def due(self) -> float | None:
        """Return the earliest moment; None without timers."""
        while self._heap:
            when, count, key = self._heap[0]
            if self._when.get(key) == (when, count):
                return when
            heapq.heappop(self._heap)
        return None

    def run(self, now: float) -> None:
        """Fire due timers, each at its own time, also those set meanwhile."""
        while (when := self.due()) is not None and when <= now:
            _, _, key = heapq.heappop(self._heap)
            del self._when[key]
            self._handlers[key[0]](key[1], when)
