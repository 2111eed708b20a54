"""Calls of the bridge into a binding: none of them raises, and a stop waits for running calls, for a limited time.

Background work of a binding does not end by a bug either.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bridge.errors import StoreUnavailable

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

STOP_PATIENCE = 10.0  # seconds that a stop waits for running calls
AGAIN = 10.0  # seconds from a bug in background work until that work begins again


def ends_its_task(error: BaseException) -> bool:
    """Return whether an error is the cancellation of the running task, and not of something that it waited for."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class GuardedCalls:
    """The calls into one network instance; `mistakes` is the counter of unhandled exceptions."""

    def __init__(self, network: str, mistakes: str, count: Callable[[str], None]) -> None:
        self.open = False  # whether the network instance runs: set by its start and its stop
        self._network, self._mistakes, self._count = network, mistakes, count
        self._under_way = 0
        self._is_idle: asyncio.Event | None = None  # while a stop waits

    async def run(self, work: Coroutine[Any, Any, _Result], otherwise: _Result) -> _Result:
        """Return the result of one call, or `otherwise` after an exception, or if the instance does not run.

        A store that fails is no bug.
        """
        if not self.open:
            work.close()
            return otherwise
        self._under_way += 1
        try:
            return await work
        except StoreUnavailable as error:
            log.warning("network %s: a call has no result: %s", self._network, error, extra={"sample": "call store"})
            return otherwise
        except (Exception, asyncio.CancelledError) as error:
            if ends_its_task(error):
                raise
            log.exception("network %s: a bug in the bridge", self._network)
            self._count(self._mistakes)
            return otherwise
        finally:
            self._under_way -= 1
            if self._is_idle is not None and not self._under_way:
                self._is_idle.set()

    async def keep_up(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do background work until it ends; after an exception it begins again, `AGAIN` seconds later."""
        while True:
            try:
                await work()
            except Exception:
                text = "network %s: a bug in the bridge; the background work that it ended begins again in %.0f s"
                log.exception(text, self._network, AGAIN)
                self._count(self._mistakes)
                await asyncio.sleep(AGAIN)
            else:
                return

    async def finish(self, patience: float = STOP_PATIENCE) -> None:
        """Wait for the running calls; calls that take longer are abandoned."""
        if self._under_way:
            self._is_idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_idle.wait(), patience)
