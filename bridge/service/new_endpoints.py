"""Finds endpoints that any node of a cluster has added: the node that serves their shard provisions them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bridge.cluster.contract import Shards
from bridge.directory import EndpointRecord
from bridge.directory.contract import DirectoryTable
from bridge.errors import StoreUnavailable

EVERY = 1.0  # seconds between two looks
PAGE = 500  # endpoints that are read at a time

log = logging.getLogger(__name__)


class NewEndpoints:
    """Looks for endpoints with larger ids than those seen before. Ids rise in the order of commits, over all nodes.

    Endpoints of shards that this node takes later are found by what takes the shard.
    """

    def __init__(
        self, table: DirectoryTable, shards: Shards, provision: Callable[[EndpointRecord], Awaitable[None]]
    ) -> None:
        self._table = table
        self._shards = shards
        self._provision = provision
        self._seen = 0

    async def begin(self) -> None:
        """Record which endpoints are there. Call it before the node takes its first shard. Raises StoreUnavailable."""
        self._seen = await self._table.newest()

    async def provision_new(self) -> None:
        """Have the new endpoints of this node's shards provisioned. Raises StoreUnavailable."""
        while page := await self._table.newer(self._seen, PAGE):
            for record in page:
                if record.enabled and self._shards.accepts(record.shard):
                    await self._provision(record)
                self._seen = record.id

    async def run(self) -> None:
        """Search from time to time, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.provision_new()
            except StoreUnavailable as error:
                log.warning("new endpoints cannot be read: %s", error, extra={"sample": "new endpoints"})
