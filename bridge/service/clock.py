"""The time that the service runs on."""

import time
from collections.abc import Callable
from typing import Protocol

from bridge.delivery.work import Now

NOTICED = 1.0  # seconds by which the wall clock has to be set for that to be noticed


class Clock(Protocol):
    """Wall and monotonic seconds; the monotonic ones are the event loop's, so that timers and rules agree."""

    def wall(self) -> float: ...

    def monotonic(self) -> float: ...


class RealClock:
    """The machine's own time; `time.monotonic` is what asyncio's event loop goes by."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class SteadyClock:
    """A clock whose wall time never goes back, over one that somebody may set.

    Where the wall clock is set forward, or the machine was asleep, this one follows. Where it is set back, this one
    goes on by the monotonic clock, until the other has caught up. So of a deadline on either clock the earlier counts.
    """

    __slots__ = ("_offset", "_seen", "_wall", "_was_set", "monotonic")

    def __init__(self, clock: Clock, was_set: Callable[[float, float], None]) -> None:
        """`was_set(by, forward)` is called when somebody has set the wall clock `by` so many seconds.

        `forward`: the seconds by which the time of this clock has gone forward for that.
        """
        self._wall = clock.wall
        self.monotonic = clock.monotonic
        self._was_set = was_set
        self._seen = self._wall() - self.monotonic()  # from the monotonic clock to the wall clock, when last noticed
        self._offset = self._seen  # the largest so far: from the monotonic clock to the time of this one

    @property
    def ahead(self) -> float:
        """How many seconds the wall time is ahead of the machine's, since that was set back."""
        return max(self._offset - self._seen, 0.0)

    def wall(self) -> float:
        return self.moment().wall

    def moment(self) -> Now:
        """Return the present moment on both clocks."""
        wall = self._wall()  # first: a process that is stopped between the two seems to be set back, which does no harm
        monotonic = self.monotonic()
        offset = wall - monotonic
        if not -NOTICED < offset - self._seen < NOTICED:
            self._notice()
        elif offset > self._offset:
            self._offset = offset
        return Now(monotonic + self._offset, monotonic)

    def _notice(self) -> None:
        """Look again, for the process may have been stopped between two looks, and tell of it."""
        seen = self._wall() - self.monotonic()
        by = seen - self._seen
        if abs(by) < NOTICED:
            return
        forward = max(seen - self._offset, 0.0)
        self._seen = seen
        self._offset += forward
        self._was_set(by, forward)


def moment(clock: Clock) -> Now:
    """Return the present moment on both clocks."""
    return clock.moment() if type(clock) is SteadyClock else Now(clock.wall(), clock.monotonic())
