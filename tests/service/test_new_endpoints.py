"""Endpoints that any node of a cluster adds are provisioned by the node that serves their shard, and by no other."""

import time

from bridge.cluster.shards import NodeShards
from bridge.directory import Draft, EndpointRecord
from bridge.service.new_endpoints import NewEndpoints
from bridge.store.in_memory import Disk, InMemoryStore


async def test_a_node_provisions_new_endpoints_of_its_own_shards() -> None:
    store = InMemoryStore(Disk())
    shards, provisioned = NodeShards("a"), list[str]()

    async def provision(record: EndpointRecord) -> None:
        provisioned.append(record.name)

    async def add(*names: str, enabled: bool = True) -> list[EndpointRecord]:
        drafts = [Draft("net", name, name, ("s",), enabled=enabled) for name in names]
        return await store.directory.add(drafts, None, time.time)

    added = NewEndpoints(store.directory, shards, provision)
    (there,) = await add("there")
    await added.begin()
    ours, others = await add("ours", "others")
    (off,) = await add("off", enabled=False)
    for record in (there, ours, off):
        await shards.take(record.shard, 1)
    assert others.shard not in shards.held
    await added.provision_new()
    await added.provision_new()
    assert provisioned == ["ours"]
