"""Verdicts that are being reached, each in a task of its own, which all end when nobody judges any more."""

import asyncio
from asyncio import Future
from collections.abc import Coroutine
from typing import Any

from bridge.north.revocation.contract import Verdict


class Judging:
    """The verdicts under way of one server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Verdict]] = set()

    def begin(self, work: Coroutine[Any, Any, Verdict]) -> Future[Verdict]:
        """Begin to reach a verdict; return its future."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel all verdicts under way, and return when they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
