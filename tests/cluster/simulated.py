"""Nodes of a cluster in one thread: real runners, balance, leases and inbox over the store in memory, from a seed.

Servers and networks turn to any node. What a device sends to a node that does not serve it goes through the inbox.

Each node has an event loop of its own, and all follow one clock. A node that is stopped does not run its loop, so that
all its timers are late when it continues, as after SIGSTOP.
"""

import asyncio
import selectors
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from bindings.contract import (
    MISS,
    Accepted,
    Ambiguous,
    Cancellation,
    Lookup,
    Miss,
    NetworkState,
    Post,
    Presence,
    SouthProfile,
    Submission,
    UplinkMessage,
)
from bridge.cluster.shards import NodeShards
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.delivery.downlinks import Downlink
from bridge.delivery.uplinks import Uplink
from bridge.directory import Draft, EndpointRecord
from bridge.directory.keys import Key
from bridge.errors import LedgerInUse, NotServedHere
from bridge.quota.allotments import Allotments
from bridge.quota.limits import Per, Quota
from bridge.quota.periods import Period, start_of
from bridge.quota.shared import SharedQuotas
from bridge.relay import events as ev
from bridge.relay.effects import Cancel, Effect, LookUp, SendToServer, Submit
from bridge.relay.model import Endpoint, Policy, Server
from bridge.service.cluster import ClusterWork
from bridge.service.inbox import InboxWork
from bridge.service.inbox_order import InboxOrder
from bridge.service.network_calls import NetworkCalls
from bridge.service.networks import NetworkEvents
from bridge.service.node_inbox import NodeInbox
from bridge.service.placed import Placed
from bridge.service.quota_allotments import QuotaAllotments
from bridge.service.runner import Runner
from bridge.store.in_memory import ClusterRows, Disk, Faults, InMemoryNode
from bridge.store.in_memory.inbox import InMemoryIngress
from bridge.store.inbox import InboxRow
from tests.service.scripted_binding import PROFILE

SPAN = 5.0
EPOCH = 1.7e9  # wall time where virtual time is 0
QUOTAS = (
    Quota("messages", "net", Per.NETWORK, Period.MINUTE, messages=60, reserve=0.0),
    Quota("bytes", "net", Per.NETWORK, Period.HOUR, bytes=3000, reserve=0.0),
)
SLICES = 400  # turns of one loop at one moment, at most
SOUTH: SouthProfile = replace(PROFILE, response_timeout=3.0, max_retransmit=0, can_cancel=False)


_EMPTY_ACK = bytes((0x60, 0))


def _unique(asked: int) -> bytes:
    """Return the argument of the Execute with this number, which is its message ID, too."""
    return f"{asked:08d}".encode()


class _Ready(selectors.SelectSelector):
    """Never waits: time is moved by the simulation."""

    def select(self, timeout: float | None = None) -> list[Any]:  # as called
        return super().select(0)


class NodeLoop(asyncio.SelectorEventLoop):
    """A loop on the clock of the simulation, run turn by turn."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(_Ready())
        self.time = now  # type: ignore[method-assign]

    def turn(self) -> bool:
        """Run what is ready; return whether there was anything."""
        asyncio._set_running_loop(self)
        try:
            due = self._scheduled and self._scheduled[0]._when <= self.time()  # type: ignore[attr-defined]
            if not (self._ready or due):  # type: ignore[attr-defined]
                return False
            self._run_once()  # type: ignore[attr-defined]
            return True
        finally:
            asyncio._set_running_loop(None)

    @property
    def next_at(self) -> float:
        """Return when the loop's next timer is due; infinity without one."""
        return min((h._when for h in self._scheduled if not h._cancelled), default=float("inf"))  # type: ignore[attr-defined]


class _NoRecords:
    def cached(self, _key: Key) -> Miss:
        return MISS

    def keep(self, found: EndpointRecord) -> None:
        pass


class _Follower:
    """Takes up the unfinished messages of a shard, and lets go its endpoints, as the service does."""

    def __init__(self, node: "SimulatedNode") -> None:
        self._node = node

    async def taken(self, shard: int, _epoch: int) -> None:
        self._node.loop.create_task(self._take_up(shard))

    async def _take_up(self, shard: int) -> None:
        node = self._node
        async for part in node.store.unfinished([shard]):
            for endpoint in part:
                node.runner.event(endpoint, ev.Tick())

    async def released(self, shard: int) -> None:
        runner = self._node.runner
        try:
            while any(runner.is_busy(endpoint) for endpoint in runner.of_shard(shard)):
                await asyncio.sleep(0.02)
        finally:
            runner.forget_shard(shard)
        await self._node.store.committed(())


class _Posts:
    """Where the network posts to: the number of a device, and what it sends."""

    def __init__(self, node: "SimulatedNode") -> None:
        self._node = node

    def commit_kept(self, post: Post) -> "asyncio.Future[None]":
        return self._node.events.deliver(UplinkMessage(post.query, post.body, None, self._node.wall()))


class _Network:
    def __init__(self, posts: _Posts) -> None:
        self.posts = posts

    async def receive(self, note: object) -> bool:
        raise AssertionError("a node starts its networks")


class SimulatedNode:
    """One process of a node: from its start until it is killed or ends itself."""

    def __init__(self, world: "World", name: str) -> None:
        """Raise LedgerInUse if a living node has the name."""
        self.world = world
        self.name = name
        self.ended = False
        self.stopped_until = 0.0
        self.watched_in = 0  # turns until the thread that watches the lease runs, after the node was stopped
        self.loop = NodeLoop(lambda: world.now)
        self.faults = Faults()
        self._calls: dict[int, tuple[int, int]] = {}
        asyncio._set_running_loop(self.loop)  # in which all parts of the node are made
        try:
            self._make(world)
        except LedgerInUse:
            self.loop.close()
            raise
        finally:
            asyncio._set_running_loop(None)

    def _make(self, world: "World") -> None:
        self.store = InMemoryNode(world.disk, world.rows, self.name, SPAN, self.end, self.faults, fenced=world.fenced)
        self.quotas = SharedQuotas(QUOTAS, Allotments(self.monotonic) if world.shares else None)
        self.calls = NetworkCalls("net", 32, world.random.random, lambda *_, **__: None)
        self.shards = NodeShards(self.name)
        self.work = ClusterWork(self.store, self.shards, 1.0, lambda *_, **__: None)
        self.runner = Runner(
            self.store,
            _NoRecords(),
            self.store.memories,
            self,
            Policy(),
            self._place,
            self,
            world.random.random,
            lambda *_, **__: None,
            quotas=self.quotas,
            shards=self.shards,
        )
        nobody: Any = None
        order = InboxOrder(lambda _key: MISS)
        self.events = NetworkEvents("net", nobody, self.runner, self.store, nobody, self, lambda *_, **__: None, order)
        networks: dict[str, Any] = {"net": _Network(_Posts(self))}
        work = InboxWork(self.store.inbox, self.store, networks, None, lambda *_, **__: None)
        self.inbox = NodeInbox(self.store.inbox, work, order)
        self._ingress = InMemoryIngress(world.disk, self.faults)
        self.shards.follow(self.inbox)
        self.shards.follow(_Follower(self))
        self.loop.create_task(self.inbox.run())
        self.loop.create_task(self._keep())
        if self.quotas.allotments is not None:
            allotting = QuotaAllotments(self.quotas, self.store, self.runner, lambda *_, **__: None)
            self.loop.create_task(allotting.run())
        self.loop.call_soon(self._renew)

    # What the network posts

    def post(self, post: Post) -> None:
        """Take a post as a listener does: directly, or into the inbox for another node; then acknowledge it."""
        taken = self.events.deliver(UplinkMessage(post.query, post.body, None, self.wall()))
        taken.add_done_callback(lambda done: self._taken(post, done))

    def _taken(self, post: Post, taken: "asyncio.Future[None]") -> None:
        error = taken.exception()
        if error is None:
            self.world.acknowledged.append(post.body[-8:])
        elif isinstance(error, NotServedHere) and not self.faults.commits_wait:
            kept = self._ingress.keep("net", post, error.shard)
            kept.add_done_callback(lambda done: self._taken(post, done))
            self.world.passed_on += 1

    # The clock of the runner

    def wall(self) -> float:
        return EPOCH + self.world.now

    def monotonic(self) -> float:
        return self.world.now

    # The actor of the runner: the network

    def act(self, placed: Placed, effect: Effect, result: Callable[[Placed, ev.Event], None]) -> None:
        if isinstance(effect, SendToServer) and effect.data[:2] == _EMPTY_ACK:
            self.world.accepted.add(_unique(int.from_bytes(effect.data[2:4])))
        elif isinstance(effect, Submit):
            attempt = effect.attempt
            self._calls[placed.endpoint.id] = attempt.downlink, attempt.number
            self.world.submitted[attempt.downlink, attempt.number] = (
                len(attempt.payload),
                self.world.charged_at(attempt),
            )
            self.loop.call_later(self.world.random.expovariate(5), self._leaves, placed, effect, result)
        elif isinstance(effect, LookUp):
            looked_up = ev.LookedUp(effect.attempt.downlink, effect.attempt.number, Lookup(Presence.UNSUPPORTED))
            self._call(placed, (effect.attempt.downlink, effect.attempt.number), looked_up, result)
        elif isinstance(effect, Cancel):
            done = ev.CancelDone(effect.downlink, effect.number, Cancellation.UNKNOWN)
            self._call(placed, (effect.downlink, effect.number), done, result)

    def carries(self, _placed: Placed, _server: str, _message: bytes, _secure: bool) -> bool:
        return True

    def call_in_flight(self, endpoint: int) -> tuple[int, int] | None:
        return self._calls.get(endpoint)

    def _leaves(self, placed: Placed, effect: Submit, result: Callable[[Placed, ev.Event], None]) -> None:
        attempt = effect.attempt
        self.world.on_air[attempt.payload[-8:]] += 1
        lost = self.world.random.random() < 0.1
        outcome = Ambiguous("lost") if lost else Accepted(f"{attempt.downlink}.{attempt.number}", NetworkState.SENT)
        submitted = ev.Submitted(attempt.downlink, attempt.number, outcome)
        self._call(placed, (attempt.downlink, attempt.number), submitted, result)

    def _call(
        self, placed: Placed, key: tuple[int, int], event: ev.Event, result: Callable[[Placed, ev.Event], None]
    ) -> None:
        self._calls[placed.endpoint.id] = key

        def ends() -> None:
            self._calls.pop(placed.endpoint.id, None)
            result(placed, event)

        self.loop.call_later(self.world.random.expovariate(5), ends)

    # Its life

    def end(self) -> None:
        """End the process at once."""
        self.ended = True

    def stop(self, seconds: float) -> None:
        """Do not run it for a while."""
        self.stopped_until = self.world.now + seconds
        self.watched_in = self.world.random.randint(0, 5)

    def run(self) -> bool:
        """Run a turn of its loop; return whether anything was done."""
        if self.ended or self.world.now < self.stopped_until:
            return False
        if self.watched_in > 0:
            self.watched_in -= 1
        elif self.world.fenced and self.store.lease.is_over(self.world.now):
            self.end()
            return True
        return self.loop.turn()

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        for _ in range(20):
            self.loop.turn()
        self.loop.close()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(await self.work.turn())

    def _renew(self) -> None:
        self.store.commit((), lambda _error: None)
        self.loop.call_later(1.0, self._renew)

    def _place(self, record: EndpointRecord) -> Placed:
        endpoint = Endpoint(record.id, record.shard, record.name, "net", record.device, (Server("srv"),))
        limits = self.quotas.limits(endpoint.network, endpoint.group)
        return Placed(endpoint, 1, lambda _device: SOUTH, self.calls, limits)


@dataclass
class World:
    """`fenced` false: nodes compare no epochs, and outlive their lease. `shares` false: each node has whole quotas."""

    seed: int
    fenced: bool = True
    shares: bool = True
    names: tuple[str, ...] = ("a", "b", "c")
    endpoints: int = 12
    now: float = 1000.0
    disk: Disk = field(default_factory=Disk)
    on_air: Counter[bytes] = field(default_factory=Counter)
    submitted: dict[tuple[int, int], tuple[int, float]] = field(default_factory=dict)
    """Downlink and attempt → bytes, and the wall time that quotas count it at."""
    accepted: set[bytes] = field(default_factory=set)  # requests that the server got an acknowledgement for
    nodes: dict[str, SimulatedNode] = field(default_factory=dict)
    asked: int = 0
    acknowledged: list[bytes] = field(default_factory=list)  # what devices sent, and a node took
    passed_on: int = 0  # of it, to other nodes

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.rows = ClusterRows(lambda: self.now, lambda: EPOCH + self.now)
        drafts = [Draft("net", f"d{n}", f"e{n}", ("srv",)) for n in range(self.endpoints)]
        for record in self.disk.records.add(drafts, None, 1.7e9):
            assert record.shard < 256

    def run_until(self, at: float) -> None:
        """Let time pass, from timer to timer."""
        while True:
            for _ in range(SLICES):
                busy = [node.run() for node in [*self.nodes.values()]]
                if not any(busy):
                    break
            awake = [node for node in self.nodes.values() if not node.ended]
            times = [max(node.loop.next_at, node.stopped_until) for node in awake]
            step = min([self.now + 0.5, *(time for time in times if time > self.now)])
            if step > at:
                self.now = at
                return
            self.now = step

    def start(self, name: str) -> bool:
        """Start a node unless it runs, or its name is taken; return whether it runs."""
        there = self.nodes.get(name)
        if there is not None and not there.ended:
            return True
        try:
            self.nodes[name] = SimulatedNode(self, name)
        except LedgerInUse:
            return False
        if there is not None:
            there.close()
        return True

    def execute(self) -> None:
        """Have a server send an Execute to a node that may not serve the endpoint."""
        awake = [n for n in self.nodes.values() if not n.ended and self.now >= n.stopped_until]
        if not awake:
            return
        self.asked += 1
        body = b"\xb1\x33\x01\x30\x01\x34\xff" + _unique(self.asked)
        datagram = frame(Type.CON, Code.POST, self.asked, self.asked.to_bytes(4), body)
        node = self.random.choice(awake)
        endpoint = self.random.randint(1, self.endpoints)
        node.loop.call_soon(node.runner.event, endpoint, ev.ServerDatagram("srv", datagram))

    def send(self) -> None:
        """Let a device send something, which its network posts to any node."""
        awake = [n for n in self.nodes.values() if not n.ended and self.now >= n.stopped_until]
        if not awake:
            return
        self.asked += 1
        sent = b"\x54\x02" + self.asked.to_bytes(2) + self.asked.to_bytes(4) + b"\xb2dp\xff" + _unique(self.asked)
        node, number = self.random.choice(awake), self.random.randint(0, self.endpoints - 1)
        node.loop.call_soon(node.post, Post("", f"d{number}", sent))

    def uplinks(self) -> Counter[bytes]:
        """Return how often each of the devices' messages is in the ledger, by its unique part."""
        return Counter(row.body[-8:] for row in self.disk.tables.of(Uplink) if row.operation == "Send")

    def posts(self) -> list[InboxRow]:
        """Return the posts that wait in the inbox."""
        return [*self.disk.tables.of(InboxRow)]

    def fault(self) -> None:
        """Let something happen to a node."""
        name = self.random.choice(self.names)
        node = self.nodes.get(name)
        if node is None or node.ended:
            return
        what = self.random.choice(["kill", "stop", "stop", "silence", "drain", "nothing"])
        if what == "kill":
            node.end()
        elif what == "stop":
            node.stop(self.random.choice([0.5, 3.0, 6.0, 30.0]))
        elif what == "silence":  # from the database
            node.faults.commits_wait = node.faults.reads_wait = True
        elif what == "drain":
            self.rows.nodes[name].draining = True

    def heal(self) -> None:
        """End all faults; ended nodes are started as soon as their name is free."""
        for node in self.nodes.values():
            node.stopped_until = min(node.stopped_until, self.now)
            if node.faults.commits_wait and not node.ended:
                node.loop.call_soon(node.faults.go)
        for row in self.rows.nodes.values():
            row.draining = False

    def used(self) -> dict[Quota, Counter[int]]:
        """Return what was submitted in each period of each quota: what it limits, by the start of the period."""
        found: dict[Quota, Counter[int]] = {quota: Counter() for quota in QUOTAS}
        for size, at in self.submitted.values():
            for quota in QUOTAS:
                found[quota][start_of(quota.period, at)] += 1 if quota.bytes is None else size
        return found

    def charged_at(self, attempt: Submission) -> float:
        """Return the wall time at which an attempt was charged. Its row shows that until its outcome is known."""
        row = next(row for row in self.disk.tables.of(Downlink) if row.id == attempt.downlink)
        one = next(one for one in row.attempts if one.number == attempt.number)
        return one.at if one.charged_at is None else one.charged_at

    def downlinks(self) -> dict[bytes, list[Downlink]]:
        """Return the rows of the ledger by the unique part of their message."""
        found: dict[bytes, list[Downlink]] = {}
        for row in self.disk.tables.of(Downlink):
            found.setdefault(row.body[-8:], []).append(row)
        return found

    def story(self, seconds: float = 90.0) -> None:
        """Let servers ask and things happen for a while, then let all end."""
        for name in self.names:
            self.start(name)
        self.run_until(self.now + 8.0)
        end = self.now + seconds
        while self.now < end:
            self.run_until(self.now + self.random.expovariate(2.0))
            for _ in range(self.random.randint(1, 4)):
                self.execute()
                self.send()
            if self.random.random() < 0.06:
                self.fault()
            for name in self.names:
                if self.random.random() < 0.05:
                    self.start(name)
        self.heal()
        for _ in range(400):
            self.run_until(self.now + 1.0)
            running = [self.start(name) for name in self.names]
            ended = all(row.over for rows in self.downlinks().values() for row in rows)
            if all(running) and ended and not self.posts():
                break

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
