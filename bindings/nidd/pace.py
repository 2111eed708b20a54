"""How fast configurations are created: as fast as the SCEF handles them. No I/O, no clock; times in seconds.

Like the congestion window of TCP (RFC 5681): the number of concurrent requests grows while they succeed, and is halved
if the SCEF is overloaded, down, or slower than at its best. If even one at a time is too much, there is a pause
between two. Nothing needs to be known about the SCEF before.
"""

_FIRST = 4.0  # concurrent requests at the beginning
_SLOWER = 4.0  # times the best answer time that count as overload...
_SLOW = 1.0  # ... if they are as long as this, seconds
_GROWTH = 0.5  # growth of the window per second, at most, after the first overload
_GAP = 0.05  # seconds between two requests if one at a time was too much; doubles with each overload...
_GAP_SHRINKS = 0.98  # ... and shrinks with each success
_FORGETS = 1.02  # growth of the best answer time with each answer, so that an old one loses its effect
_REST = 1.0  # seconds of pause after the first overload; doubles with each one in a row
_LONGEST_REST = 60.0  # seconds
_LONGEST_WISH = 900.0  # seconds; a SCEF or a gateway may ask for any time, and configurations of all devices wait

NEVER = float("inf")


class RequestPace:
    """Says when the next request may begin. `most`: concurrent requests; `rate`: per second, 0 for no limit."""

    def __init__(self, most: int, rate: float) -> None:
        self._most = float(most)
        self._least_gap = self._gap = 1.0 / rate if rate else 0.0
        self._grown_at = 0.0
        self._window = min(_FIRST, self._most)
        self._doubling = True  # slow start: until the first overload
        self._best = NEVER
        self._not_before = 0.0
        self._resting_until = 0.0
        self._halved_at = 0.0
        self._troubles = 0
        self.under_way = 0

    @property
    def window(self) -> float:
        """Return how many requests may run at the same time."""
        return self._window

    def wait(self, now: float) -> float:
        """Return how long to wait before the next one begins; NEVER: until a running one has ended."""
        if self.under_way >= int(self._window):
            return NEVER
        return max(0.0, self._not_before - now, self._resting_until - now)

    def is_resting(self, now: float) -> bool:
        """Return whether requests pause after an overload."""
        return now < self._resting_until

    def began(self, now: float) -> None:
        """Record that a request began."""
        self.under_way += 1
        self._not_before = max(self._not_before, now) + self._gap

    def record_success(self, began: float, now: float) -> None:
        """Record that a request that began at `began` succeeded."""
        in_use = self.under_way >= int(self._window) - 1
        self.under_way -= 1
        self._troubles = 0
        took = now - began
        self._best = min(self._best * _FORGETS, took)
        if took > _SLOW and took > _SLOWER * self._best:
            self._halve(began, now)
            return
        if self._gap > self._least_gap:
            self._gap = self._gap * _GAP_SHRINKS if self._gap > self._least_gap + _GAP / 4 else self._least_gap
        elif in_use:
            self._grow(now)

    def _grow(self, now: float) -> None:
        if self._doubling:
            self._window = min(self._most, self._window + 1.0)
        else:
            growth = min(1.0 / self._window, (now - self._grown_at) * _GROWTH)
            self._window = min(self._most, self._window + growth)
        self._grown_at = now

    def record_failure(self, began: float, now: float, after: float | None) -> None:
        """Record that the SCEF was overloaded or down; `after`: the seconds that it asked to wait, if any."""
        self.under_way -= 1
        if not self._halve(began, now):
            return  # part of the same overload as the one before
        rest = min(_REST * 2**self._troubles, _LONGEST_REST)
        self._troubles = min(self._troubles + 1, 10)
        self._resting_until = max(self._resting_until, now + max(rest, min(after or 0.0, _LONGEST_WISH)))

    def ended(self) -> None:
        """Record that a request ended without information about the SCEF."""
        self.under_way -= 1

    def _halve(self, began: float, now: float) -> bool:
        """Halve the window, once for all concurrent requests; False if that was done already."""
        if began < self._halved_at:
            return False
        self._halved_at = self._grown_at = now
        self._doubling = False
        if self._window < 2.0:  # noqa: PLR2004  # one at a time
            self._gap = min(max(2 * self._gap, self._least_gap + _GAP), _LONGEST_REST)
        self._window = max(1.0, self._window / 2)
        return True
