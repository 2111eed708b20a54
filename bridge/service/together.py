"""Does something for many shards at once: what is asked for while it is being done is done next, together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from bridge.errors import BridgeError

T = TypeVar("T")


class Group(Generic[T]):
    """Shards for which something is done together. Each ends by itself, as soon as it is known how."""

    def __init__(self, waiting: dict[int, list[asyncio.Future[T]]]) -> None:
        """`waiting`: who waits for each shard."""
        self._waiting = waiting
        self.when_left: Callable[[], None] | None = None  # called when the last one who waited has been cancelled
        for futures in waiting.values():
            for future in futures:
                future.add_done_callback(self._look)

    @property
    def left(self) -> list[int]:
        """Return the shards that have not ended, and for which somebody still waits, in order."""
        return [shard for shard in sorted(self._waiting) if self.waits_for(shard)]

    def waits_for(self, shard: int) -> bool:
        """Return whether a shard of the group has not ended, and somebody still waits for it."""
        return any(not future.done() for future in self._waiting[shard])

    def _look(self, future: asyncio.Future[T]) -> None:
        if future.cancelled() and self.when_left is not None and not self.left:
            self.when_left()

    def end(self, shard: int, result: T) -> None:
        """Let all who wait for a shard go on."""
        for future in self._waiting[shard]:
            if not future.done():
                future.set_result(result)

    def fail(self, shard: int, error: Exception) -> None:
        """Let all who wait for a shard fail."""
        for future in self._waiting[shard]:
            if not future.done():
                future.set_exception(error)


class GroupedWork(Generic[T]):
    """`do` is called with one group after the other; what it leaves without an end has failed."""

    def __init__(self, do: Callable[[Group[T]], Awaitable[None]], asked: Callable[[], None] = lambda: None) -> None:
        """`asked` is called whenever one more shard waits."""
        self._do = do
        self._asked = asked
        self._waiting: dict[int, list[asyncio.Future[T]]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def waits(self) -> bool:
        """Return whether a shard waits for the group that is next."""
        return any(not future.done() for futures in self._waiting.values() for future in futures)

    async def ask(self, shard: int) -> T:
        """Have it done for a shard; return what came of it. Several may ask for one shard at the same time.

        Raises what `do` let the shard fail with. If all who asked are cancelled, the shard leaves the group.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(shard, []).append(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        self._asked()
        return await future

    async def _work(self) -> None:
        while self._waiting:
            group, self._waiting = Group(self._waiting), {}
            if not group.left:
                continue
            failure: Exception = BridgeError("it was not done")
            try:
                await self._do(group)
            except Exception as error:  # noqa: BLE001  # whoever waits gets it
                failure = error
            for shard in group.left:
                group.fail(shard, failure)
