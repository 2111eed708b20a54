"""Whether this node can serve shards at all, from how its attempts to serve some have ended. No clock."""

FAILURES = 3  # shards in a row that could not be served before the other nodes take what this one should have
PAUSE = 60.0  # seconds for which they do, before this node tries again; twice as long each time
PAUSE_AT_MOST = 960.0


class Fitness:
    """`now` is in seconds of one clock."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._pause = PAUSE
        self._ends: float | None = None

    @property
    def is_fit(self) -> bool:
        return self._ends is None

    @property
    def is_doubtful(self) -> bool:
        """Return whether so many shards in a row failed that only one at a time is to be tried, until one is served."""
        return self._in_a_row >= FAILURES

    def served(self) -> None:
        """Note that a shard is served: whatever failed before works again."""
        self._in_a_row = 0
        self._pause = PAUSE
        self._ends = None

    def failed(self, now: float) -> bool:
        """Note that a shard could not be served; return whether no other one should be tried now."""
        self._in_a_row += 1
        if not self.is_doubtful:
            return False
        if self._ends is None:
            self._ends = now + self._pause
            self._pause = min(2 * self._pause, PAUSE_AT_MOST)
        return True

    def look(self, now: float) -> None:
        """Let the node count as fit from the end of its pause on, until the next failure."""
        if self._ends is not None and now >= self._ends:
            self._ends = None
