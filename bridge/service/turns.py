"""Wakes the endpoints whose turn it is to call their network, when calls and pauses end."""

import asyncio
from collections.abc import Callable
from functools import partial

from bridge.delivery.work import Now
from bridge.service.network_calls import NetworkCalls
from bridge.store.contract import Done


class Turns:
    """The turns of all networks. `wake(endpoint, done)` steps an endpoint, and calls `done` after that in any case."""

    def __init__(self, wake: Callable[[int, Done], None], now: Callable[[], Now]) -> None:
        self._wake = wake
        self._now = now
        self._timers: dict[NetworkCalls, asyncio.TimerHandle] = {}
        self._is_serving = False

    def serve(self, calls: NetworkCalls) -> None:
        """Wake endpoints while their network has room for further calls."""
        if calls.is_calm or self._is_serving or calls.is_full:
            return
        now = self._now()
        self._is_serving = True  # an endpoint woken here must not wake the next one inside its own step
        try:
            while (endpoint := calls.next_turn(now)) is not None:
                self._wake(endpoint, partial(self._was_woken, calls, endpoint))
        finally:
            self._is_serving = False
        pause = calls.next_turn_in(now)
        if pause:
            self._later(calls, pause)

    def stop(self) -> None:
        """Wake no endpoint any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _was_woken(self, calls: NetworkCalls, endpoint: int, _error: BaseException | None) -> None:
        calls.not_stepped(endpoint)  # if it was, that is known already
        self.serve(calls)

    def _later(self, calls: NetworkCalls, seconds: float) -> None:
        """Serve a network after some seconds, or sooner if that is planned already."""
        loop = asyncio.get_running_loop()
        planned = self._timers.get(calls)
        if planned is not None:
            if planned.when() <= loop.time() + seconds:
                return
            planned.cancel()  # a limit may last long; meanwhile an outage ends, and cancels go
        self._timers[calls] = loop.call_later(seconds, self._pause_is_over, calls)

    def _pause_is_over(self, calls: NetworkCalls) -> None:
        del self._timers[calls]
        self.serve(calls)
