"""Networks learn of nodes that ended without a word, and one node works for all of them."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, cast

import pytest

from bridge.cluster.view import ClusterView, NodeView
from bridge.service import other_nodes
from bridge.service.other_nodes import LostNodes, WorkForAllNodes
from tests.waiting import until


class Network:
    """Notes what it is called for."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.at_work = 0

    async def work_for_all_nodes(self, alive: Callable[[], Collection[str]]) -> None:
        assert list(alive()) == ["a"]
        self.at_work += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.at_work -= 1

    def node_was_lost(self, node: str) -> None:
        self.lost.append(node)


def view(**nodes: NodeView) -> ClusterView:
    return ClusterView(nodes, {})


def node(name: str, left: float = 5.0, **more: Any) -> NodeView:
    return NodeView(name, left, draining=False, **more)


@pytest.mark.parametrize(
    ("before", "after", "is_lost"),
    [
        (node("b"), node("b"), False),
        (node("b"), node("b", 0.0), True),
        (node("b"), None, False),
        (node("b", leaving=True), None, False),
        (node("b", leaving=True), node("b", 0.0, leaving=True), True),
        (node("b", started_at=1.0), node("b", started_at=2.0), True),
        (node("b", started_at=1.0, leaving=True), node("b", started_at=2.0), False),
        (node("b", 0.0), node("b", 0.0), False),
    ],
    ids=[
        "goes on", "its lease ended", "took its row away", "left", "killed while it left", "killed and started anew",
        "left and started anew", "was lost before",
    ],
)  # fmt: skip
def test_a_node_that_ends_without_handing_over_is_lost(before: NodeView, after: NodeView | None, is_lost: bool) -> None:
    network = Network()
    lost = LostNodes({"net": cast("Any", network), "other": cast("Any", None)}, "a")
    lost.compare(view(a=node("a"), b=before))
    assert network.lost == []
    for _ in range(2):
        lost.compare(view(a=node("a")) if after is None else view(a=node("a"), b=after))
    assert network.lost == (["b"] if is_lost else [])


async def test_an_instance_that_replaces_another_one_goes_on_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_nodes, "LOOK", 0.01)
    first, second = Network(), Network()
    networks: dict[str, Any] = {"net": first, "other": None}
    work = asyncio.create_task(WorkForAllNodes(networks, lambda: ["a"], lambda *_, **__: None).run())
    await until(lambda: first.at_work == 1)
    networks["net"] = second
    await until(lambda: (first.at_work, second.at_work) == (0, 1))
    del networks["net"]
    await until(lambda: second.at_work == 0)
    networks["net"] = first
    await until(lambda: first.at_work == 1)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert first.at_work == 0, "it works on after the shard is another node's"
