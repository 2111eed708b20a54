"""Links toward servers of a shard's endpoints: opened by the node that takes it, closed by the one that releases it.

Only transports whose servers cannot reach an endpoint before a link is open have anything to do (`opens_each`).
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from bridge.directory import Directory
from bridge.errors import StoreUnavailable
from bridge.north.contract import NorthTransport
from bridge.service.upkeep import persistently

Begin = Callable[[Coroutine[Any, Any, None]], None]


class ClosesLinks:
    """`bridge.cluster.contract.ShardFollower`; before the one that drops the endpoints, which may still send."""

    def __init__(self, directory: Directory, north: NorthTransport) -> None:
        self._directory = directory
        self._north = north

    async def taken(self, _shard: int, _epoch: int) -> None:
        """Do nothing: links are opened when the addresses are here."""

    async def released(self, shard: int) -> None:
        """Close all links without a word to the servers: the next holder opens its own, and binds the registrations."""
        if self._north.opens_each:
            async for record in self._directory.of_shards([shard]):
                if record.source is not None:
                    self._north.leave(record.source)


class OpensLinks:
    """`bridge.cluster.contract.ShardFollower`; after the one that moves the addresses, which sessions need."""

    def __init__(self, directory: Directory, north: NorthTransport, begin: Begin) -> None:
        """`begin` runs something in the background."""
        self._directory = directory
        self._north = north
        self._begin = begin
        self._new: dict[int, int] = {}  # shards whose links are not opened yet, with their epochs

    async def taken(self, shard: int, epoch: int) -> None:
        """Open the links of all endpoints in the background, paced (`NorthTransport.open`)."""
        if not self._north.opens_each:
            return
        if not self._new:
            self._begin(persistently(self._open))
        self._new[shard] = epoch

    async def released(self, shard: int) -> None:
        """Open none of its links any more."""
        self._new.pop(shard, None)

    async def _open(self) -> None:
        while self._new:
            shards = dict(self._new)
            try:
                await self._open_those_of(sorted(shards))
            except StoreUnavailable:
                raise
            except Exception:  # a bug, which is logged and counted: shards that come later get theirs nevertheless
                self._ended(shards)
                if self._new:
                    self._begin(persistently(self._open))
                raise
            self._ended(shards)

    async def _open_those_of(self, shards: Sequence[int]) -> None:
        sources = self._directory.catalogue.sources
        async for record in self._directory.of_shards(shards):
            usable = record.enabled and sources is not None and sources.has(record)
            if usable and record.source is not None and record.shard in self._new:
                self._north.open(record.source, record.servers)

    def _ended(self, shards: Mapping[int, int]) -> None:
        """Record that shards are not new any more, but for those that were taken again meanwhile."""
        for shard, epoch in shards.items():
            if self._new.get(shard) == epoch:
                del self._new[shard]
