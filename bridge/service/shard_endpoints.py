"""Takes up and lets go the endpoints of a shard when this node of a cluster takes or releases it."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from bindings.contract import Binding, RunsOnNodes
from bridge.directory import Directory, Record
from bridge.service.progress import Progress
from bridge.service.provisioning import Provisioning
from bridge.service.runner import Runner
from bridge.service.upkeep import load_unfinished, persistently
from bridge.store.contract import Store
from bridge.store.notes import Memories

GATHER = 0.05  # seconds in which shards that are taken together are collected
PAUSE = 0.02  # seconds between two looks at whether endpoints are still busy

Begin = Callable[[Coroutine[Any, Any, None]], None]


class ShardCaches:
    """`bridge.cluster.contract.ShardFollower`; the first one, so that the others read what the former holder wrote."""

    def __init__(self, directory: Directory, memories: Memories) -> None:
        self._directory = directory
        self._memories = memories

    async def taken(self, _shard: int, _epoch: int) -> None:
        """Forget what is cached: the former holder has changed records and notes."""
        self._directory.forget_all()
        self._memories.forget_recent()

    async def released(self, shard: int) -> None:
        """Do nothing."""


class ShardEndpoints:
    """`bridge.cluster.contract.ShardFollower`; before those that let servers reach the endpoints."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        runner: Runner,
        provisioning: Provisioning,
        networks: Mapping[str, Binding],
        progress: Progress,
        begin: Begin,
    ) -> None:
        """`begin` runs something in the background; `networks` are those that are configured."""
        self._store = store
        self._directory = directory
        self._runner = runner
        self._provisioning = provisioning
        self._networks = networks
        self._progress = progress
        self._begin = begin
        self._new: set[int] = set()  # shards whose endpoints are not taken up yet

    async def taken(self, shard: int, _epoch: int) -> None:
        """Take up the shard's unfinished messages in the background (R32).

        A message in SUBMITTING is in doubt, as after a start: the former holder may have submitted it.
        """
        if not self._new:
            self._begin(persistently(self._take_up))
        self._new.add(shard)

    async def released(self, shard: int) -> None:
        """Wait for the commits and network calls of the shard's endpoints, then drop them."""
        self._new.discard(shard)
        try:
            while any(  # noqa: ASYNC110  # their results come one by one, each to its own step
                self._runner.is_busy(endpoint) for endpoint in self._runner.of_shard(shard)
            ):
                await asyncio.sleep(PAUSE)
        finally:  # also when that takes too long: the next holder treats what is under way as in doubt
            self._runner.forget_shard(shard)
        await self._store.committed(())  # after the commits of endpoints that were dropped earlier, too

    async def _take_up(self) -> None:
        await asyncio.sleep(GATHER)
        while self._new:
            shards = frozenset(self._new)
            await load_unfinished(self._store, self._directory, self._networks, self._runner, self._progress, shards)
            async for record in self._directory.of_shards(sorted(shards)):
                if record.enabled:
                    self._announce_device(record)
                    await self._provisioning.begin(record)
            self._new -= shards

    def _announce_device(self, record: Record) -> None:
        for network, binding in self._networks.items():
            if network == record.network and isinstance(binding, RunsOnNodes):
                binding.device_came(record.device)
