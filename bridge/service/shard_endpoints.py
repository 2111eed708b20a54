"""Loads and unloads the endpoints of a shard when this node of a cluster takes or releases it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any

from bindings.contract import Binding, ReadsShards, ReleasesDevices, RunsOnNodes
from bridge.directory import Directory, EndpointRecord
from bridge.errors import StoreUnavailable
from bridge.service.placed import NO_SOURCE
from bridge.service.progress import Progress
from bridge.service.provisioning import Provisioning
from bridge.service.runner import Runner
from bridge.service.upkeep import load_unfinished, persistently
from bridge.store.contract import Store
from bridge.store.notes import Memories

GATHER = 0.05  # seconds in which shards that are taken together are collected
PAUSE = 0.02  # seconds between two looks at whether endpoints are still busy
AFTER_BUG = 10.0  # seconds between attempts to take up shards for which a bug ended that; each time twice as long
AFTER_BUG_MOST = 640.0  # seconds of that, at most

Came = Callable[[Mapping[str, Collection[int]]], Awaitable[None]]
"""Called with endpoints that were taken up, by their networks."""

Begin = Callable[[Coroutine[Any, Any, None]], None]

log = logging.getLogger(__name__)


class ShardCaches:
    """`bridge.cluster.contract.ShardFollower`; the first one, so that the others read what the former holder wrote.

    This follower is the last one when a shard is released: nothing of its endpoints is under way then.
    """

    def __init__(self, directory: Directory, memories: Memories, networks: Mapping[str, Binding]) -> None:
        """`networks` are the instances that run."""
        self._directory = directory
        self._memories = memories
        self._networks = networks
        self._kept: set[int] = set()  # released shards of whose devices the networks may still know something

    async def taken(self, shard: int, _epoch: int) -> None:
        """Forget what is cached: the former holder has changed records and notes. Raises StoreUnavailable."""
        if shard in self._kept:
            await self._forget_devices(shard, late=True)
        self._directory.forget_all()
        self._memories.forget_recent()

    async def released(self, shard: int) -> None:
        """Let the networks write what they know of the shard's devices, and forget it."""
        self._kept.add(shard)
        await self._forget_devices(shard)

    async def _forget_devices(self, shard: int, *, late: bool = False) -> None:
        keeping = {name: one for name, one in self._networks.items() if isinstance(one, ReleasesDevices)}
        devices: dict[str, list[str]] = {name: [] for name in keeping}
        if keeping:
            async for record in self._directory.of_shards([shard]):
                if record.network in devices:
                    devices[record.network].append(record.device)
        for name, binding in keeping.items():
            if devices[name]:
                await binding.devices_left(devices[name], late=late)
        self._kept.discard(shard)


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
        came: Came,
    ) -> None:
        """`begin` runs something in the background; `networks` are those that are configured."""
        self._came = came
        self._store = store
        self._directory = directory
        self._runner = runner
        self._provisioning = provisioning
        self._networks = networks
        self._progress = progress
        self._begin = begin
        self._new: dict[int, int] = {}  # shards whose endpoints are not taken up yet, with their epochs
        self._failed: set[int] = set()  # shards for which a bug ended that
        self._tries_alone = False

    async def taken(self, shard: int, epoch: int) -> None:
        """Take up the shard's unfinished messages in the background (R32).

        A message in SUBMITTING is in doubt, as after a start: the former holder may have submitted it.
        """
        self._failed.discard(shard)
        if not self._new:
            self._begin(persistently(self._take_up))
        self._new[shard] = epoch

    async def released(self, shard: int) -> None:
        """Wait for the commits and network calls of the shard's endpoints, then drop them."""
        self._new.pop(shard, None)
        self._failed.discard(shard)
        try:
            while any(  # noqa: ASYNC110  # their results come one by one, each to its own step
                self._runner.is_busy(endpoint) for endpoint in self._runner.of_shard(shard)
            ):
                await asyncio.sleep(PAUSE)
        finally:  # also when that takes too long: the next holder treats what is under way as in doubt
            self._runner.forget_shard(shard)
        await self._store.committed(())  # after the commits of endpoints that were dropped earlier, too
        await self._provisioning.flush()

    async def _take_up(self) -> None:
        await asyncio.sleep(GATHER)
        while self._new:
            shards = dict(self._new)
            try:
                await self._take_up_these(frozenset(shards))
            except StoreUnavailable:
                raise
            except Exception:  # a bug, which is logged and counted: shards that come later are taken up nevertheless
                self._failed |= self._ended(shards)
                if self._new:
                    self._begin(persistently(self._take_up))
                if not self._tries_alone:
                    self._tries_alone = True
                    self._begin(self._try_alone(0.0))
                raise
            self._ended(shards)

    def _ended(self, shards: Mapping[int, int]) -> set[int]:
        """Return those of the shards that were not released meanwhile, and record that they are not new any more."""
        same = {shard for shard, epoch in shards.items() if self._new.get(shard) == epoch}
        for shard in same:
            del self._new[shard]
        return same

    async def _try_alone(self, pause: float) -> None:
        """Take up each shard by itself for which a bug ended that, after a pause; then, as long as it fails, again.

        Raises one of the errors.
        """
        await asyncio.sleep(pause)
        failure: Exception | None = None
        for shard in sorted(self._failed):
            if shard not in self._failed:
                continue  # it was released meanwhile
            try:
                await self._take_up_these(frozenset([shard]))
            except Exception as error:  # noqa: BLE001  # raised below
                failure = error
            else:
                self._failed.discard(shard)
        self._tries_alone = bool(self._failed)
        if self._tries_alone:
            self._begin(self._try_alone(min(max(AFTER_BUG, 2 * pause), AFTER_BUG_MOST)))
        if failure is not None and not isinstance(failure, StoreUnavailable):
            raise failure

    async def _take_up_these(self, shards: frozenset[int]) -> None:
        await load_unfinished(self._store, self._runner, self._progress, shards)
        came: dict[str, set[int]] = {}
        without_address: list[str] = []
        sources = self._directory.catalogue.sources
        async for record in self._directory.of_shards(sorted(shards)):
            came.setdefault(record.network, set()).add(record.id)
            if record.enabled:
                if sources is not None and not sources.has(record):
                    without_address.append(record.name)
                self._announce_device(record)
                await self._provisioning.begin(record)
        if without_address:
            text = "%d endpoints cannot reach their servers, such as %s: %s"
            log.error(text, len(without_address), without_address[0], NO_SOURCE, extra={"sample": "no address"})
        for binding in self._networks.values():
            if isinstance(binding, ReadsShards):
                binding.shards_came()
        await self._came(came)

    def _announce_device(self, record: EndpointRecord) -> None:
        for network, binding in self._networks.items():
            if network == record.network and isinstance(binding, RunsOnNodes):
                binding.device_came(record.device)
