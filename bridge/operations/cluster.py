"""Operations on the nodes of a cluster."""

from collections import Counter

from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.types.cluster import Cluster, ClusterNode, DrainNode, GetCluster


async def get_cluster(bridge: Bridge, _asked: GetCluster) -> Cluster:
    view = await bridge.cluster.view()
    held = Counter(shard.holder for shard in view.shards.values())
    nodes = tuple(
        ClusterNode(
            name=node.name,
            alive=node.is_alive,
            lease=round(node.left, 1),
            draining=node.draining,
            release=node.release,
            started_at=node.started_at,
            shards=held[node.name] if node.is_alive else 0,
        )
        for node in view.nodes.values()
    )
    return Cluster(
        node=bridge.node,
        nodes=nodes,
        shards=len(view.shards),
        unserved=sum(not view.holder(shard) for shard in view.shards),
    )


async def drain_node(bridge: Bridge, asked: DrainNode) -> Cluster:
    await bridge.cluster.drain(asked.node, on=asked.on)
    return await get_cluster(bridge, GetCluster())


OPERATIONS = (Operation(GetCluster, get_cluster), Operation(DrainNode, drain_node))
