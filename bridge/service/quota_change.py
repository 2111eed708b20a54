"""Changes quotas while the service runs: counters stay exact, and waiting messages are checked again."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bridge.cluster.ledger import ClusterLedger
from bridge.errors import StoreUnavailable
from bridge.quota.limits import Quota
from bridge.quota.shared import SharedQuotas
from bridge.quota.usage import needed_since
from bridge.relay import events as ev
from bridge.service.network_calls import NetworkCalls
from bridge.service.progress import Progress
from bridge.service.runner import Runner
from bridge.store.contract import Ledger

log = logging.getLogger(__name__)

AT_ONCE = 100  # endpoints checked again before other work gets its turn
PAUSE = 0.01  # seconds of that turn


async def change_quotas(
    shared: SharedQuotas, quotas: Sequence[Quota], runner: Runner, store: Ledger, now: float
) -> None:
    """Put other quotas into force. Shared sums are made from the rows, and from what is used meanwhile.

    Raises StoreUnavailable; then the former quotas stay in force. The caller then calls `recheck_held`.
    """
    accounted = await store.accounted() if isinstance(store, ClusterLedger) else None
    if accounted is not None:
        now = accounted[1]
    shared.begin_change()
    _refresh_quotas(shared, runner)
    try:
        rows = await store.usage_in_turn(needed_since(now))  # queued in the store before any further step
    except BaseException:
        shared.abandon_change()
        _refresh_quotas(shared, runner)
        raise
    shared.change(quotas, rows, now, accounted)
    _refresh_quotas(shared, runner)
    log.info("quotas changed", extra={"quotas": ",".join(quota.name for quota in quotas)})


async def recheck_held(runner: Runner, calls: Mapping[str, NetworkCalls], progress: Progress) -> None:
    """Check every message that a quota holds against the current quotas, paced."""
    held = [endpoint for one in calls.values() for endpoint in one.held]
    with progress.work("messages held by a quota are judged anew", len(held)) as work:
        for start in range(0, len(held), AT_ONCE):
            some = held[start : start + AT_ONCE]
            await asyncio.gather(*(_judge(runner, endpoint) for endpoint in some))
            work.step(len(some))
            await asyncio.sleep(PAUSE)


async def _judge(runner: Runner, endpoint: int) -> None:
    with contextlib.suppress(StoreUnavailable):  # its timer does so later
        await runner.stepped(endpoint, ev.Tick())


def _refresh_quotas(shared: SharedQuotas, runner: Runner) -> None:
    for loaded in runner.loaded.values():
        placed = loaded.placed
        limits = shared.limits(placed.endpoint.network, placed.endpoint.group)
        loaded.placed = replace(placed, limits=limits)
