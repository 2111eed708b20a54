"""Rows with an outcome that are still needed for a while, oldest first."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import TypeVar

from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.rows import FOREVER
from bridge.delivery.uplinks import Uplink

R = TypeVar("R", bound=ServerRequest | Uplink)


class KeptRows(dict[int, R]):
    """Rows by id, in the order in which they were kept. Only `keep` adds rows."""

    __slots__ = ("_times", "soonest")

    def __init__(self) -> None:
        super().__init__()
        # A heap of (keep_until, id); it may contain rows that were dropped before.
        self._times: list[tuple[float, int]] = []
        self.soonest = FOREVER  # the earliest keep_until of all rows

    def keep(self, row: R) -> None:
        """Keep a row until its `keep_until`."""
        self[row.id] = row
        heappush(self._times, (row.keep_until, row.id))
        self.soonest = self._times[0][0]

    def renew(self, row: R) -> None:
        """Move a row that is needed again to the end, until its new `keep_until`."""
        self.pop(row.id, None)
        self.keep(row)

    def forget(self, now: float) -> list[R]:
        """Drop the rows that are no longer needed at wall time `now`; return them."""
        times = self._times
        dropped: list[R] = []
        while times and times[0][0] <= now:
            row = self.get(heappop(times)[1])
            if row is None:
                continue
            if row.keep_until <= now:
                del self[row.id]
                dropped.append(row)
            else:  # its keep_until was moved since
                heappush(times, (row.keep_until, row.id))
        self.soonest = times[0][0] if times else FOREVER
        return dropped

    def make_room(self, most: int, may_go: Callable[[R], bool]) -> list[R]:
        """Drop the oldest beyond `most` of the rows that may be dropped early (R30); return them."""
        excess = len(self) - most
        if excess <= 0:
            return []
        dropped = list(islice(filter(may_go, self.values()), excess))
        for row in dropped:
            del self[row.id]
        if len(self._times) > 2 * (len(self) + most):
            self._times = [(row.keep_until, row.id) for row in self.values()]
            heapify(self._times)
        return dropped
