"""Keeps the allotments of a node of a cluster: asks the ledger for them, and wakes endpoints that wait for one."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from bridge.cluster.ledger import ClusterLedger
from bridge.errors import StoreUnavailable
from bridge.quota.shared import SharedQuotas
from bridge.relay import events as ev
from bridge.service.runner import Runner

EVERY = 1.0  # seconds between two requests, where nothing waits
AT_ONCE = 100  # endpoints that are woken before other work gets its turn

log = logging.getLogger(__name__)


class QuotaAllotments:
    """The work of one node, in a task of its own."""

    def __init__(
        self,
        quotas: SharedQuotas,
        ledger: ClusterLedger,
        runner: Runner,
        count: Callable[..., None],
    ) -> None:
        """`quotas` are those of a node; `count` increments the counters that an operator sees."""
        if quotas.allotments is None:
            raise AssertionError("these quotas are not shared with other nodes")
        self._allotments = quotas.allotments
        self._ledger = ledger
        self._runner = runner
        self._count = count
        self._wanted = asyncio.Event()
        self._asking = asyncio.Lock()  # an answer that is taken after a later request would not be kept by the ledger
        self._allotments.wanted = self._wanted.set

    async def run(self) -> None:
        """Ask once a second, and at once when a message waits, until this is cancelled."""
        while True:
            try:
                async with asyncio.timeout(EVERY):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self.turn()
            except StoreUnavailable as error:
                log.warning("the ledger gives no part of a quota: %s", error, extra={"sample": "allotments"})
                await asyncio.sleep(EVERY)
            except Exception:
                self._count("failed_tasks")
                log.exception("quotas are not shared because of a bug; it is tried again", extra={"sample": "allot"})
                await asyncio.sleep(EVERY)

    async def turn(self) -> None:
        """Ask the ledger for what is due, and use the answer. Raises StoreUnavailable."""
        async with self._asking:
            asked = self._allotments.due()
            if not asked:
                return
            warnings, woken = self._allotments.apply_grants(asked, await self._ledger.allot(asked))
        self._count("quota_allotments")
        for quota, text in warnings:
            self._count("quota_warnings", kind=quota)
            log.warning("%s", text, extra={"sample": f"quota_warnings {quota}"})
        for start in range(0, len(woken), AT_ONCE):
            for endpoint in woken[start : start + AT_ONCE]:
                self._runner.event(endpoint, ev.Tick())
            await asyncio.sleep(0)

    async def give_back(self) -> None:
        """Return everything that is not used: this node stops. What the ledger does not hear of is lost."""
        with contextlib.suppress(StoreUnavailable):
            async with self._asking:
                asked = self._allotments.due(leaves=True)
                if asked:
                    self._allotments.apply_grants(asked, await self._ledger.allot(asked))
