"""When not to call a network that is down: a circuit breaker. No I/O; the time is passed in."""

from collections.abc import Callable

FAILURES = 3  # failures in a row until the network counts as down
FIRST_PAUSE = 5.0  # seconds; each further pause is twice as long, until the network answers
LONGEST_PAUSE = 300.0  # seconds
LONGEST_WISH = 900.0  # seconds at most that a network can ask for (Retry-After): a proxy may name any number
SPREAD = (
    0.25  # each pause is shorter or longer by up to this part, so that several bridges do not return at the same time
)


class Breaker:
    """Whether one network is up, judged by the results of its calls.

    After some failures in a row the network is paused. After the pause it is on trial: the caller begins one
    call at a time, and the next failure begins a longer pause. An answer of the network ends the trial.
    """

    __slots__ = ("_draw", "_failures", "_pauses", "_until")

    def __init__(self, draw: Callable[[], float]) -> None:
        """`draw` returns a random number in [0, 1)."""
        self._draw = draw
        self._failures = 0
        self._pauses = 0
        self._until = 0.0  # monotonic seconds

    @property
    def is_open(self) -> bool:
        """Return whether the network counts as down: it is paused, or on trial."""
        return self._pauses > 0

    def pause(self, now: float) -> float:
        """Return the seconds until the network may be called; 0.0: now."""
        return max(self._until - now, 0.0)

    def answered(self) -> None:
        """Record that the network answered a call, with whatever result."""
        self._failures = self._pauses = 0
        self._until = 0.0

    def failed(self, now: float, wish: float | None = None) -> bool:
        """Record a call that the network did not answer; return whether a pause begins now.

        `wish`: the seconds after which the network asked to be called again. A call that was already running when
        the pause began does not count when it fails.
        """
        if now < self._until:
            return False
        self._failures += 1
        if wish is None and not self._pauses and self._failures < FAILURES:
            return False
        pause = min(FIRST_PAUSE * 2 ** min(self._pauses, 10), LONGEST_PAUSE)
        pause *= 1 - SPREAD + 2 * SPREAD * self._draw()
        if wish is not None:
            pause = max(pause, min(wish, LONGEST_WISH))
        self._pauses += 1
        self._until = now + pause
        return True
