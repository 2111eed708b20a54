"""Whether this node can serve shards at all, from how its attempts to serve some have ended. No clock."""

FAILURES = 3  # shards in a row that could not be served before the other nodes take what this one should have
PAUSE = 60.0  # seconds for which they do, before this node tries again; twice as long each time
PAUSE_AT_MOST = 960.0
LATELY = 2 * PAUSE_AT_MOST  # seconds for which a shard that failed counts as failing, unless it is tried again


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
        """Record that a shard is served: whatever failed before works again."""
        self._in_a_row = 0
        self._pause = PAUSE
        self._ends = None

    def failed(self, now: float) -> bool:
        """Record that a shard could not be served; return whether no other one should be tried now."""
        self._in_a_row += 1
        if not self.is_doubtful:
            return False
        if self._ends is None:
            self._ends = now + self._pause
            self._pause = min(2 * self._pause, PAUSE_AT_MOST)
        return True

    def end_pause(self, now: float) -> None:
        """End the pause if its time is over: the node counts as fit then, until the next failure."""
        if self._ends is not None and now >= self._ends:
            self._ends = None


class FailedShards:
    """Shards of which the latest attempt to serve them has failed here. `now` is in seconds of one clock."""

    def __init__(self) -> None:
        self._shards: dict[int, tuple[float, str]] = {}  # when, and why; the latest failure is the last one

    def failed(self, shard: int, why: str, now: float) -> None:
        """Record that a shard could not be served."""
        self._shards.pop(shard, None)
        self._shards[shard] = now, why

    def served(self, shard: int) -> None:
        """Record that a shard is served."""
        self._shards.pop(shard, None)

    def at(self, shard: int) -> float | None:
        """Return when the latest attempt failed; None: it did not, or that is long past."""
        found = self._shards.get(shard)
        return None if found is None else found[0]

    def lately(self, now: float) -> tuple[int, str]:
        """Return the number of these shards, and why the last of them failed, "" if there are none.

        What failed long ago is forgotten: another node has served the shard since then, or nobody wants it of this one.
        """
        for shard in [shard for shard, (at, _) in self._shards.items() if now - at > LATELY]:
            del self._shards[shard]
        return len(self._shards), next((why for _, why in reversed(self._shards.values())), "")
