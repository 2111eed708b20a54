"""Progress of work that the bridge does for a command, on the terminal of the caller."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import click

from bridge.control.contract import Client
from bridge.errors import BridgeError
from bridge.operations.types.state import GetStatus

EVERY = 0.5  # seconds between two questions


@contextlib.asynccontextmanager
async def progress_shown(client: Client, name: str, label: str) -> AsyncIterator[None]:
    """Show on a terminal how far the bridge is with the work `name`, for as long as the context lasts.

    The bar is written to standard error; nothing is shown where that is no terminal, or when the work is over at once.
    """
    if not sys.stderr.isatty():
        yield
        return
    following = asyncio.create_task(_follow(client, name, label))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])


async def _follow(client: Client, name: str, label: str) -> None:
    total = await _next(client, name)
    if total is None:
        return
    with click.progressbar(length=total[1], label=label, file=sys.stderr, show_pos=True) as bar:
        found: tuple[int, int] | None = total
        while found is not None:
            bar.update(found[0] - bar.pos)
            found = await _next(client, name)


async def _next(client: Client, name: str) -> tuple[int, int] | None:
    """Return after a while how many items are done, and of how many; None where the bridge does not say that."""
    await asyncio.sleep(EVERY)
    with contextlib.suppress(BridgeError):
        for work in (await client.ask(GetStatus())).work:
            if work.name == name and work.total:
                return work.done, work.total
    return None
