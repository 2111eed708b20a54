"""The work of a node in a cluster whose ledger does not always answer."""

import asyncio
from collections.abc import Callable

import pytest

from bridge.cluster.balance import wanted
from bridge.cluster.shards import NodeShards
from bridge.cluster.view import ClusterView
from bridge.errors import StoreUnavailable
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

    async def turns_until(self, done: Callable[[], bool]) -> None:
        for _ in range(ROUNDS):
            if done():
                return
            for work in self.works.values():
                await work.turn()
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
