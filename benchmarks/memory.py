"""Memory of an idle endpoint: process and kernel sockets, all endpoints provisioned, against a bridge with one."""

import time

from benchmarks.load import Load
from benchmarks.scenarios import devices, running_bridge

KERNEL_SOCKET = 2048  # bytes: about what an open socket without data costs in slabs
IDLE = 0.1  # seconds of processor time in two: nothing is going on any more


def _measure(count: int) -> dict[str, float]:
    load = Load(devices(count))
    try:
        with running_bridge(load) as (side, directory):
            while True:
                before, until = side.cpu(), time.monotonic() + 2
                load.run_until(lambda limit=until: time.monotonic() > limit, 5)
                if side.cpu() - before < IDLE:
                    break
            database = sum(f.stat().st_size for f in directory.glob("bridge.db*"))
            return {"process": side.memory(), "sockets": side.sockets(), "database": database}
    finally:
        load.close()


def idle_memory(count: int) -> dict[str, float]:
    """Give the figures for `count` idle endpoints."""
    one = _measure(1)
    many = _measure(count)
    growth = many["process"] - one["process"] + KERNEL_SOCKET * (many["sockets"] - one["sockets"])
    return {
        "endpoints": count,
        "process_with_one": one["process"],
        "process_with_all": many["process"],
        "sockets_with_one": one["sockets"],
        "sockets_with_all": many["sockets"],
        "database": many["database"],
        "bytes_per_endpoint": growth / count,
    }
