"""Wake-up times of all endpoints on one timer of the event loop."""

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf

SPARE = 64  # stale entries up to which the heap is not rebuilt


class Alarms:
    """Wakes each endpoint once, at the time last set for it.

    Nearly every message sets or clears a time: a timer of asyncio for each would cost ten times as much. A time
    that is cleared or moved later stays in the heap; when it is reached, the endpoint's current time is read.
    """

    def __init__(self, wake: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake = wake
        self._due: dict[int, float] = {}  # endpoint → when it is to be woken, by the event loop's clock
        self._marks: dict[int, float] = {}  # endpoint → its first entry in the heap, not later than its wake-up time
        self._heap: list[tuple[float, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    def set(self, endpoint: int, seconds: float) -> None:
        """Wake this endpoint after `seconds`, instead of at the time set before."""
        at = self._loop.time() + seconds
        self._due[endpoint] = at
        if at < self._marks.get(endpoint, inf):
            self._mark(endpoint, at)

    def clear(self, endpoint: int) -> None:
        """Do not wake this endpoint."""
        self._due.pop(endpoint, None)

    def hasten(self, seconds: float) -> None:
        """Wake all endpoints `seconds` earlier: the wall clock was set forward."""
        self._due = {endpoint: at - seconds for endpoint, at in self._due.items()}
        self._marks = dict(self._due)
        self._heap = [(at, endpoint) for endpoint, at in self._due.items()]
        heapify(self._heap)
        self._arm()

    def clear_all(self) -> None:
        """Wake no endpoint any more."""
        self._due.clear()
        self._marks.clear()
        self._heap.clear()
        self._arm()

    def _mark(self, endpoint: int, at: float) -> None:
        self._marks[endpoint] = at
        heappush(self._heap, (at, endpoint))
        if len(self._heap) > 2 * len(self._marks) + SPARE:
            self._heap = [(first, one) for one, first in self._marks.items()]
            heapify(self._heap)
        if self._timer is None or at < self._timer.when():
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._heap[0][0], self._ring) if self._heap else None

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        try:
            while self._heap and self._heap[0][0] <= now:
                at, endpoint = heappop(self._heap)
                if self._marks.get(endpoint) == at:
                    del self._marks[endpoint]
                    self._look(endpoint, now)
        finally:
            self._arm()

    def _look(self, endpoint: int, now: float) -> None:
        due = self._due.get(endpoint)
        if due is None:
            return
        if due > now:
            self._mark(endpoint, due)
            return
        del self._due[endpoint]
        self._wake(endpoint)
