"""When a device in queue mode listens (Transport TS 1.1 §6.5): a while after each message, then not."""

import asyncio
from collections.abc import Callable


class AwakeTime:
    """`sleep` is called when nothing was sent or received for `seconds`; None: never."""

    def __init__(self, seconds: float | None, sleep: Callable[[], None]) -> None:
        self._seconds, self._sleep = seconds, sleep
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def active(self) -> None:
        """Record that a message was sent or received."""
        if self._seconds is None:
            return
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(self._until, self._check)

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._until:
            self._timer = loop.call_at(self._until, self._check)
        else:
            self._timer = None
            self._sleep()

    def stop(self) -> None:
        """Stop counting: the device is down."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
