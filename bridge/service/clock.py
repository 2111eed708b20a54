"""The time that the service runs on."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from bridge.delivery.work import Now

RELEASED = 1767225600.0  # 2026-01-01: no release is older; it moves forward with each one
NOTICED = 1.0  # seconds; a smaller change of the wall clock is ignored


class Clock(Protocol):
    """Wall and monotonic seconds; the monotonic ones are the event loop's, as timers use it."""

    def wall(self) -> float: ...

    def monotonic(self) -> float: ...


class RealClock:
    """The machine's own time; asyncio's event loop uses `time.monotonic`, too."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class SteadyClock:
    """A clock whose wall time never goes back, based on one that may be set.

    If the wall clock is set forward, or the machine was suspended, this clock follows. If it is set back, this clock
    goes on by the monotonic clock until the wall clock has caught up. So a deadline passes when it has passed on either
    clock.

    After `set_to` it shows the time of another clock, and the machine's clock only says how fast time passes.
    """

    __slots__ = ("_machine", "_offset", "_seen", "_shift", "_takes_steps", "_was_set", "monotonic")

    def __init__(self, clock: Clock, was_set: Callable[[float, float], None]) -> None:
        """`was_set(by, forward)` is called when the wall clock was set by `by` seconds.

        `forward`: the seconds by which this clock has gone forward for that reason.
        """
        self._machine = clock.wall
        self._shift = 0.0  # from the machine's wall clock to the one that is followed
        self._takes_steps = True
        self.monotonic = clock.monotonic
        self._was_set = was_set
        self._seen = self._machine() - self.monotonic()  # from the monotonic clock to the wall clock, when last noticed
        self._offset = self._seen  # the largest so far: from the monotonic clock to the time of this clock

    @property
    def ahead(self) -> float:
        """Return how many seconds this clock is ahead of the machine's wall clock, since that was set back."""
        return max(self._offset - self._seen, 0.0)

    def set_to(self, wall: float) -> None:
        """Show the time `wall` now. From now on no change of the machine's clock by `NOTICED` or more is followed.

        Call it before anybody has read this clock, since its time may go back.
        """
        self._shift = wall - self._machine()
        self._seen = self._offset = wall - self.monotonic()
        self._takes_steps = False

    def machine(self) -> float:
        """Return the machine's wall time."""
        return self._machine()

    def wall(self) -> float:
        return self.moment().wall

    def moment(self) -> Now:
        """Return the current time on both clocks."""
        # The wall clock is read first: if the process is stopped between the two reads, it seems to be set back, which
        # does no harm.
        wall = self._machine() + self._shift
        monotonic = self.monotonic()
        offset = wall - monotonic
        if not -NOTICED < offset - self._seen < NOTICED:
            self._notice()
        elif offset > self._offset:
            self._offset = offset
        return Now(monotonic + self._offset, monotonic)

    def _notice(self) -> None:
        """Read the clocks again, since the process may have been stopped between two reads, and report a change."""
        seen = self._machine() + self._shift - self.monotonic()
        by = seen - self._seen
        if abs(by) < NOTICED:
            return
        if not self._takes_steps:
            self._shift -= by
            self._was_set(by, 0.0)
            return
        forward = max(seen - self._offset, 0.0)
        self._seen = seen
        self._offset += forward
        self._was_set(by, forward)


def moment(clock: Clock) -> Now:
    """Return the current time on both clocks."""
    return clock.moment() if type(clock) is SteadyClock else Now(clock.wall(), clock.monotonic())


def moments(clock: Clock) -> Callable[[], Now]:
    """Return the function that returns the current time on both clocks, for who asks for it with every message."""
    return clock.moment if type(clock) is SteadyClock else partial(moment, clock)


def behind_the_release(wall: float) -> str:
    """Return a warning if a host's wall clock shows a time at which this release did not exist yet; else ""."""
    if wall >= RELEASED:
        return ""
    said, released = (datetime.fromtimestamp(time, UTC).date() for time in (wall, RELEASED))
    return (
        f"the clock of this host says {said}, and this release is of {released} at the earliest: certificates may seem "
        "not valid yet, and deadlines and expiries that are given as times are wrong. Set the clock, such as by NTP, "
        "and start the bridge again"
    )
