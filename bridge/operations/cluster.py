"""Operations on the nodes of a cluster."""

from collections import Counter

from bridge.cluster.agreement import ALIKE, NOTHING_SAID, unlike
from bridge.cluster.balance import misplaced
from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.types.cluster import (
    Cluster,
    ClusterNode,
    DrainNode,
    GetCluster,
    ListShards,
    ShardList,
    ShardPlace,
)


async def get_cluster(bridge: Bridge, _asked: GetCluster) -> Cluster:
    view = await bridge.cluster.view()
    endpoints = Counter[str]()
    for shard, number in (await bridge.fleet_counts()).shards.items():
        endpoints[view.holder(shard)] += number
    said = await bridge.cluster.agreements()
    here = said.get(bridge.node, NOTHING_SAID)
    unlikes = {name: unlike(here, there) for name, there in said.items()}
    nodes = tuple(
        ClusterNode(
            name=node.name,
            alive=node.is_alive,
            lease=round(node.left, 1),
            draining=node.draining,
            leaving=node.leaving,
            unfit=node.unfit,
            failing=node.failing,
            failing_why=node.failing_why,
            release=node.release,
            started_at=node.started_at,
            shards=view.held_by(node.name),
            endpoints=endpoints[node.name],
            contradictions=unlikes.get(node.name, ALIKE).contradictions,
            differences=unlikes.get(node.name, ALIKE).differences,
        )
        for node in view.nodes.values()
    )
    return Cluster(
        node=bridge.node,
        nodes=nodes,
        shards=len(view.shards),
        to_move=misplaced(view),
        unserved=sum(not view.holder(shard) for shard in view.shards),
    )


async def list_shards(bridge: Bridge, _asked: ListShards) -> ShardList:
    view = await bridge.cluster.view()
    endpoints = (await bridge.fleet_counts()).shards
    return ShardList(
        items=tuple(
            ShardPlace(
                shard=number,
                node=view.holder(number),
                epoch=shard.epoch,
                since=shard.since,
                endpoints=endpoints.get(number, 0),
            )
            for number, shard in sorted(view.shards.items())
        )
    )


async def drain_node(bridge: Bridge, asked: DrainNode) -> Cluster:
    await bridge.cluster.drain(asked.node, on=asked.on)
    return await get_cluster(bridge, GetCluster())


OPERATIONS = (Operation(GetCluster, get_cluster), Operation(ListShards, list_shards), Operation(DrainNode, drain_node))
