"""The inbox in memory: `bridge.store.inbox`."""

import asyncio
import contextlib
from collections.abc import Collection

from bindings.contract import Post
from bridge.errors import StoreUnavailable
from bridge.store import inbox
from bridge.store.in_memory.disk import Disk
from bridge.store.in_memory.engine import Engine
from bridge.store.in_memory.faults import Faults
from bridge.store.inbox import NO_SHARD, InboxRow, WhenTold


class InMemoryIngress:
    """`bridge.store.inbox.Ingress` over a disk that a store uses, too."""

    def __init__(self, disk: Disk, faults: Faults | None = None) -> None:
        self._disk = disk
        self._faults = faults or Faults()
        self._closed = False

    def keep(self, network: str, post: Post, shard: int = NO_SHARD) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(StoreUnavailable("the inbox is closed"))
        elif self._faults.commits_fail:
            future.set_exception(self._faults.refused())
        elif sum(1 for _ in self._disk.tables.of(InboxRow)) >= inbox.MOST:
            future.set_exception(StoreUnavailable("the inbox is full"))
        else:
            self._disk.posts += 1
            at = asyncio.get_running_loop().time()  # the ledger's clock: one loop runs all processes over a disk
            self._disk.tables.put(InboxRow(self._disk.posts, network, at, post.sub_path, post.query, post.body, shard))
            for tell in self._disk.tell_of_posts:
                tell(frozenset((shard,)))
            future.set_result(None)
        return future

    async def note(self, network: str, key: str) -> bytes | None:
        there = self._disk.notes.get((network, key))
        return None if there is None else there[1]

    async def close(self) -> None:
        self._closed = True


class InMemoryInbox:
    """`bridge.store.inbox.Inbox`. Make it in a running event loop."""

    def __init__(self, store: Engine) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()
        self.when_told: WhenTold = lambda _shards: True
        store.disk.tell_of_posts.append(self._tell)

    async def rows(self, limit: int, after: int = 0, shards: Collection[int] | None = None) -> list[InboxRow]:
        await self._store.readable()
        rows: list[InboxRow] = sorted(self._store.disk.tables.of(InboxRow), key=lambda row: row.id)
        return [row for row in rows if row.id > after and (shards is None or row.shard in shards)][:limit]

    def age(self, row: InboxRow) -> float:
        return max(self._loop.time() - row.at, 0.0)

    async def told(self, timeout: float) -> None:  # noqa: ASYNC109  # see the contract
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), timeout)
        self._told.clear()

    def close(self) -> None:
        """Stop the reports of new rows."""
        self._store.disk.tell_of_posts.remove(self._tell)

    def _tell(self, shards: frozenset[int]) -> None:
        if not self._loop.is_closed():  # else it is of a process that is over
            self._loop.call_soon(self._arrived, shards)

    def _arrived(self, shards: frozenset[int]) -> None:
        if self.when_told(shards):
            self._told.set()
