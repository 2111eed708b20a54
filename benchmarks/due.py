"""A start with a downlink due at every endpoint, while the network answers no call: what is begun, and what it takes.

Only as many calls can be under way as there are connections to the network. What is `SUBMITTING` beyond that has not
left, which nobody can know after a kill.
"""

import contextlib
import socket
import sqlite3
import time
from pathlib import Path

from benchmarks.load import Device, Load
from benchmarks.sides import Side, start

BURST = 500  # requests sent at once: what a socket's buffer holds at the least
PAUSE = 0.2  # seconds between bursts
WATCHED = 15.0  # seconds after the start
ACCEPTED_WITHIN = 600.0  # seconds
READY_WITHIN = 120.0  # seconds


def due_at_start(load: Load, side: Side, directory: Path) -> dict[str, float]:
    """Have every endpoint's request accepted, kill the bridge, start it again, and return what that start did."""
    load.holds = True
    accept_all(load, directory, load.devices)
    side.process.kill()
    side.process.wait()
    began = time.monotonic()
    again = start(["-m", "bridge.cli", "run", "-c", str(directory / "bridge.toml")], directory / "log")
    try:
        load.run_until(lambda: _listens(directory / "control.sock"), READY_WITHIN)
        ready = time.monotonic() - began
        most, end = 0, time.monotonic() + WATCHED
        while time.monotonic() < end:
            serve(load, PAUSE)
            most = max(most, states(directory).get("SUBMITTING", 0))
        return {"ready_after": ready, "most_submitting": most, "peak_memory": again.peak_memory()}
    finally:
        again.stop()


def accept_all(load: Load, directory: Path, waiting: list[Device]) -> None:
    """Send each of these endpoints a request, again where it was not acknowledged, until all are in the ledger."""
    end = time.monotonic() + ACCEPTED_WITHIN
    while waiting:
        for at in range(0, len(waiting), BURST):
            for device in waiting[at : at + BURST]:
                load.request(device, 1)
            serve(load, PAUSE)
        waiting = [device for device in waiting if device.address not in load.acknowledged]
        if time.monotonic() > end:
            raise TimeoutError(f"{len(waiting)} requests were not acknowledged; the ledger has {states(directory)}")


def serve(load: Load, seconds: float) -> None:
    """Serve for so long."""
    until = time.monotonic() + seconds
    load.run_until(lambda: time.monotonic() > until)


def states(directory: Path) -> dict[str, int]:
    """Return the number of downlinks that are not over, by state."""
    with contextlib.closing(sqlite3.connect(f"file:{directory}/bridge.db?mode=ro", uri=True)) as ledger:
        return dict(ledger.execute("SELECT state, count(*) FROM downlink WHERE NOT over GROUP BY state").fetchall())


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
