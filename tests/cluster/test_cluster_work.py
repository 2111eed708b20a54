"""The work of a node in a cluster whose ledger does not always answer."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from bridge.cluster import fitness
from bridge.cluster.balance import UNDER_WAY, wanted
from bridge.cluster.shards import NodeShards
from bridge.cluster.view import ClusterView, ShardView
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.north.udp.prefixes import SHARDS
from bridge.service import cluster
from bridge.service.cluster import ClusterWork
from bridge.store.in_memory import ClusterRows, Disk, InMemoryNode

ROUNDS = 200  # of all nodes: a hand-over of all shards takes about twenty


class Ledger(InMemoryNode):
    """A ledger that does not answer some releases."""

    silent = 0

    async def release(self, shard: int, epoch: int) -> None:
        if self.silent:
            self.silent -= 1
            raise StoreUnavailable("no answer")
        await super().release(shard, epoch)


class Nodes:
    """Nodes whose leases do not end, and that act one after the other."""

    def __init__(self) -> None:
        self.rows = ClusterRows(lambda: 0.0)
        self._disk = Disk()
        self.works: dict[str, ClusterWork] = {}
        self.shards: dict[str, NodeShards] = {}

    def join(self, name: str) -> Ledger:
        ledger = Ledger(self._disk, self.rows, name, 5.0, lambda: None)
        self.shards[name] = NodeShards(name)
        self.works[name] = ClusterWork(ledger, self.shards[name], 1.0, lambda *_, **__: None)
        return ledger

    async def turn(self) -> None:
        """Let each node act once."""
        for work in self.works.values():
            await work.turn()
            await work.quiet()

    async def turns_until(self, done: Callable[[], bool]) -> None:
        for _ in range(ROUNDS):
            if done():
                return
            await self.turn()
        raise AssertionError("it never comes to that")

    def are_where_they_should_be(self) -> bool:
        right = {shard: wanted(shard, self.works) for shard in range(SHARDS)}
        held = {name: [shard for shard, node in right.items() if node == name] for name in self.works}
        return held == {name: sorted(shards.held) for name, shards in self.shards.items()}


async def test_a_bug_in_one_look_does_not_end_the_work() -> None:
    nodes = Nodes()
    a = nodes.join("a")
    view = a.view

    async def wrong() -> ClusterView:
        a.view = view  # type: ignore[method-assign]
        raise ZeroDivisionError

    a.view = wrong  # type: ignore[method-assign]
    await nodes.turns_until(nodes.are_where_they_should_be)


async def test_a_shard_whose_release_failed_comes_to_the_node_that_should_have_it() -> None:
    nodes = Nodes()
    a = nodes.join("a")
    await nodes.turns_until(nodes.are_where_they_should_be)
    nodes.join("b")
    a.silent = 20
    await nodes.turns_until(nodes.are_where_they_should_be)
    assert a.silent == 0


async def test_nodes_that_stop_together_do_not_wait_for_each_other(caplog: pytest.LogCaptureFixture) -> None:
    nodes = Nodes()
    nodes.join("a")
    nodes.join("b")
    await nodes.turns_until(nodes.are_where_they_should_be)
    await asyncio.gather(*(work.leave() for work in nodes.works.values()))
    assert caplog.messages == [], "nobody is there to take a shard, and each waits as long as it may"


async def test_a_node_that_stops_hands_over_to_one_that_drains_when_no_other_is_there() -> None:
    nodes = Nodes()
    a = nodes.join("a")
    nodes.join("b")
    await nodes.turns_until(nodes.are_where_they_should_be)
    await a.drain("b", on=True)
    await nodes.turns_until(lambda: not nodes.shards["b"].held)
    await a.leaving()
    await nodes.turns_until(lambda: len(nodes.shards["b"].held) == SHARDS)


class Hook:
    """Moves the addresses of a node's shards: not while it is broken."""

    def __init__(self) -> None:
        self.is_broken = False
        self.fails_for: int | None = None  # a shard
        self.runs = 0

    async def taken(self, shard: int, _epoch: int) -> None:
        self.runs += 1
        if self.is_broken or shard == self.fails_for:
            raise ConfigurationError("it ended with 1")

    async def released(self, _shard: int) -> None:
        self.runs += 1


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed, which a test changes."""
    now = [0.0]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
    return now


async def test_others_serve_the_shards_of_a_node_whose_hook_fails(clock: list[float]) -> None:
    nodes = Nodes()
    nodes.join("a")
    await nodes.turns_until(nodes.are_where_they_should_be)
    nodes.join("b")
    hook = Hook()
    hook.is_broken = True
    nodes.shards["b"].follow(hook)
    await nodes.turns_until(lambda: nodes.rows.nodes["b"].unfit)
    assert hook.runs == 2 * UNDER_WAY, "each attempt is undone, and nothing more is tried"
    await nodes.turns_until(lambda: len(nodes.shards["a"].held) == SHARDS)
    for pause in (1, 2, 4):
        before, runs = clock[0], hook.runs
        clock[0] = before + pause * fitness.PAUSE - 1
        await nodes.turn()
        assert nodes.rows.nodes["b"].unfit, "not yet"
        clock[0] += 1
        await nodes.turns_until(lambda runs=runs: hook.runs > runs)
        await nodes.turns_until(lambda: nodes.rows.nodes["b"].unfit and len(nodes.shards["a"].held) == SHARDS)
        assert hook.runs == runs + 2, "one shard is tried"
    hook.is_broken = False
    clock[0] += fitness.PAUSE_AT_MOST
    await nodes.turns_until(nodes.are_where_they_should_be)
    assert not nodes.rows.nodes["b"].unfit


async def test_a_node_whose_hook_fails_goes_on_with_the_shards_that_it_has(clock: list[float]) -> None:
    nodes = Nodes()
    nodes.join("a")
    nodes.join("b")
    hook = Hook()
    nodes.shards["b"].follow(hook)
    await nodes.turns_until(nodes.are_where_they_should_be)
    before = set(nodes.shards["b"].held)
    hook.is_broken = True
    nodes.rows.shards |= {shard: ShardView("", 9) for shard in sorted(before)[:20]}  # lost, for whatever reason
    await nodes.turns_until(lambda: len(nodes.shards["a"].held) == SHARDS - len(before) + 20)
    assert nodes.shards["b"].held.keys() == set(sorted(before)[20:])
    clock[0] += 1.0
    await nodes.turn()
    assert nodes.shards["b"].held.keys() == set(sorted(before)[20:])


async def test_a_shard_for_which_the_hook_always_fails_keeps_no_other_one(clock: list[float]) -> None:
    """The shard is the first of those that are free, each time that the node tries one."""
    nodes = Nodes()
    nodes.join("a")
    hook = Hook()
    hook.fails_for = 0
    nodes.shards["a"].follow(hook)
    for _ in range(2 * fitness.FAILURES):
        await nodes.turn()
        clock[0] += cluster.AFTER_FAILURE
    others = [*range(1, SHARDS)]
    assert sorted(nodes.shards["a"].held) == others
    nodes.rows.shards |= {shard: ShardView("", 9) for shard in others[:20]}  # of a node that is gone, or lost
    for _ in range(4):
        await nodes.turn()
        clock[0] += cluster.AFTER_FAILURE
    await nodes.turns_until(lambda: sorted(nodes.shards["a"].held) == others)


async def test_a_node_says_of_how_many_shards_it_failed_and_why_until_they_are_served_or_long_past(
    clock: list[float],
) -> None:
    """One shard that always fails says nothing of the others, which the node serves."""
    nodes = Nodes()
    a = nodes.join("a")
    hook = Hook()
    hook.fails_for = 7
    nodes.shards["a"].follow(hook)

    async def says() -> tuple[bool, int, str]:
        node = (await a.view()).nodes["a"]
        return node.unfit, node.failing, node.failing_why

    while not nodes.rows.nodes["a"].unfit:
        await nodes.turn()
        clock[0] += cluster.AFTER_FAILURE
    await nodes.turn()
    assert await says() == (True, 1, "shard 7 cannot be served here: it ended with 1")
    assert len(nodes.shards["a"].held) == SHARDS - 1
    hook.fails_for = None
    clock[0] += fitness.PAUSE_AT_MOST
    await nodes.turns_until(nodes.are_where_they_should_be)
    await nodes.turn()
    assert await says() == (False, 0, "")

    nodes.rows.shards[7] = ShardView("", 9)  # lost, for whatever reason
    hook.fails_for = 7
    await nodes.turns_until(lambda: nodes.rows.nodes["a"].failing == 1)
    nodes.rows.shards[7] = ShardView("another", 10)
    nodes.rows.nodes["another"] = replace(nodes.rows.nodes["a"], incarnation=99)
    await nodes.turn()
    clock[0] += fitness.LATELY + cluster.AFTER_FAILURE + 1
    await nodes.turn()
    assert await says() == (False, 0, ""), "what another node has served since then"


async def test_where_all_hooks_fail_each_node_tries_again_until_they_work(clock: list[float]) -> None:
    nodes = Nodes()
    hook = Hook()
    hook.is_broken = True
    for name in ("a", "b"):
        nodes.join(name)
        nodes.shards[name].follow(hook)
    await nodes.turns_until(lambda: all(row.unfit for row in nodes.rows.nodes.values()))
    runs = hook.runs
    for _ in range(10):
        await nodes.turn()
    assert hook.runs == runs, "not at once"
    clock[0] += cluster.AFTER_FAILURE
    await nodes.turn()
    assert hook.runs == runs + 4, "each node tries one shard"
    hook.is_broken = False
    clock[0] += cluster.AFTER_FAILURE
    await nodes.turns_until(nodes.are_where_they_should_be)


async def test_a_node_that_stops_can_be_asked_for_nothing_else() -> None:
    nodes = Nodes()
    a = nodes.join("a")
    nodes.join("b")
    await a.leaving()
    await a.drain("a", on=False)
    view = await a.view()
    assert view.staying == ["b"]
    assert view.nodes["a"].draining


async def test_a_node_that_stops_says_how_long_it_has_waited(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster, "LEAVE", 0.0)
    nodes = Nodes()
    nodes.join("a")
    nodes.join("b")
    await nodes.turns_until(nodes.are_where_they_should_be)
    await nodes.works["a"].leave()  # b takes no turn meanwhile
    assert caplog.messages == ["not all shards are handed over: 0 s have passed"]


class Slow:
    """Prepares shards once it is allowed to, and tells of which it was asked."""

    def __init__(self, *shards: int) -> None:
        self.slow = {*shards}
        self.allowed = asyncio.Event()
        self.released_: list[int] = []

    async def taken(self, shard: int, _epoch: int) -> None:
        if shard in self.slow:
            await self.allowed.wait()

    async def released(self, shard: int) -> None:
        self.released_.append(shard)


async def some_turns(nodes: Nodes) -> None:
    for _ in range(20):
        for work in nodes.works.values():
            await work.turn()
            for _ in range(5):
                await asyncio.sleep(0)


async def test_a_shard_that_takes_long_keeps_no_other_one_and_no_look() -> None:
    nodes, slow = Nodes(), Slow(7)
    nodes.join("a")
    nodes.shards["a"].follow(slow)
    await some_turns(nodes)
    a = nodes.shards["a"]
    assert [shard for shard in range(SHARDS) if not a.serves(shard)] == [7]
    nodes.join("b")
    await some_turns(nodes)
    assert nodes.works["a"].alive == ["a", "b"]
    right = {shard for shard in range(SHARDS) if wanted(shard, "ab") == "b"}
    assert nodes.shards["b"].held.keys() == right - {7}
    slow.allowed.set()
    await nodes.turns_until(nodes.are_where_they_should_be)


async def test_a_shard_that_is_lost_before_it_is_served_is_withdrawn() -> None:
    nodes, slow = Nodes(), Slow(7)
    nodes.join("a")
    nodes.shards["a"].follow(slow)
    await some_turns(nodes)
    row = nodes.rows.shards[7]
    nodes.rows.shards[7] = ShardView("b", row.epoch + 1)
    await nodes.works["a"].turn()
    await nodes.works["a"].quiet()
    assert slow.released_ == [7]
    assert 7 not in nodes.shards["a"].held
    assert nodes.rows.shards[7] == ShardView("b", row.epoch + 1)


async def test_a_node_that_stops_gives_up_the_takes_that_are_under_way() -> None:
    nodes, slow = Nodes(), Slow(*range(0, SHARDS, 2))
    nodes.join("a")
    nodes.shards["a"].follow(slow)
    await some_turns(nodes)
    nodes.join("b")
    leaving = asyncio.create_task(nodes.works["a"].leave())
    while not leaving.done():
        await nodes.works["b"].turn()
        await asyncio.sleep(0)
    assert not nodes.shards["a"].held
    await nodes.turns_until(lambda: len(nodes.shards["b"].held) == SHARDS)
