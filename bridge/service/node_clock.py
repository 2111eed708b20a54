"""Nodes of a cluster keep the time of the database, whatever their machines' wall clocks say.

The times in the ledger are written by one node and read by the next one: deadlines, and for how long a message ID must
not be used again. With another clock the next node would end messages too early, and use message IDs a second time that
a server still remembers: it takes such a message for a repetition, and never reads it.
"""

import asyncio
import logging
from collections.abc import Callable

from bridge.cluster.ledger import ClusterLedger
from bridge.errors import StoreUnavailable
from bridge.service.clock import SteadyClock

EVERY = 10.0  # seconds between two comparisons
TOLERATED = 2.0  # seconds of difference: nothing in LwM2M is timed to less

log = logging.getLogger(__name__)


async def keep_the_databases_time(clock: SteadyClock, ledger: ClusterLedger) -> None:
    """Set a node's clock by the database's; call it before anything reads the clock. Raises StoreUnavailable."""
    compared = NodeClock(ledger, clock.machine)
    await compared.compare()
    clock.set_to(clock.machine() - (compared.ahead or 0.0))


class NodeClock:
    """Compares a machine's wall clock with that of the database, by which all nodes can be compared.

    `ahead` are the seconds by which the machine's clock is ahead of the database's; negative: it is behind.

    Only what is certain counts: the time that a question and its answer took is no difference. None: not known yet.
    """

    def __init__(self, ledger: ClusterLedger, wall: Callable[[], float]) -> None:
        self._ledger = ledger
        self._wall = wall
        self.ahead: float | None = None

    async def compare(self) -> None:
        """Compare the clocks now. Raises StoreUnavailable; then `ahead` is as it was."""
        before = self._wall()
        there = await self._ledger.clock()
        after = self._wall()
        self.ahead = max(before - there, 0.0) + min(after - there, 0.0)
        if abs(self.ahead) > TOLERATED:
            log.warning(
                "the wall clock of this node's machine is %.0f s %s that of the database: deadlines are counted by the "
                "database's as it was when this node started, but log lines and certificates go by the machine's. Set "
                "the clocks of all nodes and of the database's machine, such as by NTP, and restart a node whose clock "
                "drifts; if all nodes say this, the database's is wrong",
                abs(self.ahead),
                "ahead of" if self.ahead > 0 else "behind",
                extra={"sample": "clocks differ"},
            )

    async def run(self) -> None:
        """Compare the clocks from time to time, until cancelled."""
        while True:
            try:
                await self.compare()
            except StoreUnavailable as error:
                log.warning("the database's clock cannot be read: %s", error, extra={"sample": "database clock"})
            await asyncio.sleep(EVERY)
