"""psycopg 3 beside asyncpg, for what the store does with PostgreSQL: groups of batches, each group one transaction.

`pip install asyncpg`, then `python -m benchmarks.postgres_drivers`. A batch inserts one row and updates another one,
while an event loop waits for the commit. psycopg runs as in the store, in a thread and in pipeline mode; asyncpg in the
event loop, with its prepared statements and `executemany`. Processor time is the client's alone; the server of its own
has fsync off, so that the disk does not hide the drivers.
"""

import asyncio
import importlib
import resource
import statistics
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import psycopg

from tests.store.postgres_server import PostgresServer

ROUNDS = 5
GROUPS = (1, 16, 256)  # batches in a group
BATCHES = 4096  # in a round
BODY = bytes(120)

TABLE = "CREATE TABLE row (id BIGINT PRIMARY KEY, state TEXT NOT NULL, body BYTEA NOT NULL, due DOUBLE PRECISION)"
KEPT = 4096  # rows that are updated

Measured = tuple[float, float]
"""Processor time and wall-clock time of a batch, in microseconds."""


class Psycopg:
    """A thread that commits groups, and tells the event loop."""

    def __init__(self, where: str) -> None:
        self._connection = psycopg.connect(where, autocommit=True, prepare_threshold=2)
        self._queue: SimpleQueue[tuple[list[Any], list[Any], Callable[[], None]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    async def commit(self, inserts: list[Any], updates: list[Any]) -> None:
        done = self._loop.create_future()
        self._queue.put((inserts, updates, lambda: done.set_result(None)))
        await done

    async def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        connection = self._connection
        while (work := self._queue.get()) is not None:
            inserts, updates, told = work
            connection.execute("BEGIN", prepare=False)
            with connection.pipeline():
                connection.cursor().executemany("INSERT INTO row VALUES (%s, %s, %s, %s)", inserts)
                connection.cursor().executemany("UPDATE row SET state = %s, due = %s WHERE id = %s", updates)
            connection.execute("COMMIT", prepare=False)
            self._loop.call_soon_threadsafe(told)


class Asyncpg:
    """Coroutines on one connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def commit(self, inserts: list[Any], updates: list[Any]) -> None:
        connection = self._connection
        await connection.execute("BEGIN")
        await connection.executemany("INSERT INTO row VALUES ($1, $2, $3, $4)", inserts)
        await connection.executemany("UPDATE row SET state = $1, due = $2 WHERE id = $3", updates)
        await connection.execute("COMMIT")

    async def close(self) -> None:
        await self._connection.close()


async def measure(driver: Psycopg | Asyncpg, group: int, first: int) -> Measured:
    """Commit `BATCHES` batches in groups; ids begin with `first`."""
    began, used = time.perf_counter(), _used()
    for at in range(first, first + BATCHES, group):
        inserts = [(id_, "RECEIVED", BODY, 1.5) for id_ in range(at, at + group)]
        updates = [("SENT", 2.5, id_ % KEPT) for id_ in range(at, at + group)]
        await driver.commit(inserts, updates)
    return (_used() - used) / BATCHES * 1e6, (time.perf_counter() - began) / BATCHES * 1e6


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main() -> None:
    """Measure both in turn, in one run, and print a table."""
    asyncpg = importlib.import_module("asyncpg")
    server = PostgresServer()
    try:
        with psycopg.connect(server.where("public"), autocommit=True) as connection:
            connection.execute(TABLE)
            values = f"SELECT n, 'RECEIVED', ''::bytea, NULL FROM generate_series(0, {KEPT - 1}) n"
            connection.execute(f"INSERT INTO row {values}".encode())
        found: dict[tuple[str, int], list[Measured]] = {}
        next_id = KEPT
        theirs = await asyncpg.connect(host=str(server.folder), user="bridge", database="postgres")
        drivers = {"psycopg": Psycopg(server.where("public")), "asyncpg": Asyncpg(theirs)}
        for _ in range(ROUNDS):
            for group in GROUPS:
                for name, driver in drivers.items():
                    found.setdefault((name, group), []).append(await measure(driver, group, next_id))
                    next_id += BATCHES
        for driver in drivers.values():
            await driver.close()
    finally:
        server.stop()
    print(f"for each batch, median of {ROUNDS}")
    print(f"{'driver':10} {'group':>6} {'µs of processor':>16} {'µs by wall clock':>17}")
    for (name, group), values in sorted(found.items(), key=lambda item: item[0][1]):
        used, took = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name:10} {group:6} {used:16.1f} {took:17.1f}")


if __name__ == "__main__":
    asyncio.run(main())
