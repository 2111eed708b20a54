"""What a node sees of its cluster: all nodes and all shards, as they were at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node. `left` are the seconds until its lease ends, by the ledger's clock; 0 if it is over.

    `draining`: it hands its shards over to others. `leaving`: its process is stopping, so it can take none. `unfit`: it
    could serve none of those that it tried last, so it takes none for a while. `failing`: of how many shards the latest
    attempt to serve them has failed there lately, and why that of the last one did.
    """

    name: str
    left: float
    draining: bool
    leaving: bool = False
    unfit: bool = False
    failing: int = 0
    failing_why: str = ""
    release: str = ""
    started_at: float = 0.0  # wall time of the ledger

    @property
    def is_alive(self) -> bool:
        return self.left > 0


@dataclass(frozen=True, slots=True)
class ShardView:
    """One shard: the name of the node that holds it, "" if none does, and the epoch.

    `since`: when the node took the shard, or the last one released it; wall time of the ledger.
    """

    holder: str
    epoch: int
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class ClusterView:
    """All nodes by name, all shards by number."""

    nodes: Mapping[str, NodeView]
    shards: Mapping[int, ShardView]

    @property
    def staying(self) -> list[str]:
        """Return the names of the living nodes that are not stopping: those that can serve shards."""
        return [node.name for node in self.nodes.values() if node.is_alive and not node.leaving]

    def held_by(self, node: str) -> int:
        """Return the number of shards that a living node holds."""
        return sum(self.holder(shard) == node for shard in self.shards)

    def holder(self, shard: int) -> str:
        """Return the name of the living node that holds a shard, "" if none does."""
        name = self.shards[shard].holder
        node = self.nodes.get(name)
        return name if node is not None and node.is_alive else ""
