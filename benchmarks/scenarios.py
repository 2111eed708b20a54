"""What is measured: uplinks and exchanges per second, in rounds."""

import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import Device, Load
from benchmarks.sides import CORE_OF_LOAD, Side, is_ready, start, write_configuration

DEVICES = 256
IN_FLIGHT = 64
ROUND = 4000  # messages measured in one round


@dataclass(frozen=True, slots=True)
class Rate:
    """Messages per second: by the clock, and by the processor time of the side under test and of the load side."""

    wall: float
    cpu: float
    load: float


class Stopwatch:
    """Measures from when it is made."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._began = self._read()

    def _read(self) -> tuple[float, float, float]:
        return time.monotonic(), self._side.cpu(), time.process_time()

    def rate(self, count: int) -> Rate:
        """Return the rates of `count` messages in the time since."""
        return Rate(*(count / (now - then) for now, then in zip(self._read(), self._began, strict=True)))


def pin_load() -> None:
    """Keep the load side off the core under test."""
    os.sched_setaffinity(0, {CORE_OF_LOAD % (os.cpu_count() or 1)})


def devices(count: int = DEVICES) -> list[Device]:
    return [Device(n, f"d{n}@bench.example", f"c{n}") for n in range(count)]


@contextlib.contextmanager
def running_bridge(
    load: Load, profiler: Sequence[str] = ("-m", "bridge.cli"), service: str = "", more: str = "", place: int = 0
) -> Iterator[tuple[Side, Path]]:
    """Run the bridge with an endpoint for each device, all of them provisioned, their addresses known.

    `profiler`: what Python is to run in place of the bridge's command line. `service`: more of its configuration.
    `more` and `place`: see `write_configuration`.
    """
    cli = [sys.executable, "-m", "bridge.cli"]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        log = directory / "log"
        ids = [d.external_id for d in load.devices]
        config = str(write_configuration(directory, load.api_root, load.server_port, ids, service, more, place))
        csv = str(directory / "endpoints.csv")
        subprocess.run([*cli, "endpoint", "import", "-c", config, csv], check=True, stdout=subprocess.DEVNULL)
        side = start([*profiler, "run", "-c", config], log)
        try:
            load.run_until(lambda: _is_ready(directory / "control.sock", side, log))
            load.run_until(lambda: load.provisioned >= len(load.devices), 600)
            for record in endpoints(config):
                host, _, port = record["seen_as"][0].rpartition(":")
                load.by_id[record["address"]].address = (host, int(port))
            yield side, directory
        finally:
            side.stop()
            sys.stderr.write(log.read_text()[-4000:])


def endpoints(config: str) -> list[dict[str, Any]]:
    """Return all endpoints of the running bridge, as `endpoint list --json` prints them."""
    command = [sys.executable, "-m", "bridge.cli", "endpoint", "list", "-c", config, "--json", "--all"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout
    return [json.loads(line) for line in listed.splitlines()]


def _is_ready(path: Path, side: Side, log: Path) -> bool:
    if side.process.poll() is not None:
        raise RuntimeError(f"the bridge ended:\n{log.read_text()[-2000:]}")
    return is_ready(path)


def observe_all(load: Load) -> None:
    """Have every device observed, so that it can notify."""
    before = load.received
    for device in load.devices:
        load.request(device, 1, observe=True)
    load.run_until(lambda: load.received - before >= len(load.devices))


def recorded(directory: Path) -> dict[str, int]:
    """Count the uplinks that are committed, by state."""
    with contextlib.closing(sqlite3.connect(f"file:{directory}/bridge.db?mode=ro", uri=True)) as ledger:
        return dict(ledger.execute("SELECT state, count(*) FROM uplink GROUP BY state").fetchall())


def prove_ledger(load: Load, directory: Path) -> None:
    """See that nothing was answered before it was committed, and that every uplink has come to FORWARDED."""
    answered = load.answered
    counted = sum(recorded(directory).values())
    if counted < answered or load.refused:
        raise AssertionError(f"{answered} notifications answered, {load.refused} refused, {counted} committed")
    end = time.monotonic() + 10
    while set(recorded(directory)) != {"FORWARDED"}:
        if time.monotonic() > end:
            raise AssertionError(f"uplinks without their outcome: {recorded(directory)}")
        load.run_until(lambda: True)
        time.sleep(0.05)


def uplinks(load: Load, side: Side, count: int = ROUND, *, to_server: bool = True) -> Rate:
    """Notification in → 204, and with `to_server` → CoAP to a server that acknowledges: all of it for every message."""
    before, answered = load.received, load.answered
    watch = Stopwatch(side)
    sent = 0
    while sent < count:
        while sent < count and len(load.waiting) < IN_FLIGHT:
            load.uplink(load.devices[sent % len(load.devices)])
            sent += 1
        load.run_until(lambda: len(load.waiting) < IN_FLIGHT // 2)
    load.run_until(lambda: load.answered - answered >= count)
    if to_server:
        load.run_until(lambda: load.received - before >= count)
    return watch.rate(count)


def exchanges(load: Load, side: Side, first_mid: int, count: int = ROUND) -> Rate:
    """Server request → T8 downlink → uplink → response; IN_FLIGHT at a time, never two for one device."""
    sent = done = 0

    def next_one() -> None:
        nonlocal sent
        if sent < count:
            load.request(load.devices[sent % len(load.devices)], first_mid + sent // len(load.devices) & 0xFFFF)
            sent += 1

    def responded() -> None:
        nonlocal done
        done += 1
        next_one()

    watch = Stopwatch(side)
    load.on_response = responded
    for _ in range(IN_FLIGHT):
        next_one()
    load.run_until(lambda: done >= count, 120)
    load.on_response = None
    return watch.rate(count)


def median(rates: list[Rate]) -> Rate:
    return Rate(
        statistics.median(r.wall for r in rates),
        statistics.median(r.cpu for r in rates),
        statistics.median(r.load for r in rates),
    )
