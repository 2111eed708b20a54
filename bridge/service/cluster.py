"""Keeps a node's part of a cluster: takes the shards that should be its own, and hands over those that should not."""

import asyncio
import logging
from collections.abc import Callable

from bridge.cluster.balance import misplaced, plan
from bridge.cluster.fitness import Fitness
from bridge.cluster.ledger import ClusterLedger
from bridge.cluster.shards import NodeShards
from bridge.cluster.view import ClusterView
from bridge.errors import BridgeError, StoreUnavailable

QUICK = 0.2  # seconds between two looks while shards change hands
AFTER_FAILURE = 5.0  # seconds before a shard that could not be served here is taken once more
LEAVE = 30.0  # seconds that a node which stops spends on handing its shards over

log = logging.getLogger(__name__)


class ClusterWork:
    """The work of one node, in a task of its own."""

    def __init__(self, ledger: ClusterLedger, shards: NodeShards, pause: float, count: Callable[..., None]) -> None:
        """`pause`: seconds between two looks at the cluster; `count` increments counters that an operator sees."""
        self._ledger = ledger
        self._shards = shards
        self._pause = pause
        self._count = count
        self.view: ClusterView | None = None  # as it was lately
        self._failed: dict[int, float] = {}  # shards that could not be served here → when to try again
        self._fitness = Fitness()
        self._nodes: frozenset[str] = frozenset()

    @property
    def alive(self) -> list[str]:
        """The names of the nodes whose lease went on, lately."""
        return [] if self.view is None else [node.name for node in self.view.nodes.values() if node.is_alive]

    @property
    def unserved(self) -> int:
        """The number of shards that no living node held, lately."""
        return 0 if self.view is None else sum(not self.view.holder(shard) for shard in self.view.shards)

    @property
    def to_move(self) -> int:
        """The number of shards that another node should have than the one that held them lately, if any did."""
        return 0 if self.view is None else misplaced(self.view)

    def holder(self, shard: int) -> str | None:
        """Return the name of the node that held a shard lately, "" if none did; None before the first look."""
        return None if self.view is None else self.view.holder(shard)

    async def turn(self) -> float:
        """Look, take and hand over what should change now; return the seconds until the next turn."""
        try:
            return await self._turn()
        except StoreUnavailable as error:
            log.warning("the cluster cannot be seen: %s", error, extra={"sample": "cluster"})
        except Exception:
            self._count("failed_tasks")
            log.exception(
                "a look at the cluster failed because of a bug; the next one follows", extra={"sample": "look"}
            )
        return self._pause

    async def leave(self) -> None:
        """Hand all shards over to nodes that stay, if there are any; return when that is done, or after 30 s.

        The node may still hold shards then: it must stop serving them before its place in the ledger ends.
        """
        try:
            await self._ledger.leaving()
            async with asyncio.timeout(LEAVE):
                while self._shards.held:
                    pause = await self._turn()
                    if self.view is None or not self.view.staying:
                        break
                    await asyncio.sleep(min(pause, QUICK))
        except TimeoutError:
            log.warning("not all shards are handed over: %.0f s have passed", LEAVE)
        except BridgeError as error:
            log.warning("not all shards are handed over: %s", error)

    async def _turn(self) -> float:
        now = asyncio.get_running_loop().time()
        self.view = view = await self._ledger.view()
        self._note_nodes()
        me = self._shards.node
        for shard, epoch in [*self._shards.held.items()]:
            if (view.shards[shard].holder, view.shards[shard].epoch) != (me, epoch):
                log.error("shard %d was taken by another node", shard)
                self._count("shards_lost")
                await self._release(shard, view)
        if self._fitness.may_try_again(now):
            await self._ledger.unfit(on=False)
        todo = plan(view, me, self._shards.held)
        wanted = [shard for shard in todo.take if self._failed.get(shard, 0.0) <= now]
        if wanted:
            await self._take(wanted, now)
        for shard in todo.release:
            await self._release(shard, view)
        return self._pause if todo.settled else min(QUICK, self._pause)

    async def _take(self, wanted: list[int], now: float) -> None:
        epochs = await self._ledger.take(wanted)
        was_fit, is_enough = self._fitness.is_fit, False
        for shard, epoch in sorted(epochs.items()):
            if is_enough:
                await self._give_back(shard, epoch, now)
                continue
            try:
                await self._shards.take(shard, epoch)
            except BridgeError as error:
                log.error("%s; it is tried again in %.0f s", error, AFTER_FAILURE)  # noqa: TRY400  # no trace helps
                self._count("shards_refused")
                await self._give_back(shard, epoch, now)
                is_enough = self._fitness.failed(now)
            else:
                self._fitness.served()
                self._failed.pop(shard, None)
                self._count("shards_taken")
        if epochs:
            log.info("shards taken", extra={"number": len(epochs), "held": len(self._shards.held)})
        if self._fitness.is_fit != was_fit:
            await self._ledger.unfit(on=was_fit)
            if was_fit:
                log.error("this node can serve no shard now: the other nodes take them, and it tries again later")

    async def _give_back(self, shard: int, epoch: int, now: float) -> None:
        self._failed[shard] = now + AFTER_FAILURE
        await self._ledger.release(shard, epoch)

    async def _release(self, shard: int, view: ClusterView) -> None:
        if shard in self._shards.held:
            await self._shards.release(shard)
        await self._ledger.release(shard, view.shards[shard].epoch)
        self._count("shards_released")

    def _note_nodes(self) -> None:
        nodes = frozenset(self.alive)
        if nodes != self._nodes:
            log.info("nodes of the cluster: %s", ", ".join(sorted(nodes)))
            self._nodes = nodes
