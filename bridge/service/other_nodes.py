"""What networks have to do with the other nodes of a cluster: work that one node does for all, and nodes that end."""

import asyncio
from collections.abc import Callable, Collection, Mapping

from bindings.contract import Binding, WorksForAllNodes
from bridge.cluster.view import ClusterView, NodeView
from bridge.service.actor import CountFunction
from bridge.service.tasks import Tasks

LOOK = 1.0  # seconds between two looks at which network instances run


class WorkForAllNodes:
    """A chore (`bridge.service.node.Chores`): has each network instance do what one node does for all of them."""

    def __init__(
        self, networks: Mapping[str, Binding], alive: Callable[[], Collection[str]], count: CountFunction
    ) -> None:
        """`networks` are the instances that run, by name; `alive` returns the names of the living nodes."""
        self._networks = networks
        self._alive = alive
        self._count = count
        self._at_work: dict[str, tuple[WorksForAllNodes, Tasks]] = {}

    async def run(self) -> None:
        """Work until cancelled; an instance that takes the place of another one goes on with the work."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK)
        finally:
            for _, tasks in self._at_work.values():
                await tasks.stop()

    async def _look(self) -> None:
        running = {name: one for name, one in self._networks.items() if isinstance(one, WorksForAllNodes)}
        for name, (binding, tasks) in [*self._at_work.items()]:
            if running.get(name) is not binding:
                del self._at_work[name]
                await tasks.stop()
        for name, binding in running.items():
            if name not in self._at_work:
                tasks = Tasks(self._count)
                self._at_work[name] = binding, tasks
                tasks.keep_up(f"network {name}: work for all nodes", binding.work_for_all_nodes, self._alive)


class LostNodes:
    """Notices nodes that ended without handing over, and tells the networks of this node."""

    def __init__(self, networks: Mapping[str, Binding], me: str) -> None:
        self._networks = networks
        self._me = me
        self._alive: dict[str, NodeView] = {}

    def compare(self, view: ClusterView) -> None:
        """Compare with how the cluster was at the last look."""
        before, self._alive = self._alive, {name: node for name, node in view.nodes.items() if node.is_alive}
        for name, node in before.items():
            if name != self._me and _has_ended_without_a_word(node, view.nodes.get(name)):
                for binding in self._networks.values():
                    if isinstance(binding, WorksForAllNodes):
                        binding.node_was_lost(name)


def _has_ended_without_a_word(before: NodeView, after: NodeView | None) -> bool:
    """Return whether a living node was killed, or lost its lease. One that leaves takes its row away."""
    if after is None:
        return False
    if not after.is_alive:
        return True
    return after.started_at != before.started_at and not before.leaving
