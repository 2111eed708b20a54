"""What a node sees of its cluster: all nodes and all shards, as they were at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node. `left` are the seconds until its lease ends, by the ledger's clock; 0 if it is over."""

    name: str
    left: float
    draining: bool
    release: str = ""
    started_at: float = 0.0  # wall time of the ledger

    @property
    def is_alive(self) -> bool:
        return self.left > 0


@dataclass(frozen=True, slots=True)
class ShardView:
    """One shard: the name of the node that holds it, "" if none does, and the epoch."""

    holder: str
    epoch: int


@dataclass(frozen=True, slots=True)
class ClusterView:
    """All nodes by name, all shards by number."""

    nodes: Mapping[str, NodeView]
    shards: Mapping[int, ShardView]

    def holder(self, shard: int) -> str:
        """Return the name of the living node that holds a shard, "" if none does."""
        name = self.shards[shard].holder
        node = self.nodes.get(name)
        return name if node is not None and node.is_alive else ""
