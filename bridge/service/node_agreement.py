"""Compares the configuration of a node with those of the others: at a reload, and from time to time.

A node that joins is compared by the ledger (`bridge.store.postgres.membership`). Afterwards any node can be changed by
a reload, and nodes of other releases may not compare: so each node looks again and again, and says what it sees.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from bridge.cluster.agreement import ALIKE, Agreement, Unlike, contradictions, unlike
from bridge.cluster.ledger import ClusterLedger
from bridge.config import Config
from bridge.config.agreement import agreement
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.metrics import Metrics
from bridge.service.upkeep import now_or_later

EVERY = 10.0  # seconds between two comparisons

log = logging.getLogger(__name__)


class NodeAgreement:
    """`unlike` has the nodes whose configuration differs, by name, as of the latest comparison."""

    def __init__(self, ledger: ClusterLedger, node: str, config: Config) -> None:
        """`config`: with which this node has joined."""
        self._ledger = ledger
        self._node = node
        self._mine = agreement(config)
        self.unlike: Mapping[str, Unlike] = {}

    async def allow(self, after: Config) -> None:
        """Return if this node may go on with another configuration.

        Raises ConfigurationError if it would contradict that of another node, and the present one does not;
        StoreUnavailable if that cannot be compared. Nodes that are changed at the same moment may both be allowed: the
        next comparison shows that.
        """
        wanted = agreement(after)
        if wanted == self._mine:
            return
        for name, there in (await self._others()).items():
            known = {*contradictions(self._mine, there)}
            for what in contradictions(wanted, there):
                if what not in known:
                    raise ConfigurationError(f"this node would contradict node {name!r}, so nothing is changed: {what}")

    async def follow(self, reached: Config, begin: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Tell the others which configuration is in force now; `begin` gets what repeats that if the ledger fails."""
        self._mine = agreement(reached)
        await now_or_later(self._tell, begin)

    def _tell(self) -> Awaitable[None]:
        return self._ledger.agree(self._mine)

    async def look(self) -> None:
        """Compare with the others now, and log what is new. Raises StoreUnavailable; then `unlike` is as it was."""
        found = {name: unlike(self._mine, there) for name, there in (await self._others()).items()}
        before, self.unlike = self.unlike, {name: one for name, one in found.items() if one != ALIKE}
        for name, one in self.unlike.items():
            former = before.get(name, ALIKE)
            for what in _new(one.contradictions, former.contradictions):
                log.error("this node contradicts node %r: %s", name, what, extra={"sample": f"contradicts {what}"})
            for what in _new(one.differences, former.differences):
                log.warning("beside node %r: %s; make both alike", name, what, extra={"sample": f"differs {what}"})
        for name in before.keys() & found.keys() - self.unlike.keys():
            log.info("node %r has the same servers, networks and quotas as this one again", name)

    async def run(self) -> None:
        """Compare from time to time, until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                extra = {"sample": "configurations of nodes"}
                log.warning("the configurations of the other nodes cannot be read: %s", error, extra=extra)
            await asyncio.sleep(EVERY)

    def watch(self, metrics: Metrics) -> None:
        """Show how many settings of each other node differ."""
        metrics.describe(
            "cluster_settings_contradicting",
            "Settings that must be alike at all nodes, and that another node has otherwise.",
        )
        metrics.watch("cluster_settings_contradicting", lambda: self._numbers("contradictions"), label="node")
        metrics.describe(
            "cluster_settings_differing", "Settings of servers, networks and quotas that another node has otherwise."
        )
        metrics.watch("cluster_settings_differing", lambda: self._numbers("differences"), label="node")

    def _numbers(self, kind: str) -> Mapping[str, float]:
        return {name: float(len(getattr(one, kind))) for name, one in self.unlike.items()}

    async def _others(self) -> dict[str, Agreement]:
        return {name: said for name, said in (await self._ledger.agreements()).items() if name != self._node}


def _new(now: Iterable[str], before: Iterable[str]) -> list[str]:
    known = {*before}
    return [what for what in now if what not in known]
