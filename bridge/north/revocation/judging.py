"""Verdicts that are being reached, each in a task of its own, which all end when nobody judges any more."""

import asyncio
from asyncio import Future
from collections.abc import Coroutine
from typing import Any

from bridge.background import report
from bridge.north.revocation.contract import RevocationVerdict

AFTER_A_BUG = 60.0  # seconds until the question is asked again


class Judging:
    """The verdicts under way of one server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[RevocationVerdict]] = set()

    def begin(self, work: Coroutine[Any, Any, RevocationVerdict]) -> Future[RevocationVerdict]:
        """Begin to reach a verdict; return its future, which never raises: after a bug nothing is proven."""
        task = asyncio.get_running_loop().create_task(_reached(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Cancel all verdicts under way, and return when they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _reached(work: Coroutine[Any, Any, RevocationVerdict]) -> RevocationVerdict:
    """Reach a verdict. Without one, a session would wait for ever, or one that is open never be asked about again."""
    try:
        return await work
    except Exception as bug:  # noqa: BLE001  # whatever it is, the session must get a verdict
        report("a server's certificate could not be checked because of a bug in the bridge", bug)
        return RevocationVerdict("a bug in the bridge, see the log", AFTER_A_BUG, certain=False)
