"""An event loop whose time is virtual."""

import asyncio
import contextlib
import selectors
from collections.abc import Callable

from mock_network.clock.client import REAL, Clock, FollowedClock, RealClock

# Finer than any timer of a network, coarser than the rounding of a sum of seconds: a timer that is due exactly at the
# end of a step must fire even if time then stands still.
CLOCK_RESOLUTION = 1e-6  # seconds


class _Selector(selectors.DefaultSelector):
    """Waits for as long as a virtual timeout really takes."""

    def __init__(self, clock: FollowedClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            timeout = self._clock.real_delay(timeout)
        return super().select(timeout)


class ClockLoop(asyncio.SelectorEventLoop):
    """Every timer follows `clock`; a change of the mapping wakes the loop at once. Closing it closes the clock."""

    def __init__(self, clock: FollowedClock) -> None:
        super().__init__(_Selector(clock))
        self.clock = clock
        self._clock_resolution = CLOCK_RESOLUTION
        clock.on_change = self._wake

    def time(self) -> float:
        """Return virtual monotonic seconds."""
        return self.clock.monotonic()

    def close(self) -> None:
        """Close the loop and stop following."""
        self.clock.on_change = None
        super().close()
        self.clock.close()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self.call_soon_threadsafe(_nothing)


def _nothing() -> None:
    """Make the loop look at its timers."""


def clock_loop_factory(url: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a loop factory for `asyncio.Runner`: its loops follow the clock at `url`.

    The word ``real`` gives plain loops. Making a loop raises ClockError when
    no clock process answers, or the URL is not local.
    """
    if url == REAL:
        return asyncio.new_event_loop
    return lambda: ClockLoop(FollowedClock(url))


def current_clock() -> Clock:
    """Return the clock of the running event loop."""
    loop = asyncio.get_running_loop()
    return loop.clock if isinstance(loop, ClockLoop) else RealClock()
