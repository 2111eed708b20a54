"""Which node should serve which shard: rendezvous hashing, so that a node that joins or leaves moves only its part."""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b

from bridge.cluster.view import ClusterView

UNDER_WAY = 8  # shards that one node offers to others at a time: so few wait to be taken


@dataclass(frozen=True, slots=True)
class Plan:
    """What a node should do now: take free shards of `take`, then release those of `release`, each in this order."""

    take: tuple[int, ...]
    release: tuple[int, ...]
    settled: bool  # whether every shard is where it should be


def wanted(shard: int, nodes: Collection[str]) -> str:
    """Return which of these nodes should have a shard; "" if there are none."""
    return max(nodes, key=lambda name: (blake2b(f"{shard} {name}".encode(), digest_size=8).digest(), name), default="")


def plan(view: ClusterView, me: str, held: Collection[int]) -> Plan:
    """Return what the node `me` should do, which knows that it holds the shards `held`.

    A node that drains gets no shard as long as others are there. A shard that is the node's without its knowledge,
    since the answer of the ledger was lost, is taken once more, with a new epoch.
    """
    alive = [node.name for node in view.nodes.values() if node.is_alive]
    working = [name for name in alive if not view.nodes[name].draining] or alive
    take, release = [], []
    offered = 0
    settled = True
    for shard in sorted(view.shards):
        holder, right = view.holder(shard), wanted(shard, working)
        if holder == me and shard not in held:
            holder = ""
        settled = settled and holder == right
        if right == me and not holder:
            take.append(shard)
        elif holder == me and right != me:
            release.append(shard)
        elif not holder:
            offered += 1
    return Plan(tuple(take), tuple(release[: max(UNDER_WAY - offered, 0)]), settled)
