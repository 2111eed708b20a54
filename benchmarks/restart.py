"""A start with a whole fleet and waiting downlinks, while devices and the server go on sending: when is it ready?"""

import contextlib
import statistics
import time
from pathlib import Path

from benchmarks.due import accept_all, serve, states
from benchmarks.load import Load
from benchmarks.sides import Side, is_ready, start
from benchmarks.wire import coap

WAITING = 10_000  # downlinks without an outcome when the bridge is killed
WATCHED = 30.0  # seconds after the start
EVERY = 0.02  # seconds between two uplinks, and between two requests
READY_WITHIN = 120.0  # seconds
SEND = b"\xb2dp\x11\x70\xff\x81\xa2\x00\x6a/3303/0/57\x02\x14"  # POST /dp, SenML CBOR


def restart_under_traffic(load: Load, side: Side, directory: Path) -> dict[str, float]:
    """Kill a bridge with waiting downlinks, start it again, and return when it took what, in seconds."""
    load.holds = True
    accept_all(load, directory, load.devices[:WAITING])
    side.process.kill()
    side.process.wait()
    serve(load, 1.0)  # connections end
    load.holds = False
    began = time.monotonic()
    again = start(["-m", "bridge.cli", "run", "-c", str(directory / "bridge.toml")], directory / "log")
    try:
        return _watch(load, again, directory, began) | {"peak_memory": again.peak_memory()}
    finally:
        again.stop()


def _watch(load: Load, side: Side, directory: Path, began: float) -> dict[str, float]:
    found: dict[str, float] = {}
    taken: list[float] = []  # seconds from each uplink to its 204
    left = iter(load.devices[WAITING:])
    host, port, path = load.callback or ("", 0, "")
    while time.monotonic() - began < WATCHED or "ready_after" not in found:
        now = time.monotonic() - began
        if now > READY_WITHIN:
            raise TimeoutError(f"not ready after {now:.0f} s")
        if "ready_after" not in found and is_ready(directory / "control.sock"):
            found["ready_after"], found["ready_cpu"] = time.monotonic() - began, side.cpu()
        device, answered, acknowledged = next(left), load.answered, len(load.acknowledged)
        load.request(device, 2)
        with contextlib.suppress(ConnectionError):
            load.call_back(host, port, path)
        if load.open:
            sent = time.monotonic()
            load.notify(device, coap(1, 2, 1, b"s", SEND))
            load.run_until(lambda before=answered: load.answered > before)
            taken.append(time.monotonic() - sent)
            found.setdefault("first_uplink_after", time.monotonic() - began)
        serve(load, EVERY)
        if len(load.acknowledged) > acknowledged:
            found.setdefault("first_request_after", time.monotonic() - began)
        if "waiting_ended_after" not in found and now > 1 and not _waits(directory):
            found["waiting_ended_after"] = time.monotonic() - began
    quantiles = statistics.quantiles(taken, n=100)
    return found | {"uplinks": len(taken), "uplink_median": quantiles[49], "uplink_99": quantiles[98]}


def _waits(directory: Path) -> bool:
    """Return whether many of the waiting downlinks are still to go; those of the traffic come and go."""
    found = states(directory)
    return found.get("QUEUED", 0) + found.get("SUBMITTING", 0) > WAITING // 100
