"""What HTTP costs by whose code, in one run with what an uplink costs: docs/decisions/http.md judges by it."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.load import Load
from benchmarks.scenarios import devices, observe_all, running_bridge, uplinks
from benchmarks.sides import CORE_UNDER_TEST, Side, start

HERE = Path(__file__).parent
SERVERS = ("bridge", "aiohttp", "aiohttp-bounded", "uvicorn")
CLIENTS = ("bridge", "aiohttp")


@contextmanager
def server(kind: str) -> Iterator[tuple[Load, Side]]:
    """Run one of the servers, with its load."""
    load = Load(devices())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        side = start(["-m", "benchmarks.http_server", kind, str(port)], log)
        try:
            end = time.monotonic() + 30
            while not _listens(port):
                if side.process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(log.read_text())
                time.sleep(0.05)
            load.call_back("127.0.0.1", port, "/callback")
            yield load, side
        finally:
            side.stop()
            load.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def servers(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of processor time for a notification: of each server, and of an uplink of the bridge."""
    found: dict[str, list[float]] = {kind: [] for kind in (*SERVERS, "uplink")}
    with ExitStack() as stack:
        sides = {kind: stack.enter_context(server(kind)) for kind in SERVERS}
        load = Load(devices())
        stack.callback(load.close)
        bridge, _ = stack.enter_context(running_bridge(load))
        observe_all(load)
        for turn in range(rounds + 1):
            for kind, (its_load, side) in sides.items():
                found[kind].append(1 / uplinks(its_load, side, to_server=False).cpu)
            found["uplink"].append(1 / uplinks(load, bridge).cpu)
            if turn == 0:  # a warm-up
                found = {kind: [] for kind in found}
    return found


def clients(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of processor time for a request of each client."""
    found: dict[str, list[float]] = {kind: [] for kind in CLIENTS}
    for _ in range(rounds):
        for kind in CLIENTS:
            load = Load(devices())
            program = [sys.executable, "-m", "benchmarks.http_client", kind, load.api_root, "1"]
            with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
                os.sched_setaffinity(process.pid, {CORE_UNDER_TEST % (os.cpu_count() or 1)})
                load.run_until(lambda one=process: one.poll() is not None, 120)
                assert process.stdout is not None
                found[kind].append(float(process.stdout.read().split()[-1]))
            load.close()
    return found


def show_http(rounds: int) -> None:
    """Print the figures, and how much each library costs beside ours, in quarters of an uplink."""
    by_server, by_client = servers(rounds), clients(rounds)
    uplink = statistics.median(by_server.pop("uplink"))
    print(f"an uplink costs {uplink * 1e6:.0f} µs of processor time\n")
    print(f"{'':28}{'µs':>8}{'more than ours, µs':>22}{'in uplinks':>14}")
    for what, found in (("server", by_server), ("client", by_client)):
        ours = statistics.median(found["bridge"])
        for kind, costs in found.items():
            # Of each round its own difference: what else the machine does weighs on both.
            more = statistics.median(cost - own for cost, own in zip(costs, found["bridge"], strict=True))
            cost = statistics.median(costs)
            print(f"{f'{what}, {kind}':28}{cost * 1e6:8.0f}{more * 1e6:22.0f}{more / uplink:14.2f}")
        print(f"{f'{what}, share of an uplink':28}{ours / uplink:8.2f}")
