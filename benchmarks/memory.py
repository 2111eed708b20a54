"""Memory of an idle endpoint: process and kernel sockets, all endpoints provisioned, against a bridge with one."""

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.load import Load
from benchmarks.scenarios import devices, running_bridge
from benchmarks.sides import Side

KERNEL_SOCKET = 2048  # bytes: about what an open socket without data costs in slabs
IDLE = 0.1  # seconds of processor time in two: nothing is going on any more


Then = Callable[[Load, Side, Path], dict[str, float]]


def _measure(count: int, then: Then | None = None) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures of idle endpoints, and what `then` finds with the same bridge."""
    load = Load(devices(count))
    try:
        with running_bridge(load) as (side, directory):
            while True:
                before, until = side.cpu(), time.monotonic() + 2
                load.run_until(lambda limit=until: time.monotonic() > limit, 5)
                if side.cpu() - before < IDLE:
                    break
            database = sum(f.stat().st_size for f in directory.glob("bridge.db*"))
            idle = {"process": side.memory(), "sockets": side.sockets(), "database": database}
            return idle, {} if then is None else then(load, side, directory)
    finally:
        load.close()


def with_fleet(count: int, then: Then) -> dict[str, float]:
    """Return what `then` finds with `count` endpoints that are provisioned and at rest."""
    return _measure(count, then)[1]


def idle_memory(count: int, then: Then) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures for `count` idle endpoints, and what `then` finds with them."""
    one, _ = _measure(1)
    many, found = _measure(count, then)
    growth = many["process"] - one["process"] + KERNEL_SOCKET * (many["sockets"] - one["sockets"])
    idle = {
        "endpoints": count,
        "process_with_one": one["process"],
        "process_with_all": many["process"],
        "sockets_with_one": one["sockets"],
        "sockets_with_all": many["sockets"],
        "database": many["database"],
        "bytes_per_endpoint": growth / count,
    }
    return idle, found
