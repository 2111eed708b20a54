"""A node of a cluster and the posts that others received for its shards: each taken once, and before later events."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import msgspec
import pytest

from bindings.contract import MISS, Post, UplinkMessage
from bridge.delivery.rows import Delete
from bridge.delivery.uplinks import Uplink
from bridge.directory import Directory
from bridge.errors import NotServedHere, StoreUnavailable, UnknownDevice
from bridge.relay.model import Policy
from bridge.service.clock import RealClock
from bridge.service.inbox import InboxWork
from bridge.service.inbox_order import InboxOrder
from bridge.service.networks import NetworkEvents
from bridge.service.node_inbox import NodeInbox
from bridge.store.in_memory.inbox import InMemoryIngress
from bridge.store.inbox import NO_SHARD, InboxRow
from tests.service.runner_bench import Bench

SHARD = 0  # of the bench's endpoint
OTHER = 7
DEVICE = "dev@example.com"


def send(number: int) -> bytes:
    """Return a device's Send with this message ID and payload."""
    mid = bytes((number,))
    return b"\x51\x02\x00" + mid + b"\x01\xb2dp\xff" + mid


class Listener:
    """Interprets a post as the payload of an uplink; `take` may be replaced by what a test wants."""

    def __init__(self, events: NetworkEvents) -> None:
        self.events = events
        self.keep = self.pass_on = None
        self.taken: list[int] = []

    def commit_kept(self, post: Post) -> Awaitable[object]:
        self.taken.append(post.body[0])
        return self.events.deliver(UplinkMessage(DEVICE, send(post.body[0]), None, self.events.now()))

    def pause(self) -> None:
        pass

    def proceed(self) -> None:
        pass

    async def stop(self) -> None:
        pass


class Network:
    def __init__(self, posts: Listener) -> None:
        self.posts = posts

    async def receive(self, note: object) -> bool:
        raise AssertionError("a node starts its networks")


class Node:
    """A node over the bench's store."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.counted: Counter[str] = Counter()
        self.order = InboxOrder(lambda _key: MISS)
        nobody: Any = None
        self.events = NetworkEvents(
            "net", nobody, bench.runner, bench.store, nobody, RealClock(), self._count, self.order
        )
        self.listener = Listener(self.events)
        networks: dict[str, Any] = {"net": Network(self.listener)}
        self.work = InboxWork(bench.store.inbox, bench.store, networks, None, self._count, again=0.0)
        self.inbox = NodeInbox(bench.store.inbox, self.work, self.order)
        self._ingress = InMemoryIngress(bench.store.disk)

    def _count(self, name: str, *, result: str = "", **_labels: str) -> None:
        self.counted[f"{name} {result}"] += 1

    async def put(self, *numbers: int, shard: int = SHARD) -> None:
        for number in numbers:
            await self._ingress.keep("net", Post("", "", bytes((number,))), shard)

    def deliver(self, number: int) -> "asyncio.Future[None]":
        """Let an uplink come directly."""
        return self.events.deliver(UplinkMessage(DEVICE, send(number), None, 0.0))

    async def until_idle(self) -> None:
        while self.work._under_way or self.bench.runner.is_loading or self.bench.store.backlog:
            await self.bench.go()
            await asyncio.sleep(0)

    def waiting(self) -> list[int]:
        rows: list[InboxRow] = list(self.bench.store.disk.tables.of(InboxRow))
        return sorted(row.body[0] for row in rows)

    def uplinks(self) -> list[int]:
        rows = sorted(self.bench.store.disk.tables.of(Uplink), key=lambda row: row.id)
        return [row.body[-1] for row in rows]


@pytest.fixture
async def node(bench: Bench) -> AsyncIterator[Node]:
    made = Node(bench)
    yield made
    made.work.stop()


async def test_what_waits_for_a_shard_is_taken_before_the_shard_is_served(node: Node) -> None:
    await node.put(1, 2)
    await node.put(9, shard=OTHER)
    await node.inbox.taken(SHARD, 1)
    assert (node.uplinks(), node.waiting()) == ([1, 2], [9])


async def test_an_event_that_comes_directly_meanwhile_waits_behind_it(node: Node) -> None:
    await node.put(1, 2)
    node.bench.store.faults.reads_wait = True
    taking = asyncio.create_task(node.inbox.taken(SHARD, 1))
    while node.order.is_open:
        await asyncio.sleep(0)
    directly = node.deliver(3)
    node.bench.store.faults.go()
    await taking
    await directly
    assert (node.uplinks(), node.waiting()) == ([1, 2, 3], [])


async def test_an_event_that_comes_after_the_node_was_told_of_posts_waits_until_they_are_taken(node: Node) -> None:
    await node.inbox.taken(SHARD, 1)
    running = asyncio.create_task(node.inbox.run())
    await node.put(1)
    while node.order.is_open:
        await asyncio.sleep(0)
    node.bench.store.faults.reads_wait = True
    directly = node.deliver(2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert node.uplinks() == []
    node.bench.store.faults.go()
    await directly
    assert (node.uplinks(), node.waiting(), node.order.is_open) == ([1, 2], [], True)
    running.cancel()
    await asyncio.wait({running})


async def test_a_notification_that_came_twice_counts_once_wherever_it_came(node: Node) -> None:
    await node.put(1, 1)
    await node.inbox.taken(SHARD, 1)
    await node.deliver(1)
    await node.until_idle()
    assert (node.uplinks(), node.waiting()) == ([1], [])


async def test_a_post_whose_first_identity_nobody_has_counts_once_by_its_second(node: Node) -> None:
    """Its row is removed in the transaction of the uplink: if that fails, both come again."""

    async def either(_post: Post) -> None:
        with pytest.raises(UnknownDevice):
            await node.events.deliver(UplinkMessage("491700000001", send(1), None, 0.0))
        await node.deliver(1)

    node.listener.commit_kept = either  # type: ignore[method-assign]
    faults = node.bench.store.faults
    faults.commits_wait = True
    await node.put(1)
    await node.work.take_all({SHARD})
    while not node.bench.store.backlog:
        await asyncio.sleep(0)
    assert (node.uplinks(), node.waiting()) == ([], [1])
    faults.go()
    await node.until_idle()
    assert (node.uplinks(), node.waiting()) == ([1], [])
    assert node.counted == {"unknown_devices ": 1, "posts_from_others taken": 1}


async def test_posts_for_shards_of_other_nodes_hold_up_nothing_here(node: Node) -> None:
    await node.inbox.taken(SHARD, 1)
    await node.put(9, shard=OTHER)
    await asyncio.sleep(0)
    assert node.order.is_open
    await node.deliver(1)
    assert (node.uplinks(), node.waiting()) == ([1], [9])


async def test_a_shard_that_is_released_is_left_to_the_next_holder_with_what_waits(node: Node) -> None:
    taken = asyncio.Event()

    async def hang(_post: Post) -> None:
        taken.set()
        await asyncio.Event().wait()

    await node.inbox.taken(SHARD, 1)
    node.listener.commit_kept = hang  # type: ignore[method-assign]
    await node.put(1)
    await node.work.take_all({SHARD})
    await taken.wait()
    await node.inbox.released(SHARD)
    assert (node.work._under_way, node.waiting()) == ({}, [1])
    following = Node(node.bench)
    await following.inbox.taken(SHARD, 2)
    assert (node.uplinks(), node.waiting()) == ([1], [])


async def test_a_row_that_another_holder_has_taken_since_it_was_read_changes_nothing(node: Node) -> None:
    """Whatever a node has in memory: the post counts once."""
    await node.put(1)
    (row,) = await node.bench.store.inbox.rows(10)
    await node.bench.store.committed([Delete(InboxRow, (row.id,))])
    node.work._begin(row)
    await node.until_idle()
    assert node.uplinks() == []
    assert node.counted["posts_from_others failed"] == 1


async def test_a_post_counts_from_when_it_came(node: Node) -> None:
    """Not from when it was taken: nobody served the device for an hour."""
    before = time.time()
    await node.put(1)
    tables = node.bench.store.disk.tables
    (row,) = await node.bench.store.inbox.rows(10)
    tables.put(msgspec.structs.replace(row, at=row.at - 3600.0))
    await node.inbox.taken(SHARD, 1)
    await node.until_idle()
    (uplink,) = tables.of(Uplink)
    assert before - 3600.0 <= uplink.received_at <= time.time() - 3600.0
    assert uplink.expires_at == pytest.approx(uplink.received_at + Policy().long_ttl, abs=1.0)
    assert node.events.now() >= before, "what goes on beside lives in the present"


async def test_a_post_whose_device_is_in_another_shard_by_now_is_left_to_that_one(node: Node) -> None:
    async def elsewhere(_post: Post) -> None:
        raise NotServedHere("it was removed and added anew", OTHER)

    node.listener.commit_kept = elsewhere  # type: ignore[method-assign]
    await node.put(1)
    await node.work.take_all({SHARD})
    await node.until_idle()
    (row,) = await node.bench.store.inbox.rows(10)
    assert (row.shard, row.post) == (OTHER, Post("", "", b"\x01"))
    assert node.counted["posts_from_others passed on"] == 1
    await node.work.take_all({SHARD})
    assert node.work.patience(5.0) == 5.0, "nothing is tried again here"


async def test_posts_of_a_time_without_nodes_go_to_the_holder_of_shard_0(node: Node) -> None:
    await node.put(1, shard=-1)
    await node.inbox.taken(OTHER, 1)
    assert node.waiting() == [1]
    await node.inbox.taken(0, 1)
    assert (node.uplinks(), node.waiting()) == ([1], [])


async def test_a_ledger_that_cannot_be_read_gives_the_shard_back(node: Node) -> None:
    node.bench.store.faults.reads_fail = True
    with pytest.raises(StoreUnavailable):
        await node.inbox.taken(SHARD, 1)
    node.bench.store.faults.reads_fail = False
    assert node.order.is_open


async def test_a_node_finds_out_who_serves_a_device_before_it_does_anything_for_it(bench: Bench) -> None:
    nobody: Any = None
    directory = Directory(bench.store.directory, nobody, lambda: 0.0)

    class Nothing:
        def accepts(self, _shard: int) -> bool:
            return False

    events = NetworkEvents("net", directory, bench.runner, bench.store, nobody, RealClock(), lambda *_, **__: None)
    await events.check_served(DEVICE)  # there is no cluster
    bench.runner.shards = Nothing()  # type: ignore[assignment]
    await events.check_served("nobody@example.com")
    with pytest.raises(NotServedHere) as refused:
        await events.check_served(DEVICE)
    assert refused.value.shard == SHARD
    with pytest.raises(NotServedHere):
        await events.deliver(UplinkMessage(DEVICE, send(1), None, 0.0))


async def test_a_device_that_is_known_to_be_another_nodes_is_not_read_again(bench: Bench) -> None:
    nobody: Any = None

    class Nothing:
        def accepts(self, _shard: int) -> bool:
            return False

    bench.runner.directory = Directory(bench.store.directory, nobody, lambda: 0.0)
    bench.runner.shards = Nothing()  # type: ignore[assignment]
    events = NetworkEvents("net", nobody, bench.runner, bench.store, nobody, RealClock(), lambda *_, **__: None)
    for _ in range(2):
        with pytest.raises(NotServedHere):
            await events.deliver(UplinkMessage(DEVICE, send(1), None, 0.0))
    assert bench.store.loads == 1


async def test_shards_that_are_taken_together_read_the_inbox_once(node: Node) -> None:
    """... and those for which nothing waits do not wait for the others."""
    await node.put(1)
    reads = list[set[int]]()
    rows = node.bench.store.inbox.rows

    async def counted(limit: int, after: int = 0, shards: Any = None) -> list[InboxRow]:
        if not after:
            reads.append(set(shards))
        return await rows(limit, after, shards)

    node.bench.store.inbox.rows = counted  # type: ignore[method-assign]
    taking = {shard: asyncio.create_task(node.inbox.taken(shard, 1)) for shard in (SHARD, 5, OTHER)}
    await asyncio.wait([taking[5], taking[OTHER]], timeout=10)
    assert reads[0] == {NO_SHARD, SHARD, 5, OTHER}
    assert all(shards == {NO_SHARD, SHARD} for shards in reads[1:])
    await asyncio.wait([taking[SHARD]], timeout=10)
    assert node.uplinks() == [1]


async def test_a_look_that_fails_because_of_a_bug_is_followed_by_the_next(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await node.inbox.taken(SHARD, 1)
    take_all = node.work.take_all

    async def fails_once(shards: Any) -> set[int]:
        monkeypatch.setattr(node.work, "take_all", take_all)
        raise AssertionError

    monkeypatch.setattr(node.work, "take_all", fails_once)
    running = asyncio.create_task(node.inbox.run())
    await node.put(1)
    while not node.counted["failed_tasks "]:
        await asyncio.sleep(0)
        assert not running.done()
    await node.put(2)
    while node.uplinks() != [1, 2]:
        await node.bench.go()
        await asyncio.sleep(0)
        assert not running.done()
    running.cancel()
