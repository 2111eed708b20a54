"""Work in the background: after a start, and from time to time."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from bridge.cluster.contract import Shards
from bridge.directory import Directory
from bridge.errors import BridgeError, StoreUnavailable
from bridge.north.contract import NorthTransport
from bridge.service.progress import Progress
from bridge.service.provisioning import Provisioning
from bridge.service.runner import Runner
from bridge.store.contract import Ledger, Store

log = logging.getLogger(__name__)

AT_ONCE = 100  # endpoints loaded before other work gets its turn
PAUSE = 0.01  # seconds of that turn
AGAIN_AFTER = 10.0  # seconds, after the store failed
CLOCK_EVERY = 10.0  # seconds between two checks of the wall clock
PRUNE_EVERY = 3600.0  # seconds between two clean-ups of the ledger


async def persistently(work: Callable[[], Awaitable[None]]) -> None:
    """Do repeatable work again from its beginning, until the store does not fail meanwhile."""
    while True:
        try:
            await work()
        except StoreUnavailable as error:
            log.warning("work in the background failed, and begins again in %.0f s: %s", AGAIN_AFTER, error)
            await asyncio.sleep(AGAIN_AFTER)
        else:
            return


async def now_or_later(work: Callable[[], Awaitable[None]], begin: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """Do repeatable work; if the store fails meanwhile, `begin` gets what does it in the background."""
    try:
        await work()
    except StoreUnavailable:
        begin(persistently(work))


async def load_unfinished(
    ledger: Ledger, runner: Runner, progress: Progress, shards: Collection[int] | None = None
) -> None:
    """Load the endpoints with unfinished messages of earlier runs, paced (R32).

    Those with messages in doubt are first: they send nothing until the network was asked. `shards`: only endpoints of
    these shards.
    """

    async def take_up(endpoint: int) -> None:
        with contextlib.suppress(StoreUnavailable):  # the runner loads it later
            await runner.take_up(endpoint)

    with progress.work("endpoints with unfinished messages are loaded") as work:
        async for part in ledger.unfinished(shards):
            for start in range(0, len(part), AT_ONCE):
                some = part[start : start + AT_ONCE]
                await asyncio.gather(*map(take_up, some))
                work.step(len(some))
                await asyncio.sleep(PAUSE)
        if work.done:
            log.info("endpoints with unfinished messages loaded", extra={"endpoints": work.done})


async def give_addresses(directory: Directory, north: NorthTransport, progress: Progress) -> None:
    """Open every endpoint's own address if needed; assign another to those whose address is not of this scheme.

    The addresses of new endpoints are opened by `Changes`.
    """
    sources = directory.catalogue.sources
    if north.opens_each and sources is not None:
        with progress.work("endpoints' ports toward servers are opened", directory.size) as work:
            async for record in directory.all(enabled=True):
                if record.source is not None and sources.has(record):
                    north.open(record.source, record.servers)
                work.step()
    with progress.work("endpoints get their addresses toward servers", directory.size) as work:
        await directory.renew_sources(work.step)


async def provision_all(
    directory: Directory,
    provisioning: Provisioning,
    progress: Progress,
    network: str | None = None,
    shards: Shards | None = None,
) -> None:
    """Ask networks, or one of them, to provision every enabled endpoint; of a node's `shards`, if there are nodes."""
    if shards is None:
        records = directory.all(network=network, enabled=True)
    else:
        records = directory.of_shards(sorted(shards.held))
    with progress.work("networks are asked to carry endpoints' data", directory.size) as work:
        async for record in records:
            is_meant = record.enabled and network in (None, record.network)
            if is_meant and (shards is None or shards.accepts(record.shard)):
                await provisioning.begin(record)
            work.step()


async def watch_clock(wall: Callable[[], float]) -> None:
    """Read the wall clock from time to time: the clock notices at each read whether it was set."""
    while True:
        await asyncio.sleep(CLOCK_EVERY)
        wall()


async def prune_forever(
    store: Store,
    wall: Callable[[], float],
    times: Callable[[], tuple[float, float]],
    count: Callable[..., None],
) -> None:
    """Remove finished messages and entries of the audit log from time to time, and events.

    `times` returns for how many seconds: messages and entries after their end, and events.
    """
    while True:
        await asyncio.sleep(PRUNE_EVERY)
        retention, keep = times()
        try:
            removed = await store.prune(wall() - retention)
            await store.access.forget_entries(wall() - retention)
            await store.direct.forget(wall() - retention)
            await store.outbox.forget_events(wall() - keep)
        except BridgeError as error:
            log.warning("finished messages could not be removed from the ledger: %s", error)
        else:
            count("rows_pruned", removed)
