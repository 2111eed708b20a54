"""Compares the configuration of a node with those of the others: at a reload, and from time to time.

A node that joins is compared by the ledger (`bridge.store.postgres.membership`). Afterwards any node can be changed by
a reload, and nodes of other releases may not compare: so each node looks again and again, and says what it sees.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from bridge.cluster.agreement import ALIKE, Agreement, Unlike, contradictions, unlike
from bridge.cluster.ledger import ClusterLedger
from bridge.config import Config
from bridge.config.agreement import agreement
from bridge.errors import BridgeError, ConfigurationError, StoreUnavailable
from bridge.metrics import Metrics
from bridge.service.upkeep import now_or_later

Begin = Callable[[Coroutine[Any, Any, None]], None]
"""Begins work in the background."""

Changed = tuple[Config, Sequence[BridgeError]]
"""The configuration that is in force after a change, and why that is not all that was wanted."""

DoChange = Callable[[], Awaitable[Changed]]

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
        """Return if this node may go on with another configuration, as things are now; nothing is changed.

        Raises ConfigurationError if it would contradict that of another node, and the present one does not;
        StoreUnavailable if that cannot be compared.
        """
        wanted = agreement(after)
        if wanted != self._mine:
            self._check(wanted, await self._ledger.agreements())

    async def through(
        self, before: Config, after: Config, change: Callable[[], Awaitable[Changed]], begin: Begin
    ) -> Changed:
        """Change this node's configuration, unless the others forbid it; return what `change` does.

        The others are told what is wanted before `change` begins, in the transaction that compares: of two nodes that
        would contradict each other only one begins. Afterwards they are told what was reached; `begin` gets what
        repeats that if the ledger fails.

        Raises what `allow` raises, and what `change` does.
        """
        wanted = agreement(after)
        if wanted != self._mine:
            try:
                await self._ledger.agree(wanted, partial(self._check, wanted))
            except StoreUnavailable:  # the others may have been told all the same
                await self._follow(before, begin)
                raise
        reached = before
        try:
            reached, failures = await change()
        finally:
            await self._follow(reached, begin)
        return reached, failures

    def _check(self, wanted: Agreement, said: Mapping[str, Agreement]) -> None:
        """Raise ConfigurationError if this node would contradict another one, and does not yet."""
        for name, there in said.items():
            known = {*contradictions(self._mine, there)}
            for what in contradictions(wanted, there) if name != self._node else ():
                if what not in known:
                    raise ConfigurationError(f"this node would contradict node {name!r}, so nothing is changed: {what}")

    async def _follow(self, reached: Config, begin: Begin) -> None:
        """Tell the others which configuration is in force now; `begin` gets what repeats that if the ledger fails."""
        self._mine = agreement(reached)
        await now_or_later(self._tell, begin)

    def _tell(self) -> Awaitable[None]:
        return self._ledger.agree(self._mine)

    async def compare(self) -> None:
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
                await self.compare()
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
