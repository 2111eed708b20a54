"""What PostgreSQL itself needs for the bridge's messages: processor time, WAL, room; and what several bridges commit.

`python -m benchmarks.postgres_side`. The batches are those of real steps (`benchmarks.store`). Each bridge is a process
with a schema of its own; the server flushes every commit (fsync on).
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.store import Loop, Message, Recorder
from bridge.store.opening import open_store
from tests.store.postgres_server import PostgresServer

MESSAGES = 12_000
DEVICES = 200
TICK = os.sysconf("SC_CLK_TCK")
KINDS: dict[str, Callable[[Recorder], Message]] = {"uplink": Recorder.uplink, "exchange": Recorder.exchange}


async def commit(uri: str, kind: str, started: Any, begin: Any) -> None:
    """Commit `MESSAGES` messages of one kind."""
    began, made, ids = time.time(), count(), count(1)
    recorders = [Recorder(number, ids, lambda: began + next(made) / 4000.0) for number in range(1, DEVICES + 1)]
    messages = [KINDS[kind](recorders[number % DEVICES]) for number in range(MESSAGES)]
    store = open_store(uri)
    loop = Loop(lambda changes, done, endpoint: store.commit(changes, done, endpoint=endpoint))
    await loop.run([recorder.observed for recorder in recorders])
    started.wait()
    begin.wait()
    await loop.run(messages)
    loop.close()
    await store.close()


def bridge(uri: str, kind: str, started: Any, begin: Any) -> None:
    """Run `commit` in a process of its own."""
    asyncio.run(commit(uri, kind, started, begin))


class Server:
    """A PostgreSQL server, and what it has used."""

    def __init__(self) -> None:
        self.server = PostgresServer(durable=True, settings=("max_wal_size=8GB",))
        self._postmaster = int((self.server.folder / "data" / "postmaster.pid").read_text().split()[0])

    def used(self) -> float:
        """Return the seconds of processor time of all its processes, those that have ended included."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, fields = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if pid == self._postmaster:
                ticks += sum(map(int, fields[11:15]))  # with its children that have ended
            elif int(fields[1]) == self._postmaster:
                ticks += sum(map(int, fields[11:13]))
        return ticks / TICK

    def ask(self, question: str) -> Any:
        with psycopg.connect(self.server.where("public"), autocommit=True) as connection:
            row = connection.execute(question.encode()).fetchone()
            return row[0] if row else None


def measure(kind: str, bridges: int) -> None:
    """Print a line: what the server needed for each message, and how many messages were committed in a second."""
    context = multiprocessing.get_context("spawn")
    there = Server()
    try:
        started, begin = context.Barrier(bridges + 1), context.Event()
        uris = [there.server.uri() for _ in range(bridges)]
        running = [context.Process(target=bridge, args=(uri, kind, started, begin)) for uri in uris]
        for one in running:
            one.start()
        started.wait()
        size = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('uplink', 'downlink')"
        before, lsn, used = there.ask(size), there.ask("SELECT pg_current_wal_lsn()"), there.used()
        began = time.perf_counter()
        begin.set()
        for one in running:
            one.join()
        took = time.perf_counter() - began
        messages = bridges * MESSAGES
        spent = (there.used() - used) / messages * 1e6
        wal = int(there.ask(f"SELECT pg_current_wal_lsn() - '{lsn}'::pg_lsn")) / messages
        room = (int(there.ask(size)) - int(before)) / messages
        print(f"{kind:10}{bridges:8}{messages / took:14.0f}{spent:12.0f}{wal:12.0f}{room:12.0f}", flush=True)
    finally:
        there.server.stop()


if __name__ == "__main__":
    print(
        f"{'':10}{'bridges':>8}{'messages/s':>14}{'server µs':>12}{'WAL bytes':>12}{'disk bytes':>12}   (each message)"
    )
    for bridges in (1, 2, 3):
        for kind in KINDS:
            measure(kind, bridges)
