"""Estimates the network server's wall clock from its events: it may differ from ours by any amount.

An event has the time at which it was made, and arrives later, so the server's clock shows at least that time now. The
least delayed event of the last minutes gives the best bound. That is a bound from below: if all events were delayed,
the server's clock is not so far behind as it seems, or not behind.
"""

SPAN = 300.0  # seconds for which an observation counts: at most twice as long, since two spans are kept
MARGIN = 2.0  # seconds between the server's reading of its clock and the action that follows


class NetworkClock:
    """How far the network server's clock is ahead of ours. All times are wall-clock seconds; `now` is our clock."""

    def __init__(self) -> None:
        self._begin = 0.0
        self._latest: float | None = None
        self._former: float | None = None

    def observe(self, at: float, now: float) -> None:
        """Record that the server's clock showed `at` when it made an event that just arrived."""
        if at <= 0:
            return
        self._turn(now)
        ahead = at - now
        self._latest = ahead if self._latest is None or ahead > self._latest else self._latest

    def ahead(self, now: float) -> float | None:
        """Return by how many seconds the server's clock is at least ahead (negative: behind); None: unknown."""
        self._turn(now)
        if self._latest is None or self._former is None:
            return self._former if self._latest is None else self._latest
        return max(self._latest, self._former)

    def theirs(self, moment: float, now: float) -> float:
        """Convert a time of our clock to the server's clock, as far as that is known."""
        return moment + (self.ahead(now) or 0.0)

    def ours(self, moment: float, now: float) -> float:
        """Convert a time of the server's clock to ours, as far as that is known."""
        return moment - (self.ahead(now) or 0.0)

    def has_passed(self, moment: float, now: float) -> bool:
        """Return whether the server's clock has certainly passed a time of its own."""
        ahead = self.ahead(now)
        return ahead is not None and now + ahead > moment + MARGIN

    def _turn(self, now: float) -> None:
        if not 0 <= now - self._begin < SPAN:
            self._former = self._latest if 0 <= now - self._begin < 2 * SPAN else None
            self._begin, self._latest = now, None
