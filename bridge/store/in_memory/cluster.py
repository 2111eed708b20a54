"""The store in memory of one of several nodes over one disk, with the leases and fences of the one in PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.cluster.agreement import NOTHING_SAID, Agreement
from bridge.cluster.view import ClusterView, NodeView, ShardView
from bridge.delivery.rows import Change
from bridge.errors import LedgerInUse, NotFound, StoreUnavailable
from bridge.north.udp.prefixes import SHARDS
from bridge.quota.allotment import Budget, Claim, Grant, grant
from bridge.quota.pairs import NONE, Pair, added
from bridge.store.contract import Done
from bridge.store.in_memory.disk import Disk
from bridge.store.in_memory.faults import Faults
from bridge.store.in_memory.owner_requests import InMemoryOwnerRequests, OwnerRequestRows
from bridge.store.in_memory.store import Batch, InMemoryStore
from bridge.store.lease import Lease


@dataclass(slots=True)
class _NodeRow:
    incarnation: int  # 0: others have declared its lease over
    until: float
    draining: bool = False
    leaving: bool = False
    unfit: bool = False
    failing: int = 0
    failing_why: str = ""
    agreement: Agreement = NOTHING_SAID


@dataclass(frozen=True, slots=True)
class _AllotmentRow:
    all: Pair
    used: Pair


@dataclass(slots=True)
class _BudgetRow:
    starts: int = 0
    before: Pair = NONE
    rows: dict[int, _AllotmentRow] = field(default_factory=dict)  # by incarnation


@dataclass(slots=True)
class ClusterRows:
    """What all nodes see. `now` is the ledger's monotonic clock, `wall` its wall clock, in seconds."""

    now: Callable[[], float]
    wall: Callable[[], float] = lambda: 0.0
    budgets: dict[str, _BudgetRow] = field(default_factory=dict)
    nodes: dict[str, _NodeRow] = field(default_factory=dict)
    shards: dict[int, ShardView] = field(default_factory=lambda: dict.fromkeys(range(SHARDS), ShardView("", 0)))
    incarnations: int = 0
    requests: OwnerRequestRows = field(init=False)

    def __post_init__(self) -> None:
        self.requests = OwnerRequestRows(self.now)


class InMemoryNode(InMemoryStore):
    """`bridge.cluster.ledger.ClusterLedger` and `bridge.store.contract.Store`. Make it in a running event loop."""

    def __init__(
        self,
        disk: Disk,
        rows: ClusterRows,
        name: str,
        span: float,
        lost: Callable[[], None],
        faults: Faults | None = None,
        *,
        fenced: bool = True,
    ) -> None:
        """Join the cluster with a lease of `span` seconds; `lost` is called when the place is found to be lost.

        `fenced` false: commits of shards that are another node's are kept, to show what follows. Raises LedgerInUse if
        a living node has the name.
        """
        there = rows.nodes.get(name)
        if there is not None and there.until > rows.now():
            raise LedgerInUse(f"a node called {name!r} is in the cluster")
        super().__init__(disk, faults)
        rows.incarnations += 1
        self.owner_requests = InMemoryOwnerRequests(rows.requests, self.readable, self._tell_of_posts)
        self.lease = Lease(span, self._loop.time())
        self._rows = rows
        self._name = name
        self._span = span
        self._lost = lost
        self._fenced = fenced
        self._incarnation = rows.incarnations
        self._held: dict[int, int] = {}
        rows.nodes[name] = _NodeRow(self._incarnation, rows.now() + span)
        for shard, row in rows.shards.items():
            if row.holder == name:
                rows.shards[shard] = ShardView("", row.epoch)

    # The cluster

    def _tell_of_posts(self, shards: frozenset[int]) -> None:
        for tell in self.disk.tell_of_posts:
            tell(shards)

    async def view(self) -> ClusterView:
        await self.readable()
        now = self._rows.now()
        nodes = {
            name: NodeView(
                name,
                max(row.until - now, 0.0),
                row.draining or row.leaving,
                row.leaving,
                row.unfit,
                row.failing,
                row.failing_why,
            )
            for name, row in self._rows.nodes.items()
        }
        return ClusterView(nodes, dict(self._rows.shards))

    async def clock(self) -> float:
        await self.readable()
        return self._rows.wall()

    async def take(self, shards: Sequence[int]) -> Mapping[int, int]:
        await self.readable()
        if self._fenced and not self._is_in():
            raise StoreUnavailable(f"node {self._name!r} is not in the cluster any more")
        now = self._rows.now()
        for name, row in self._rows.nodes.items():
            if row.until <= now and name != self._name:
                row.incarnation = 0
        taken = {}
        for shard in shards:
            present = self._rows.shards[shard]
            holder = self._rows.nodes.get(present.holder)
            if present.holder == self._name or holder is None or not holder.incarnation:
                self._rows.shards[shard] = ShardView(self._name, present.epoch + 1)
                taken[shard] = present.epoch + 1
        self._held.update(taken)
        return taken

    async def release(self, shard: int, epoch: int) -> None:
        self._held.pop(shard, None)
        await self.readable()
        if self._rows.shards[shard] == ShardView(self._name, epoch):
            self._rows.shards[shard] = ShardView("", epoch)

    async def accounted(self) -> tuple[Mapping[str, tuple[int, Pair]], float]:
        await self.readable()
        found = {}
        for key, budget in self._rows.budgets.items():
            used = NONE
            for row in budget.rows.values():
                used = added(used, row.used)
            found[key] = budget.starts, used
        return found, self._rows.wall()

    async def allot(self, asked: Sequence[Claim]) -> Sequence[Grant]:
        await self.readable()
        return [self._allotted(one) for one in asked]

    def _allotted(self, asked: Claim) -> Grant:
        stored = self._rows.budgets.setdefault(asked.key, _BudgetRow())
        budget = Budget(stored.starts, stored.before)
        budget.begin(asked, self._rows.wall())
        stored.starts, stored.before = budget.starts, budget.before
        if budget.is_new:
            stored.rows.clear()
        living = {row.incarnation for row in self._rows.nodes.values()}
        for incarnation, row in stored.rows.items():
            if incarnation != self._incarnation:
                budget.given = added(budget.given, row.all)
                budget.used = added(budget.used, row.used if incarnation in living else row.all)
        answer = grant(asked, budget, self._rows.wall())
        stored.rows[self._incarnation] = _AllotmentRow(answer.all, answer.used)
        return answer

    async def agree(
        self, agreement: Agreement, check: Callable[[Mapping[str, Agreement]], None] = lambda _said: None
    ) -> None:
        await self.readable()
        check(self._agreements())
        if self._is_in():
            self._rows.nodes[self._name].agreement = agreement

    async def agreements(self) -> Mapping[str, Agreement]:
        await self.readable()
        return self._agreements()

    def _agreements(self) -> Mapping[str, Agreement]:
        living = {name: row for name, row in self._rows.nodes.items() if row.until > self._rows.now()}
        return {name: row.agreement for name, row in living.items() if row.agreement != NOTHING_SAID}

    async def drain(self, node: str, *, on: bool) -> None:
        await self.readable()
        if node not in self._rows.nodes:
            raise NotFound(f"there is no node {node!r} in the cluster")
        self._rows.nodes[node].draining = on

    async def unfit(self, *, on: bool) -> None:
        await self.readable()
        if self._is_in():
            self._rows.nodes[self._name].unfit = on

    async def failing(self, shards: int, why: str) -> None:
        await self.readable()
        if self._is_in():
            self._rows.nodes[self._name].failing, self._rows.nodes[self._name].failing_why = shards, why

    async def leaving(self) -> None:
        await self.readable()
        if self._is_in():
            self._rows.nodes[self._name].leaving = True

    # Commits

    def commit(
        self, changes: Sequence[Change], done: Done, *, endpoint: int | None = None, shard: int | None = None
    ) -> None:
        fence = None if shard is None else (shard, self._held.get(shard, 0))
        self._give(Batch(changes, None, done, endpoint, self._generation, fence))

    def _apply(self, batch: Batch) -> None:
        began = self._loop.time()
        if self._fenced and not self._is_in():
            batch.error = StoreUnavailable("other nodes have declared the lease of this one over")
            self._lost()
            return
        self._rows.nodes[self._name].until = self._rows.now() + self._span
        if self._fenced and batch.fence is not None:
            shard, epoch = batch.fence
            if self._rows.shards[shard] != ShardView(self._name, epoch):
                batch.error = StoreUnavailable("another node serves the shard: nothing of it is kept here")
                return
        super()._apply(batch)
        self.lease.renewed(began)

    def _is_in(self) -> bool:
        row = self._rows.nodes.get(self._name)
        return row is not None and row.incarnation == self._incarnation
