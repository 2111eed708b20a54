"""Which node should serve which shard: rendezvous hashing, so that a node that joins or leaves moves only its part."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from bridge.cluster.view import ClusterView

UNDER_WAY = 8  # shards that one node offers to others at a time: so few wait to be taken


@dataclass(frozen=True, slots=True)
class Plan:
    """What a node should do now: take free shards of `take`, then release those of `release`, each in this order.

    `release` begins with shards that are the node's without its knowledge: nobody serves them.
    """

    take: tuple[int, ...]
    release: tuple[int, ...]
    settled: bool  # whether every shard is where it should be


def wanted(shard: int, nodes: Collection[str]) -> str:
    """Return which of these nodes should have a shard; "" if there are none."""
    return _first(shard, tuple(nodes))


@lru_cache(65_536)  # all shards as seen with 256 sets of nodes
def _first(shard: int, nodes: tuple[str, ...]) -> str:
    return max(nodes, key=lambda name: (_rank(shard, name), name), default="")


@lru_cache(65_536)  # all shards of 256 nodes
def _rank(shard: int, name: str) -> bytes:
    return blake2b(f"{shard} {name}".encode(), digest_size=8).digest()


def misplaced(view: ClusterView) -> int:
    """Return how many shards are not with the node that should have them: they change hands now, or wait for that."""
    right = _right(view)
    return sum(view.holder(shard) != right(shard) for shard in view.shards)


def _right(view: ClusterView) -> Callable[[int], str]:
    """Return what says which node should have a shard.

    A node that drains should have none, unless all do. One that is unfit should have none but what it has, unless all
    are.
    """
    staying = view.staying
    working = tuple(name for name in staying if not view.nodes[name].draining) or tuple(staying)
    fit = tuple(name for name in working if not view.nodes[name].unfit) or working

    def right(shard: int) -> str:
        best = wanted(shard, working)
        return best if best in fit or view.holder(shard) == best else wanted(shard, fit)

    return right


def plan(view: ClusterView, me: str, held: Collection[int]) -> Plan:
    """Return what the node `me` should do, which knows that it holds the shards `held`.

    A node that drains gets no shard as long as others are there, and one that is stopping gets none. Where all nodes
    are stopping, each keeps what it has: nobody could take it. A shard can be the node's without its knowledge, since
    the ledger's answer to a take was lost, or a release failed: it is taken once more, with a new epoch, or released if
    another node should have it.
    """
    right_of = _right(view)
    take, release, unknown = [], [], []
    offered = 0
    settled = True
    for shard in sorted(view.shards):
        holder, right = view.holder(shard), right_of(shard)
        is_unknown = holder == me and shard not in held
        settled = settled and holder == right and not is_unknown
        if right == me and (not holder or is_unknown):
            take.append(shard)
        elif is_unknown:
            unknown.append(shard)
            offered += 1
        elif holder == me and right not in (me, ""):
            release.append(shard)
        elif not holder:
            offered += 1
    return Plan(tuple(take), (*unknown, *release[: max(UNDER_WAY - offered, 0)]), settled)
