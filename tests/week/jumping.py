"""Time that jumps: an event loop on which nothing is waited for that only time can bring.

All parts of a set-up run on the one loop. While one of them has something to do, time stands still; when none has, it
jumps to the next timer.
"""

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any

from mock_network.clock.loop import CLOCK_RESOLUTION, ClockLoop

_ON_ITS_WAY = 0.0002  # real seconds in which what was sent on this machine arrives
_BEGINS = 1_900_000_000.0  # wall clock


class JumpingClock:
    """Wall and monotonic seconds; the one is the other and a constant."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.held = 0  # by work in threads, which takes real time
        self.jumps = 0
        self.on_change: Callable[[], None] | None = None

    def wall(self) -> float:
        return _BEGINS + self.now

    def monotonic(self) -> float:
        return self.now

    def close(self) -> None:
        """Nothing to do."""


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: JumpingClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self._clock.held:
            return super().select(timeout if timeout is None else 0.01)
        end = time.perf_counter() + _ON_ITS_WAY
        while not ready and time.perf_counter() < end:  # select itself waits for whole milliseconds
            ready = super().select(0)
        if not ready:
            self._clock.now += timeout
            self._clock.jumps += 1
        return ready


class JumpingLoop(ClockLoop):
    """What asks for the clock of the running loop gets this one."""

    clock: Any

    def __init__(self) -> None:
        clock = JumpingClock()
        asyncio.SelectorEventLoop.__init__(self, _Selector(clock))
        self.clock = clock
        self._clock_resolution = CLOCK_RESOLUTION

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Run a function in a thread; time stands still meanwhile."""
        self.clock.held += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._let_go)
        return future

    def _let_go(self, _: object) -> None:
        self.clock.held -= 1
