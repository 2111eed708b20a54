"""One node of a cluster, put together: its shards, who follows them, and work that one node does for all."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any

from bridge.background import kept_up, report
from bridge.cluster.contract import ShardFollower
from bridge.cluster.ledger import ClusterLedger
from bridge.cluster.shards import NodeShards
from bridge.cluster.view import ClusterView
from bridge.metrics import Metrics
from bridge.operations.types.state import NodeStatus
from bridge.service.cluster import ClusterWork
from bridge.service.node_agreement import NodeAgreement
from bridge.service.node_clock import NodeClock
from bridge.service.quota_allotments import QuotaAllotments
from bridge.service.tasks import Tasks
from bridge.store.fleet import FleetCounts

CHORES = 0  # the shard whose node does what is done once for all endpoints
CHORE = "work that is done once for all endpoints"

Chore = Callable[[], Coroutine[Any, Any, None]]


class Chores:
    """`bridge.cluster.contract.ShardFollower`: runs background work on the node that has shard 0, and nowhere else."""

    def __init__(self, chores: Sequence[Chore], count: Callable[..., None]) -> None:
        """`count` increments counters that an operator sees."""
        self._chores = chores
        self._tasks = Tasks(count)

    async def taken(self, shard: int, _epoch: int) -> None:
        """Begin, if it is the shard."""
        if shard == CHORES:
            for chore in self._chores:
                self._tasks.keep_up(CHORE, chore)

    async def released(self, shard: int) -> None:
        """End, if it is the shard."""
        if shard == CHORES:
            await self.stop()

    async def stop(self) -> None:
        """End what runs."""
        await self._tasks.stop()


class Node:
    """Made before anything runs; `run` is the work in the background."""

    def __init__(
        self,
        ledger: ClusterLedger,
        shards: NodeShards,
        followers: Sequence[ShardFollower],
        chores: Sequence[Chore],
        pause: float,
        metrics: Metrics,
        looked: Callable[[], None],
        stopping: Callable[[Collection[int]], Awaitable[None]],
        quotas: QuotaAllotments,
        clock: NodeClock,
        agreement: NodeAgreement,
    ) -> None:
        """`followers` in the order in which they prepare; `looked` is called after each look at the cluster.

        `stopping` is awaited when the node leaves, with the shards that no other node could take over before.
        """
        self.ledger = ledger
        self.shards = shards
        self.work = ClusterWork(ledger, shards, pause, metrics.count)
        self._chores = Chores(chores, metrics.count)
        self._looked = looked
        self._stopping = stopping
        self._quotas = quotas
        self.clock = clock
        self.agreement = agreement
        for follower in (*followers, self._chores):
            shards.follow(follower)
        _watch(metrics, self)
        agreement.watch(metrics)

    @property
    def served(self) -> list[int]:
        """Return the shards that this node serves."""
        return [shard for shard in self.shards.held if self.shards.serves(shard)]

    def status(self, counts: FleetCounts) -> NodeStatus:
        """Return the state of this node; `counts` are numbers of the whole fleet."""
        return NodeStatus(
            name=self.shards.node,
            endpoints=counts.of_shards(self.served),
            shards=len(self.served),
            nodes=tuple(self.work.alive),
            to_move=self.work.to_move,
            unserved=self.work.unserved,
            contradicts=tuple(name for name, one in self.agreement.unlike.items() if one.contradictions),
            differs_from=tuple(name for name, one in self.agreement.unlike.items() if one.differences),
            clock_ahead=None if self.clock.ahead is None else round(self.clock.ahead, 3),
        )

    async def run(self) -> None:
        """Keep this node's part of the cluster, and of its quotas, until this is cancelled."""
        async with asyncio.TaskGroup() as together:
            together.create_task(kept_up("sharing quotas", self._quotas.run))
            together.create_task(kept_up("comparing clocks", self.clock.run))
            together.create_task(kept_up("comparing configurations", self.agreement.run))
            while True:
                pause = await self.work.turn()
                try:
                    self._looked()
                except Exception as bug:  # noqa: BLE001  # this node must go on looking, or it holds shards unseen
                    report("what follows a look at the cluster failed because of a bug", bug)
                await asyncio.sleep(pause)

    async def leave(self) -> None:
        """Hand all shards over, as far as there are nodes that stay. `run` has ended."""
        await self.work.leave()
        await self._stopping((*self.shards.held,))
        await self._quotas.give_back()
        with contextlib.suppress(asyncio.CancelledError):
            await self._chores.stop()


def _watch(metrics: Metrics, node: Node) -> None:
    metrics.describe("cluster_shards", "Shards that this node serves.")
    metrics.watch("cluster_shards", lambda: float(len(node.served)))
    metrics.describe("cluster_nodes", "Nodes whose lease goes on, as this node saw them last.")
    metrics.watch("cluster_nodes", lambda: float(len(node.work.alive)))
    metrics.describe("cluster_shards_unserved", "Shards that no living node holds, as this node saw them last.")
    metrics.watch("cluster_shards_unserved", lambda: float(node.work.unserved))
    metrics.describe(
        "cluster_shards_to_move", "Shards that another node should have than the one that holds them, if any does."
    )
    metrics.watch("cluster_shards_to_move", lambda: float(node.work.to_move))
    metrics.describe(
        "cluster_clock_ahead_seconds",
        "Seconds by which this node's wall clock is certainly ahead of the database's; negative: it is behind.",
    )
    metrics.watch("cluster_clock_ahead_seconds", lambda: _known(node.clock, node.shards.node), label="node")
    metrics.describe("cluster_node_shards", "Shards of each node whose lease goes on, as this node saw them last.")
    metrics.watch("cluster_node_shards", lambda: _of_each(node.work.view, ClusterView.held_by), label="node")
    metrics.describe(
        "cluster_node_lease_seconds",
        "Seconds until each node's lease ends, by the database's clock; 0: it is over.",
    )
    metrics.watch("cluster_node_lease_seconds", lambda: _of_each(node.work.view, _left), label="node")


def _known(clock: NodeClock, name: str) -> Mapping[str, float]:
    return {} if clock.ahead is None else {name: clock.ahead}


def _of_each(view: ClusterView | None, read: Callable[[ClusterView, str], float]) -> Mapping[str, float]:
    return {} if view is None else {name: float(read(view, name)) for name in view.nodes}


def _left(view: ClusterView, name: str) -> float:
    return view.nodes[name].left
