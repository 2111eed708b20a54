"""The shards that a node is taking or releasing: each by itself, so that the node goes on looking at its cluster."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from bridge.errors import StoreUnavailable

log = logging.getLogger(__name__)


class ShardMoves:
    """One task for each shard that is under way."""

    def __init__(self, count: Callable[..., None]) -> None:
        """`count` increments counters that an operator sees."""
        self._count = count
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._taken: set[int] = set()  # shards of `_tasks` that are being taken

    @property
    def under_way(self) -> frozenset[int]:
        """Return the shards that are being taken or released."""
        return frozenset(self._tasks)

    @property
    def taken(self) -> frozenset[int]:
        """Return the shards that are being taken."""
        return frozenset(self._taken)

    def begin(self, shard: int, work: Coroutine[Any, Any, None], *, takes: bool) -> None:
        """Take or release a shard by this work in the background. Nothing else may be under way for the shard.

        Its errors are logged.
        """
        task = self._tasks[shard] = asyncio.create_task(work)
        if takes:
            self._taken.add(shard)
        task.add_done_callback(lambda ended: self._ended(shard, ended))

    async def stop_taking(self, *shards: int) -> None:
        """Cancel the takes of these shards, and return when each has ended: `NodeShards` may still hold them."""
        tasks = [self._tasks[shard] for shard in shards if shard in self._taken]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def quiet(self) -> None:
        """Return when nothing is under way any more."""
        while self._tasks:
            await asyncio.wait([*self._tasks.values()])

    async def stop(self) -> None:
        """Cancel whatever is under way, and return when it has ended."""
        for task in [*self._tasks.values()]:
            task.cancel()
        await self.quiet()

    def _ended(self, shard: int, task: asyncio.Task[None]) -> None:
        del self._tasks[shard]
        self._taken.discard(shard)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreUnavailable):
            log.warning("shard %d: the cluster's ledger does not answer: %s", shard, error, extra={"sample": "cluster"})
        elif error is not None:
            self._count("failed_tasks")
            log.error(
                "a hand-over of shard %d failed because of a bug in the bridge; it is tried again",
                shard,
                exc_info=error,
                extra={"sample": "move"},
            )
