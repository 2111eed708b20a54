"""Background work, until the service stops."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from bridge.background import kept_up

log = logging.getLogger(__name__)


class Tasks:
    """All background tasks of one service. A task that ends by an error is logged and counted; the others continue."""

    def __init__(self, count: Callable[..., None]) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = count

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background, until `stop`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def keep_up(self, what: str, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Run work in the background until it ends or `stop`; after a bug, it begins again. `what`: its name."""
        self.begin(kept_up(what, partial(work, *arguments)))

    async def stop(self) -> None:
        """Cancel everything, and return when it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._count("failed_tasks")
            log.error("background work failed", exc_info=task.exception())
