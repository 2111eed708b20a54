"""A process that commits and says what it was told; run by the tests that kill, starve or trace it."""

import asyncio
import os
import resource
import sys
from pathlib import Path

from conftest import make_downlink

from bridge.delivery.rows import Insert, Update
from bridge.delivery.states import DownlinkState
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


async def fills_its_volume(path: Path) -> None:
    """Fill the volume three times, removing what is old each time; say what was held before and after a new start."""
    for cycle in range(3):
        store = SqliteStore.open(path)
        live = make_downlink(store.next_id(), 1)
        await store.committed([Insert.of(live)])
        told = await _fill(store)
        live.late = True
        await store.committed([Update.of(live)])  # what is there already can be changed
        await store.close()

        store = SqliteStore.open(path)
        held = len(await store.reads.downlinks(limit=10**6))
        pruned = await store.prune(1000.0)
        status = store.status()
        await store.committed([Insert.of(make_downlink(store.next_id(), 3, body=b"x" * 10_000))])
        say(f"cycle {cycle} told {told} held {held} pruned {pruned} size {status['bytes']}")
        await store.close()


async def _fill(store: SqliteStore) -> int:
    told = refused = 0
    while refused < 20:
        rows = [
            make_downlink(
                store.next_id(), 2, body=b"x" * 10_000, state=DownlinkState.RESPONDED, over=True, finished_at=1.0,
                keep_until=1.0,
            )
            for _ in range(10)
        ]  # fmt: skip
        results = await asyncio.gather(*(store.committed([Insert.of(row)]) for row in rows), return_exceptions=True)
        failures = [result for result in results if result is not None]
        told += len(results) - len(failures)
        refused += len(failures)
    say(f"refused {failures[-1]}")
    say(f"counted {store.status()['volume_full']}")
    return told


asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))
