"""Keeps a node's part of a cluster: takes the shards that should be its own, and hands over those that should not.

Each shard is taken and released in the background, all at the same time; looks at the cluster go on meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable

from bridge.cluster.balance import misplaced, plan
from bridge.cluster.fitness import FailedShards, Fitness
from bridge.cluster.ledger import ClusterLedger
from bridge.cluster.shards import NodeShards
from bridge.cluster.view import ClusterView
from bridge.errors import BridgeError, StoreUnavailable
from bridge.service.shard_moves import ShardMoves

QUICK = 0.2  # seconds between two looks while shards change hands
AFTER_FAILURE = 5.0  # seconds before a shard that could not be served here is taken once more
WHY = 500  # characters of a reason, at most
SOON = 0.02  # seconds after the end of a lease at which its shards can be taken
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
        self._failed = FailedShards()
        self._said_failing = 0, ""
        self._rests_until = 0.0  # when to take shards again, after several could not be served
        self._fitness = Fitness()
        self._said_fit = True
        self._moves = ShardMoves(count)
        self._nodes: frozenset[str] = frozenset()

    @property
    def alive(self) -> list[str]:
        """Return the names of the nodes whose lease went on, lately."""
        return [] if self.view is None else [node.name for node in self.view.nodes.values() if node.is_alive]

    @property
    def unserved(self) -> int:
        """Return the number of shards that no living node held, lately."""
        return 0 if self.view is None else sum(not self.view.holder(shard) for shard in self.view.shards)

    @property
    def to_move(self) -> int:
        """Return the number of shards that another node should have than the one that held them lately, if any did."""
        return 0 if self.view is None else misplaced(self.view)

    def holder(self, shard: int) -> str | None:
        """Return the name of the node that held a shard lately, "" if none did; None before the first look."""
        return None if self.view is None else self.view.holder(shard)

    async def turn(self) -> float:
        """Take and hand over the shards that should change now; return the seconds until the next turn."""
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

    async def quiet(self) -> None:
        """Return when no shard is being taken or released any more."""
        await self._moves.quiet()

    async def leave(self) -> None:
        """Hand all shards over to nodes that stay, if there are any; return when that is done, or after 30 s.

        The node may still hold shards then: it must stop serving them before its place in the ledger ends.
        """
        await self._moves.stop_taking(*self._moves.taken)
        try:
            await self._ledger.leaving()
            async with asyncio.timeout(LEAVE):
                while self._shards.held or self._moves.under_way:
                    pause = await self._turn()
                    if self.view is None or not self.view.staying:
                        break
                    await asyncio.sleep(min(pause, QUICK))
                await self._moves.quiet()
        except TimeoutError:
            log.warning("not all shards are handed over: %.0f s have passed", LEAVE)
        except BridgeError as error:
            log.warning("not all shards are handed over: %s", error)
        await self._moves.stop()

    async def _turn(self) -> float:
        now = asyncio.get_running_loop().time()
        self._fitness.end_pause(now)
        await self._say_whether_fit()
        await self._say_what_fails(now)
        busy = self._moves.under_way  # of which the view may show what was before or after
        self.view = view = await self._ledger.view()
        self._note_nodes()
        me = self._shards.node
        for shard, epoch in [*self._shards.held.items()]:
            if (view.shards[shard].holder, view.shards[shard].epoch) != (me, epoch):
                await self._lose(shard, epoch, busy)
        busy |= self._moves.under_way
        todo = plan(view, me, self._shards.held.keys() | busy)
        await self._take([shard for shard in todo.take if shard not in busy], now)
        for shard in todo.release:
            if shard not in busy:
                self._moves.begin(shard, self._release(shard, view.shards[shard].epoch), takes=False)
        if self._moves.under_way or not todo.settled:
            return min(QUICK, self._pause)
        return min(self._pause, self._next_end(view))

    async def _lose(self, shard: int, epoch: int, busy: frozenset[int]) -> None:
        """Release a shard that the ledger says is not this node's, unless that is what it is doing."""
        if shard in busy and shard not in self._moves.taken:
            return
        log.error("shard %d was taken by another node", shard)
        self._count("shards_lost")
        await self._moves.stop_taking(shard)
        if shard not in self._moves.under_way:
            self._moves.begin(shard, self._release(shard, epoch), takes=False)

    async def _take(self, wanted: list[int], now: float) -> None:
        """Begin to serve shards that are free."""
        wanted = [shard for shard in wanted if self._rests_until <= now and self._may_try(shard, now)]
        if self._fitness.is_doubtful:  # one attempt shows whether this node works again
            wanted.sort(key=lambda shard: self._failed.at(shard) or 0.0)  # one that fails always keeps no other one
            wanted = [] if self._moves.taken else wanted[:1]
        if not wanted:
            return
        epochs = await self._ledger.take(wanted)
        for shard, epoch in sorted(epochs.items()):
            self._moves.begin(shard, self._serve(shard, epoch), takes=True)
        if epochs:
            log.info("shards taken", extra={"number": len(epochs), "held": len(self._shards.held.keys() | epochs)})

    def _may_try(self, shard: int, now: float) -> bool:
        failed = self._failed.at(shard)
        return failed is None or now >= failed + AFTER_FAILURE

    async def _serve(self, shard: int, epoch: int) -> None:
        """Serve a shard that is this node's now, or give it back."""
        try:
            await self._shards.take(shard, epoch)
        except BridgeError as error:
            log.error("%s; it is tried again in %.0f s", error, AFTER_FAILURE, extra={"sample": "refused"})  # noqa: TRY400  # no trace helps
            self._count("shards_refused")
            now = asyncio.get_running_loop().time()
            self._failed.failed(shard, str(error)[:WHY], now)
            if self._fitness.failed(now):
                self._rests_until = now + AFTER_FAILURE
            await self._ledger.release(shard, epoch)
        else:
            self._fitness.served()
            self._failed.served(shard)
            self._count("shards_taken")

    async def _release(self, shard: int, epoch: int) -> None:
        if shard in self._shards.held:
            await self._shards.release(shard)
        await self._ledger.release(shard, epoch)
        self._count("shards_released")

    async def _say_whether_fit(self) -> None:
        is_fit = self._fitness.is_fit
        if is_fit == self._said_fit:
            return
        await self._ledger.unfit(on=not is_fit)
        self._said_fit = is_fit
        if not is_fit:
            log.error(
                "this node takes no more shards for now, and serves those that it has: the other nodes take what it "
                "should have, and it tries again later"
            )

    async def _say_what_fails(self, now: float) -> None:
        """Let the others know of how many shards the latest attempt has failed here, and why."""
        failing = self._failed.lately(now)
        if failing != self._said_failing:
            await self._ledger.failing(*failing)
            self._said_failing = failing

    def _next_end(self, view: ClusterView) -> float:
        """Return the seconds until the first lease of another node is over, if that is not renewed."""
        left = (node.left for node in view.nodes.values() if node.is_alive and node.name != self._shards.node)
        return min(left, default=self._pause) + SOON

    def _note_nodes(self) -> None:
        nodes = frozenset(self.alive)
        if nodes != self._nodes:
            log.info("nodes of the cluster: %s", ", ".join(sorted(nodes)))
            self._nodes = nodes
