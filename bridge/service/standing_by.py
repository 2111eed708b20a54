"""A bridge that waits for its turn to serve a ledger, and what it runs when it gets and gives up its turn."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bridge.config import Config
from bridge.config.agreement import agreement
from bridge.errors import ConfigurationError, LedgerInUse, StoreUnavailable
from bridge.service.commands import started
from bridge.store.contract import Store
from bridge.store.opening import LeasedStore, open_as_node, open_in_turn, open_store

TRY_EVERY = 0.5  # seconds between two attempts to take over
COMMAND_TIMEOUT = 10.0  # seconds that a command may take

S = TypeVar("S", bound=LeasedStore)

log = logging.getLogger(__name__)


async def open_when_free(
    config: Config, lost: Callable[[], None], meanwhile: Callable[[], Awaitable[None]] | None = None
) -> Store:
    """Open the ledger; with [standby] enabled, as soon as no other bridge serves it and the database is there.

    `lost` is called in another thread when the ledger may soon be another bridge's: it must end the process at once.
    `meanwhile` is awaited before each attempt. Raises ConfigurationError, and without [standby] StoreUnavailable.
    """
    if config.cluster.enabled:
        return await _join(config, lost)
    if not config.standby.enabled:
        return open_store(config.database)
    store = await _in_turn(
        lambda: open_in_turn(config.database, config.standby.lease, lost),
        lambda _: "another bridge serves the ledger",
        meanwhile,
    )
    try:
        await store.alone()
        await run_command("take_command", config.standby.take_command)
    except BaseException:
        await store.close()
        raise
    log.info("this bridge serves the ledger")
    return store


async def _join(config: Config, lost: Callable[[], None]) -> Store:
    cluster = config.cluster
    mine = agreement(config)
    store = await _in_turn(
        lambda: open_as_node(config.database, cluster.name, cluster.lease, cluster.renew, lost, mine), str
    )
    try:
        await store.alone()
    except BaseException:
        await store.close()
        raise
    log.info("this node has joined the cluster", extra={"node": cluster.name})
    return store


async def _in_turn(
    opened: Callable[[], S],
    in_use: Callable[[LedgerInUse], str],
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> S:
    """Return the ledger once it can be opened; `in_use` says why not, while it is in use. Raises ConfigurationError."""
    why = ""
    while True:
        if meanwhile is not None:
            await meanwhile()
        try:
            return opened()
        except LedgerInUse as error:
            because = in_use(error)
        except StoreUnavailable as error:
            because = str(error)
        if because != why:
            log.info("standing by: %s", because)
            why = because
        await asyncio.sleep(TRY_EVERY)


async def release(config: Config) -> None:
    """Run what is configured for the end of a turn; its failure is logged."""
    if config.standby.enabled:
        try:
            await run_command("release_command", config.standby.release_command)
        except ConfigurationError as error:
            log.warning("%s", error)


async def run_command(name: str, command: Sequence[str]) -> None:
    """Run a command of [standby] to its end, if there is one; it has `COMMAND_TIMEOUT` seconds.

    Raises ConfigurationError if it fails, or takes too long.
    """
    if not command:
        return
    where = f"[standby] {name}: {command[0]}"
    async with started(command, f"[standby] {name}") as process:
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise ConfigurationError(f"{where} took longer than {COMMAND_TIMEOUT:g} s and was ended") from None
    if process.returncode:
        raise ConfigurationError(f"{where} ended with {process.returncode}: {printed[-500:].decode(errors='replace')}")
