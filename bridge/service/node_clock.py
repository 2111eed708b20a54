"""Compares a node's wall clock with that of the database, by which all nodes can be compared.

Leases do not depend on wall clocks, but deadlines do: a node whose clock is wrong lets what it takes over end at a
wrong time.
"""

import asyncio
import logging
from collections.abc import Callable

from bridge.cluster.ledger import ClusterLedger
from bridge.errors import StoreUnavailable

EVERY = 10.0  # seconds between two comparisons
TOLERATED = 2.0  # seconds of difference: nothing in LwM2M is timed to less

log = logging.getLogger(__name__)


class NodeClock:
    """`ahead` are the seconds by which this node's clock is ahead of the database's; negative: it is behind.

    It is what is certain: the time that a question and its answer took is no difference. None: not known yet.
    """

    def __init__(self, ledger: ClusterLedger, wall: Callable[[], float]) -> None:
        self._ledger = ledger
        self._wall = wall
        self.ahead: float | None = None

    async def look(self) -> None:
        """Compare the clocks now. Raises StoreUnavailable; then `ahead` is as it was."""
        before = self._wall()
        there = await self._ledger.clock()
        after = self._wall()
        self.ahead = max(before - there, 0.0) + min(after - there, 0.0)
        if abs(self.ahead) > TOLERATED:
            log.warning(
                "the wall clock of this node is %.0f s %s that of the database: deadlines of messages that it takes "
                "over from other nodes end too %s. Set the clocks of all nodes and of the database's machine, such as "
                "by NTP; if all nodes say this, the database's is wrong",
                abs(self.ahead),
                "ahead of" if self.ahead > 0 else "behind",
                "early" if self.ahead > 0 else "late",
                extra={"sample": "clocks differ"},
            )

    async def run(self) -> None:
        """Compare the clocks from time to time, until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("the database's clock cannot be read: %s", error, extra={"sample": "database clock"})
            await asyncio.sleep(EVERY)
