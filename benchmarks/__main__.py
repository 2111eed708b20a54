"""`make bench`: prints a table and writes build/bench.json.

Figures are medians of rounds; baseline and bridge take turns, a ratio is of two rounds that follow each other. Where
other work shares the cores, the processor time of the side under test is what can be trusted. The load side must have
more to give than the side under test: its own messages per second of its processor time are shown beside.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cold import SMALL, WORKING_SET, measure_cold
from benchmarks.due import due_at_start
from benchmarks.http_compared import show_http
from benchmarks.load import Load
from benchmarks.lorawan import measure_lorawan, work_lorawan
from benchmarks.memory import idle_memory, with_fleet
from benchmarks.nodes import show_nodes
from benchmarks.provisioning import show_provisioning
from benchmarks.restart import WAITING, restart_under_traffic
from benchmarks.scenarios import (
    ROUND,
    Rate,
    devices,
    exchanges,
    median,
    observe_all,
    pin_load,
    prove_ledger,
    running_bridge,
    uplinks,
)
from benchmarks.sessions import show_sessions
from benchmarks.sides import Side, start
from benchmarks.step import show_steps
from benchmarks.store import show_store
from benchmarks.storm import show_storm
from benchmarks.transports import show_transports

HERE = Path(__file__).parent
CALLS_AT_ONCE = 32  # connections that the T8 client opens at most (`pool_size`): no more calls can begin
QUOTAS = """
[[quotas]]
name = "own"
network = "bench"
period = "day"
messages = 1000000000
bytes = 1000000000000
"""
"""What each endpoint may use, more than it does."""
MIDS_PER_ROUND = 100  # message IDs that a round uses up at each endpoint, and more


@contextmanager
def bare_handler() -> Iterator[tuple[Load, Side]]:
    """Run baseline (a)."""
    load = Load(devices())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        side = start([str(HERE / "baseline_handler.py"), str(port)], Path(directory) / "log")
        try:
            _wait(lambda: _listens(port), side, directory)
            load.call_back("127.0.0.1", port, "/callback")
            yield load, side
        finally:
            side.stop()
            load.close()


@contextmanager
def glue() -> Iterator[tuple[Load, Side]]:
    """Run baseline (b)."""
    load = Load(devices())
    with tempfile.TemporaryDirectory() as directory:
        for device in load.devices:
            device.address = ("127.65.0.1", 20000 + device.number)
        wanted = [{"external_id": d.external_id, "bind": d.address} for d in load.devices]
        options = {"api_root": load.api_root, "devices": wanted, "database": f"{directory}/glue.db"}
        (Path(directory) / "options.json").write_text(json.dumps(options))
        side = start([str(HERE / "baseline_glue.py"), f"{directory}/options.json"], Path(directory) / "log")
        try:
            load.run_until(lambda: load.provisioned >= len(load.devices) or _ended(side, directory))
            time.sleep(1)  # the last context opens after its configuration; a measurement's warm-up, no test
            yield load, side
        finally:
            side.stop()
            sys.stderr.write((Path(directory) / "log").read_text()[-2000:])
            load.close()


@contextmanager
def bridge(more: str = "", place: int = 0) -> Iterator[tuple[Load, Side, Path]]:
    """Run the bridge, every device of it observed; `more` and `place`: see `write_configuration`."""
    load = Load(devices())
    try:
        with running_bridge(load, more=more, place=place) as (side, directory):
            observe_all(load)
            yield load, side, directory
    finally:
        load.close()


def alternate(
    baseline: Callable[[int], Rate], ours: Callable[[int], Rate], rounds: int
) -> tuple[list[Rate], list[Rate]]:
    """Measure both in turns, so that what else the machine does weighs on both; the first round is a warm-up."""
    pairs = [(baseline(n), ours(n)) for n in range(rounds + 1)][1:]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def measure_uplinks(rounds: int) -> tuple[list[Rate], list[Rate]]:
    """Return notifications per second of a bare handler and of the bridge."""
    with bare_handler() as (load, side), bridge() as (bridge_load, bridge_side, directory):

        def ours(_round: int) -> Rate:
            rate = uplinks(bridge_load, bridge_side)
            prove_ledger(bridge_load, directory)
            return rate

        return alternate(lambda _round: uplinks(load, side, to_server=False), ours, rounds)


def measure_exchanges(rounds: int) -> tuple[list[Rate], list[Rate]]:
    """Return exchanges per second of the glue and of the bridge."""
    with glue() as (load, side), bridge() as (bridge_load, bridge_side, directory):
        found = alternate(
            lambda n: exchanges(load, side, 1000 + MIDS_PER_ROUND * n, 2000),
            lambda n: exchanges(bridge_load, bridge_side, 1000 + MIDS_PER_ROUND * n),
            rounds,
        )
        prove_ledger(bridge_load, directory)
        return found


def with_quotas(measure: Callable[[Load, Side, int], Rate]) -> Callable[[int], tuple[list[Rate], list[Rate]]]:
    """Return the measurement of a bridge without quotas and of one with them."""

    def found(rounds: int) -> tuple[list[Rate], list[Rate]]:
        with bridge() as (load, side, _), bridge(QUOTAS, 1) as (quota_load, quota_side, directory):
            rates = alternate(lambda n: measure(load, side, n), lambda n: measure(quota_load, quota_side, n), rounds)
            prove_ledger(quota_load, directory)
            return rates

    return found


def lorawan(transport: str, device_class: str) -> Callable[[int], tuple[list[Rate], list[Rate]]]:
    """Return the measurement of one kind of LoRaWAN exchange."""
    return lambda rounds: measure_lorawan(transport, device_class, rounds)


def profile(rounds: int) -> None:
    """Print which rooms the bridge's processor time goes to; the rates of such a run are not to be compared."""
    load = Load(devices())
    try:
        with tempfile.TemporaryDirectory() as name:
            result = Path(name) / "profile.json"
            with running_bridge(load, [str(HERE / "profiled.py"), str(result)]) as (side, _):
                observe_all(load)
                for title, work in (
                    ("uplinks", lambda _: uplinks(load, side)),
                    ("exchanges", lambda n: exchanges(load, side, 1000 + MIDS_PER_ROUND * n)),
                ):
                    work(-1)
                    side.process.send_signal(signal.SIGUSR1)
                    for n in range(rounds):
                        work(n)
                    result.unlink(missing_ok=True)
                    side.process.send_signal(signal.SIGUSR2)
                    _wait(result.exists, side, name)
                    _show_profile(title, json.loads(result.read_text()), rounds * ROUND)
            result.unlink()

            def end(side: Side) -> None:
                side.process.send_signal(signal.SIGUSR2)
                _wait(result.exists, side, name)

            count = work_lorawan(
                [str(HERE / "profiled.py"), str(result)], rounds, lambda s: s.process.send_signal(signal.SIGUSR1), end
            )
            _show_profile("LoRaWAN exchanges", json.loads(result.read_text()), count)
    finally:
        load.close()


def _show_profile(title: str, found: dict[str, dict[str, float]], messages: int) -> None:
    total = sum(found["rooms"].values())
    print(f"\n{title}: {total / messages * 1e6:.0f} µs each")
    for part in ("rooms", "functions"):
        for name, seconds in sorted(found[part].items(), key=lambda item: -item[1])[:20]:
            print(f"{seconds / total:8.1%} {seconds / messages * 1e6:7.1f} µs  {name}")
        print()


def _ended(side: Side, directory: str) -> bool:
    if side.process.poll() is not None:
        raise RuntimeError((Path(directory) / "log").read_text())
    return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(ready: Callable[[], bool], side: Side, directory: str) -> None:
    end = time.monotonic() + 30
    while not ready():
        if _ended(side, directory) or time.monotonic() > end:
            raise TimeoutError("the side under test did not come up")
        time.sleep(0.05)


def show_fleet(count: int, figures: dict[str, Any]) -> None:
    """Measure `count` endpoints: idle, and then at a start with a downlink due at each of them."""
    figures["memory"], figures["due at start"] = memory, due = idle_memory(count, due_at_start)
    print(f"{'memory of an idle endpoint':34}{memory['bytes_per_endpoint']:12.0f} bytes   wanted ≤ 2048")
    name, most = f"start with {count} due: SUBMITTING", due["most_submitting"]
    print(f"{name:34}{most:12.0f} at most   wanted ≤ {CALLS_AT_ONCE}")
    print(f"{'the same: memory':34}{due['peak_memory'] / 1e6:12.0f} MB at most")
    print(f"{'the same: listening':34}{due['ready_after']:12.1f} s after its start")


def show_restart(count: int) -> None:
    """Measure when a bridge with `count` endpoints and many waiting downlinks takes messages again."""
    found = with_fleet(count, restart_under_traffic)
    print(f"{f'restart, {count} endpoints: ready':42}{found['ready_after']:8.1f} s   wanted ≤ 5")
    print(f"{'the same: processor time until then':42}{found['ready_cpu']:8.1f} s")
    print(f"{'the same: first uplink committed':42}{found['first_uplink_after']:8.1f} s")
    print(f"{'the same: first request acknowledged':42}{found.get('first_request_after', 0):8.1f} s")
    ended = found.get("waiting_ended_after")
    went = "    not within the time watched" if ended is None else f"{ended:8.1f} s"
    print(f"{f'the same: {WAITING} waiting downlinks went':42}{went}")
    print(f"{'the same: an uplink is committed within':42}{found['uplink_99'] * 1e3:8.0f} ms (99 %)")
    print(f"{'the same: memory':42}{found['peak_memory'] / 1e6:8.0f} MB at most")


def show_cold(rounds: int, figures: dict[str, Any]) -> None:
    """Measure uplinks of many devices in turn: more than fit a small memory, and as many as fit the usual one."""
    for name, wanted, service in (("cold / hot, with a small cache", 1.5, SMALL), ("the same, usual cache", 1.1, "")):
        figures[name] = asdict(found := measure_cold(rounds, service)) | {"wanted": wanted}
        each = f"{found.cold:.0f} µs, hot {found.hot:.0f} µs, {found.megabytes:.0f} MB"
        print(f"{name:34}{'':12}{found.ratio:16.2f}   wanted ≤ {wanted}   {WORKING_SET} devices: {each}", flush=True)


Row = tuple[str, str, str, float | None, Callable[[int], tuple[list[Rate], list[Rate]]]]
"""Names of a baseline, of what is measured against it, and of the ratio; the ratio wanted; what measures both."""


def compare(rows: list[Row], rounds: int, figures: dict[str, Any]) -> None:
    """Measure pairs, print them, and add their figures."""
    print(f"{os.cpu_count()} cores; side under test on one, load on another; {rounds} rounds each")
    print(f"\n{'':34}{'per second':>12}{'per CPU second':>16}{'load side, likewise':>22}", flush=True)

    def show(name: str, rates: list[Rate]) -> None:
        middle = median(rates)
        figures[name] = {"median": asdict(middle), "rounds": [asdict(r) for r in rates]}
        print(f"{name:34}{middle.wall:12.0f}{middle.cpu:16.0f}{middle.load:22.0f}", flush=True)

    for baseline, ours, ratio, wanted, measure in rows:
        theirs, own = measure(rounds)
        show(baseline, theirs)
        show(ours, own)
        wall = statistics.median(o.wall / t.wall for t, o in zip(theirs, own, strict=True))
        cpu = statistics.median(o.cpu / t.cpu for t, o in zip(theirs, own, strict=True))
        figures[ratio] = {"wall": wall, "cpu": cpu, "wanted": wanted}
        print(f"{ratio:34}{wall:12.2f}{cpu:16.2f}{f'   wanted ≥ {wanted}' if wanted else ''}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement; the median counts")
    parser.add_argument("--endpoints", type=int, default=100_000, help="idle endpoints for the memory figure; 0: skip")
    parser.add_argument("--step", action="store_true", help="measure the one step alone, on bytes, and end")
    parser.add_argument("--fleet", action="store_true", help="measure only the many endpoints, and end")
    parser.add_argument("--cold", action="store_true", help="measure only more devices than fit the memory, and end")
    parser.add_argument("--profile", action="store_true", help="show where the bridge's processor time goes, and end")
    parser.add_argument("--store", action="store_true", help="show what a message costs in the store alone, and end")
    parser.add_argument("--nodes", action="store_true", help="show what one more node of a cluster costs, and end")
    parser.add_argument("--quotas", action="store_true", help="measure only what quotas cost, and end")
    parser.add_argument("--provisioning", type=int, metavar="DEVICES", help="measure how fast devices are provisioned")
    parser.add_argument("--http", action="store_true", help="compare HTTP servers and clients, and end")
    parser.add_argument("--sessions", action="store_true", help="show what DTLS and TLS sessions cost, and end")
    parser.add_argument("--transports", action="store_true", help="measure only transports toward servers, and end")
    parser.add_argument("--restart", action="store_true", help="measure a restart of the whole fleet under traffic")
    parser.add_argument("--storm", type=int, metavar="SESSIONS", help="measure a restart with so many DTLS sessions")
    arguments = parser.parse_args()
    if arguments.restart or arguments.storm:
        show_restart(arguments.endpoints) if arguments.restart else show_storm(arguments.storm)
        return
    for is_asked, show in (
        (arguments.sessions, show_sessions),
        (arguments.transports, lambda: show_transports({})),
        (arguments.nodes, lambda: show_nodes({})),
    ):
        if is_asked:
            show()
            return
    if arguments.step:
        show_steps(8 * arguments.rounds)
        return
    if arguments.store:
        show_store(arguments.rounds)
        return
    pin_load()
    if arguments.http:
        show_http(arguments.rounds)
        return
    if arguments.provisioning:
        show_provisioning(arguments.provisioning)
        return
    if arguments.cold:
        show_cold(arguments.rounds, {})
        return
    if arguments.fleet:
        show_fleet(arguments.endpoints, {})
        return
    if arguments.profile:
        profile(arguments.rounds)
        return
    quota_uplinks = with_quotas(lambda load, side, _: uplinks(load, side))
    quota_exchanges = with_quotas(lambda load, side, n: exchanges(load, side, 1000 + MIDS_PER_ROUND * n))
    of_quotas: list[Row] = [
        ("bridge without quotas, uplinks", "with quotas", "uplinks, quotas on / off", 0.97, quota_uplinks),
        ("bridge without quotas, exchanges", "with quotas ", "exchanges, quotas on / off", 0.97, quota_exchanges),
    ]
    if arguments.quotas:
        compare(of_quotas, arguments.rounds, {})
        return
    figures: dict[str, Any] = {}
    rows: list[Row] = [
        ("(a) bare handler, notifications", "bridge, uplinks", "uplinks / (a)", 0.45, measure_uplinks),
        ("(b) glue, exchanges", "bridge, exchanges", "exchanges / (b)", 4.0, measure_exchanges),
        *of_quotas,
        ("(c) bare gRPC, calls", "bridge, LoRaWAN exchanges", "LoRaWAN / (c)", 0.5, lorawan("grpc-web", "C")),
        ("(c) once more", "the same, class A", "LoRaWAN class A / (c)", None, lorawan("grpc-web", "A")),
        ("(c) once more", "the same, class C, over gRPC", "LoRaWAN over gRPC / (c)", None, lorawan("grpc", "C")),
    ]
    compare(rows, arguments.rounds, figures)
    show_transports(figures)
    show_cold(arguments.rounds, figures)
    show_nodes(figures)
    if arguments.endpoints:
        show_fleet(arguments.endpoints, figures)
    out = Path("build/bench.json")
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
