"""A wake-up whose trigger another node must send: passed on by the inbox, and queued there once."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from bindings.contract import Post
from bridge.config import WAKE_UPS
from bridge.delivery.downlinks import Downlink, Trigger
from bridge.directory.keys import ByName
from bridge.errors import NotificationError, NotServedHere, StoreUnavailable, UnknownDevice
from bridge.relay import events as ev
from bridge.relay.effects import WakeUp
from bridge.service.inbox import InboxWork
from bridge.service.inbox_order import InboxOrder
from bridge.service.node_inbox import NodeInbox
from bridge.service.wake_ups import WakeUps
from bridge.store.contract import Done
from bridge.store.in_memory.inbox import InMemoryIngress
from bridge.store.inbox import InboxRow
from tests.service.runner_bench import Bench

SHARD = 0  # of the bench's endpoint, which sends the triggers
NAME = "urn:dev:1"
LATER = 4e9


class Sleepers:
    """A node that serves the endpoints which sleep; it gets `error` from the endpoint that it asks for a trigger."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
        self.counted: Counter[str] = Counter()
        self.wake_ups = WakeUps(self._arrive, self._count)

    def _arrive(self, key: ByName, event: ev.Event, done: Done) -> None:
        assert (key, event) == (ByName(NAME), ev.TriggerAsked(3, 8, LATER))
        done(self.error)

    def _count(self, name: str, **_labels: str) -> None:
        self.counted[name] += 1

    def ask(self) -> None:
        self.wake_ups.ask("sleeper", WakeUp(NAME, 3, 8, LATER))


class Node:
    """The node that serves the endpoint which sends triggers, over the bench's store."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.counted: Counter[str] = Counter()
        self.ingress = InMemoryIngress(bench.store.disk)
        nobody: Any = None
        self.work = InboxWork(
            bench.store.inbox, bench.store, {}, None, self._count, 0.0, {WAKE_UPS: bench.runner.wake_ups}
        )
        self.inbox = NodeInbox(bench.store.inbox, self.work, InboxOrder(lambda _key: nobody))

    def _count(self, name: str, *, result: str = "", **_labels: str) -> None:
        self.counted[f"{name} {result}"] += 1

    def keep(self, post: Post, shard: int = SHARD) -> "asyncio.Future[None]":
        return self.ingress.keep(WAKE_UPS, post, shard)

    def waiting(self) -> int:
        rows: list[InboxRow] = list(self.bench.store.disk.tables.of(InboxRow))
        return len(rows)

    def triggers(self) -> list[Trigger]:
        return [row for row in self.bench.store.disk.tables.of(Downlink) if isinstance(row, Trigger)]


@pytest.fixture
def node(bench: Bench) -> Node:
    return Node(bench)


async def test_it_is_passed_on_and_its_trigger_is_queued_once_where_it_is_sent(node: Node) -> None:
    sleepers = Sleepers(NotServedHere("served elsewhere", SHARD))
    sleepers.wake_ups.pass_on = node.keep
    sleepers.ask()
    assert (node.waiting(), node.triggers()) == (1, [])
    await node.inbox.taken(SHARD, 1)
    (trigger,) = node.triggers()
    assert (trigger.operation, trigger.deliver_by) == ("Registration Update Trigger", LATER)
    assert node.waiting() == 0
    assert node.counted == {"posts_from_others taken": 1}
    assert not sleepers.counted


async def test_a_commit_that_fails_queues_nothing_and_leaves_it_to_the_next_attempt(node: Node) -> None:
    sleepers = Sleepers(NotServedHere("served elsewhere", SHARD))
    sleepers.wake_ups.pass_on = node.keep
    sleepers.ask()
    faults = node.bench.store.faults
    faults.commits_wait = True
    taking = asyncio.create_task(node.inbox.taken(SHARD, 1))
    while not node.bench.store.backlog:
        await asyncio.sleep(0)
    await node.bench.fail()
    await taking
    assert len(node.triggers()) == 1
    assert node.waiting() == 0
    assert node.counted == {"posts_from_others failed": 1, "posts_from_others taken": 1}


async def test_while_a_trigger_is_on_its_way_no_second_one_is_queued(node: Node) -> None:
    sleepers = Sleepers(NotServedHere("served elsewhere", SHARD))
    sleepers.wake_ups.pass_on = node.keep
    sleepers.ask()
    sleepers.ask()
    await node.inbox.taken(SHARD, 1)
    assert len(node.triggers()) == 1
    assert node.waiting() == 0


@pytest.mark.parametrize("error", [UnknownDevice("no endpoint has this name"), StoreUnavailable("the disk is full")])
async def test_whatever_else_fails_is_not_passed_on(node: Node, error: Exception) -> None:
    sleepers = Sleepers(error)
    sleepers.wake_ups.pass_on = node.keep
    sleepers.ask()
    assert node.waiting() == 0
    assert sleepers.counted == {"wake_ups_impossible": 1}


async def test_what_cannot_be_passed_on_is_counted(node: Node) -> None:
    sleepers = Sleepers(NotServedHere("served elsewhere", SHARD))
    sleepers.ask()  # without a cluster
    sleepers.wake_ups.pass_on = node.keep
    await node.ingress.close()
    sleepers.ask()
    await asyncio.sleep(0)
    assert sleepers.counted == {"wake_ups_impossible": 2}


async def test_an_endpoint_that_was_removed_meanwhile_leaves_nothing_behind(node: Node) -> None:
    await node.keep(Post("", "", b'{"endpoint":"gone","instance":0,"resource":8,"deliver_by":4e9}'))
    await node.inbox.taken(SHARD, 1)
    await node.work.take_all({SHARD})  # what led to no commit is removed by the next turn
    await node.bench.go()
    assert (node.waiting(), node.triggers()) == (0, [])
    assert node.counted == {"posts_from_others dropped": 1}


@pytest.mark.parametrize("body", [b"", b"{}", b'{"endpoint":1}', b"\xff"])
async def test_a_post_that_no_node_made_is_dropped(node: Node, body: bytes) -> None:
    with pytest.raises(NotificationError, match="no wake-up of another node"):
        node.bench.runner.wake_ups.commit_kept(Post("", "", body))
