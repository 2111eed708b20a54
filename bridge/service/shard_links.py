"""Links toward servers of a shard's endpoints: opened by the node that takes it, closed by the one that releases it.

Only transports whose servers cannot reach an endpoint before a link is open have anything to do (`opens_each`).
"""

from collections.abc import Callable, Coroutine
from typing import Any

from bridge.directory import Directory
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
        self._new: set[int] = set()  # shards whose links are not opened yet

    async def taken(self, shard: int, _epoch: int) -> None:
        """Open the links of all endpoints in the background, paced (`NorthTransport.open`)."""
        if not self._north.opens_each:
            return
        if not self._new:
            self._begin(persistently(self._open))
        self._new.add(shard)

    async def released(self, shard: int) -> None:
        """Open none of its links any more."""
        self._new.discard(shard)

    async def _open(self) -> None:
        sources = self._directory.catalogue.sources
        while self._new:
            shards = sorted(self._new)
            async for record in self._directory.of_shards(shards):
                usable = record.enabled and sources is not None and sources.has(record)
                if usable and record.source is not None and record.shard in self._new:
                    self._north.open(record.source, record.servers)
            self._new.difference_update(shards)
