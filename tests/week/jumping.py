"""Time that jumps: an event loop on which nothing is waited for that only time can bring.

All parts of a set-up run on the one loop. While one of them has something to do, time stands still; when none has, it
jumps to the next timer.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from mock_network.clock.loop import CLOCK_RESOLUTION, ClockLoop
from tests.arrived import JumpingSelector

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


class _Selector(JumpingSelector):
    def __init__(self, clock: JumpingClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        ready = self.ready_now()
        if ready:
            return ready
        if timeout is None or self._clock.held:
            return super().select(timeout if timeout is None else 0.01)
        self._clock.now += timeout
        self._clock.jumps += 1
        return []


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
        future.add_done_callback(self._continue)
        return future

    def _continue(self, _: object) -> None:
        self.clock.held -= 1
