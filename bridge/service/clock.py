"""The time that the service runs on."""

import time
from typing import Protocol

from bridge.delivery.work import Now


class Clock(Protocol):
    """Wall and monotonic seconds; the monotonic ones are the event loop's, so that timers and rules agree."""

    def wall(self) -> float: ...

    def monotonic(self) -> float: ...


class RealClock:
    """The machine's own time; `time.monotonic` is what asyncio's event loop goes by."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def moment(clock: Clock) -> Now:
    """Return the present moment on both clocks."""
    return Now(clock.wall(), clock.monotonic())
