"""What one more node of a cluster costs: nodes that share one ledger in PostgreSQL, each a process, beside one alone.

The batches are those of real steps (`benchmarks.store`), each committed with its shard, and so with the lock of the
shard's row. Each node also renews its lease and looks at the cluster, as it does in a service. All share the cores, so
the processor time of a message is what can be compared, and not the messages in a second.
"""

import asyncio
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from typing import Any

from benchmarks.postgres_side import Server
from benchmarks.store import BUSY, PACE, Loop, Message, Recorder
from bridge.store.postgres.cluster import NodeStore
from tests.store.postgres_server import programs

NODES = (1, 2, 3)
MESSAGES = 6_000  # of all nodes together
DEVICES = 200
IDLE = 10.0  # seconds in which nodes do nothing but what a cluster asks of them
SHARDS = 256
KINDS: dict[str, Callable[[Recorder], Message]] = {"uplink": Recorder.uplink, "exchange": Recorder.exchange}
LEASE, RENEW = 60.0, 1.0  # seconds; a lease that a busy machine does not outlast


async def _work(uri: str, number: int, of: int, ready: Any, results: Any) -> None:
    """Be node `number` of `of`: take a part of the shards, be idle for a while, then commit messages of each kind."""
    store = NodeStore.join(uri, f"node-{number}", LEASE, RENEW, lambda: None)
    mine = range(number, SHARDS, of)
    await store.take(mine)
    looking = asyncio.create_task(_look(store))
    began, made, ids = time.time(), count(), count(1 + number * 10**9)
    shards = {number * DEVICES + n: mine[n % len(mine)] for n in range(1, DEVICES + 1)}
    recorders = [Recorder(one, ids, lambda: began + next(made) / PACE, shards[one]) for one in shards]
    loop = Loop(lambda changes, done, one: store.commit(changes, done, endpoint=one, shard=shards[one]))
    await loop.run([recorder.observed for recorder in recorders])
    await asyncio.to_thread(ready.wait)
    spent = _spent()
    await asyncio.sleep(IDLE)
    results.put(("idle", (_spent() - spent) / IDLE))
    for kind, make in KINDS.items():
        messages = [make(recorders[n % DEVICES]) for n in range(MESSAGES // of)]
        await asyncio.to_thread(ready.wait)
        spent = _spent()
        await loop.run(messages)
        others = BUSY * sum(len(message.batches) for message in messages)  # what the loop spends beside the store
        results.put((kind, (_spent() - spent - others) / len(messages)))
    await asyncio.to_thread(ready.wait)
    looking.cancel()
    loop.close()
    await store.close()


async def _look(store: NodeStore) -> None:
    while True:
        await store.view()
        await asyncio.sleep(RENEW)


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _node(uri: str, number: int, of: int, ready: Any, results: Any) -> None:
    asyncio.run(_work(uri, number, of, ready, results))


def show_nodes(figures: dict[str, Any]) -> None:
    """Print what a message costs a node and the server with one, two and three nodes, and what idle nodes cost."""
    if not (programs() and find_spec("psycopg")):
        print("\nnodes: PostgreSQL is not there")
        return
    print(f"\n{'nodes that share a ledger':26}{'node':>10}{'server':>10}{'both':>10}{'of one':>9}{'messages/s':>12}")
    alone: dict[str, float] = {}
    for of in NODES:
        for kind, (node, server, rate) in _measured(of).items():
            both = node + server
            unit, scale = ("ms each s", 1e3) if kind == "idle" else ("µs", 1e6)
            ratio = both / alone.setdefault(kind, both)
            figures[f"{of} nodes, {kind}"] = {"node": node, "server": server, "of_one": ratio, "rate": rate}
            name = f"{of}, {kind}, {unit}"
            print(
                f"{name:26}{node * scale:10.1f}{server * scale:10.1f}{both * scale:10.1f}{ratio:9.2f}{rate:12.0f}",
                flush=True,
            )


def _measured(of: int) -> dict[str, tuple[float, float, float]]:
    """Return for each kind the processor seconds of a node and of the server, and messages in a second.

    Of messages that is for each message; of idle nodes for each second, of one node and of the server for all of them.
    """
    context = multiprocessing.get_context("spawn")
    there = Server()
    ready, results = context.Barrier(of + 1), context.Queue()
    uri = there.server.uri()
    running = [context.Process(target=_node, args=(uri, number, of, ready, results)) for number in range(of)]
    found: dict[str, tuple[float, float, float]] = {}
    try:
        for one in running:
            one.start()
        for kind in ("idle", *KINDS):
            ready.wait()
            server, began = there.used(), time.perf_counter()
            spent = [results.get()[1] for _ in running]
            took = time.perf_counter() - began
            number = IDLE if kind == "idle" else MESSAGES // of * of
            rate = 0.0 if kind == "idle" else number / took
            found[kind] = statistics.mean(spent), (there.used() - server) / number, rate
        ready.wait()
        for one in running:
            one.join()
    finally:
        for one in running:
            one.kill()
        there.server.stop()
    return found


if __name__ == "__main__":
    show_nodes({})
