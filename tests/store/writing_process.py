"""A process that commits and says what it was told; run by the tests that kill, starve or trace it."""

import asyncio
import os
import resource
import sys
from pathlib import Path

from conftest import make_downlink

from bridge.delivery.rows import Insert
from bridge.errors import StoreUnavailable
from bridge.store.sqlite import SqliteStore


def say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


async def for_ever(path: Path) -> None:
    """Commit with many producers at once until killed."""
    store = SqliteStore.open(path)

    async def produce(endpoint: int) -> None:
        while True:
            row = make_downlink(store.next_id(), endpoint)
            await store.committed([Insert.of(row)], endpoint=endpoint)
            say(str(row.id))

    await asyncio.gather(*(produce(endpoint) for endpoint in range(20)))


async def one_by_one(path: Path) -> None:
    store = SqliteStore.open(path)
    await store.committed([])
    for _ in range(5):
        row = make_downlink(store.next_id())
        say(f"give {row.id}")
        await store.committed([Insert.of(row)])
        say(f"told {row.id}")
    await store.close()


async def starved(path: Path) -> None:
    """Let the kernel refuse to make the files larger, then let it take more again."""
    store = SqliteStore.open(path)
    await store.committed([Insert.of(make_downlink(store.next_id()))])
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 50_000, unlimited[1]))
    for attempt in range(60):
        if attempt == 40:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        row = make_downlink(store.next_id(), body=b"x" * 10_000)
        try:
            await store.committed([Insert.of(row)], endpoint=1)
        except StoreUnavailable as error:
            say(f"refused {row.id} {error}")
        else:
            say(f"told {row.id}")
    await store.close()


asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))
