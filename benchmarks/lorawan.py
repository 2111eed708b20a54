"""The LoRaWAN exchange: server request → Enqueue → txack and uplink events over HTTP → response.

The load side is a ChirpStack without a radio, whose devices answer at once, and an LwM2M server. It shows how fast the
bridge is, not how fast LoRaWAN could ever be.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chirpstack import APPLICATION, EVENTS_PATH, Events, Network, serve
from benchmarks.scenarios import IN_FLIGHT, Rate, Stopwatch, endpoints
from benchmarks.sides import Side, is_ready, start
from benchmarks.wire import GET, coap

DEVICES = 256
ROUND = 1500  # exchanges measured in one round
CONNECTIONS = IN_FLIGHT  # ChirpStack posts each event at once, over as many connections as that takes
HERE = Path(__file__).parent


class Server(asyncio.DatagramProtocol):
    """An LwM2M server that acknowledges at once and counts responses."""

    def __init__(self) -> None:
        self.on_response: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:  # the selector loop's transport is no DatagramTransport
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if data[0] >> 4 & 3 == 0:
            self.transport.sendto(coap(2, 0, data[2] << 8 | data[3], b""), address)
        if data[1] and self.on_response is not None:
            self.on_response()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _device(number: int) -> str:
    return f"70b3d57ed{number:07x}"


def _configure(directory: Path, transport: str, network: str, server_port: int, events_port: int) -> str:
    config = directory / "bridge.toml"
    config.write_text(f"""
[service]
state_directory = "{directory}"
log_level = "warning"
[north]
port = {15000 + os.getpid() % 5000}
[servers.bench]
uri = "coap://127.0.0.1:{server_port}"
[networks.bench]
binding = "lorawan"
api = {{ server = "{network}", key = "bench", transport = "{transport}" }}
application_id = "{APPLICATION}"
http = {{ port = {events_port}, path = "{EVENTS_PATH}" }}
catch_up = {{ enabled = false }}
""")
    rows = "\n".join(f"bench-{n},bench,{_device(n)},bench" for n in range(DEVICES))
    (directory / "endpoints.csv").write_text(f"endpoint,network,address,servers\n{rows}\n")
    cli = [sys.executable, "-m", "bridge.cli"]
    csv = str(directory / "endpoints.csv")
    subprocess.run([*cli, "endpoint", "import", "-c", str(config), csv], check=True, stdout=subprocess.DEVNULL)
    return str(config)


@contextlib.asynccontextmanager
async def _set_up(
    transport: str, device_class: str, runner: Sequence[str] = ("-m", "bridge.cli")
) -> AsyncIterator[tuple[Network, Server, Side, Side, list[tuple[str, int]]]]:
    network = Network(device_class)
    native, address, web, web_address = await serve(network)
    socket_, lwm2m = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    events_port = _free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        log = directory / "log"
        port = socket_.get_extra_info("sockname")[1]
        asked = web_address if transport == "grpc-web" else address
        config = await asyncio.to_thread(_configure, directory, transport, asked, port, events_port)
        bridge = start([*runner, "run", "-c", config], log)
        bare = start([str(HERE / "baseline_grpc.py"), address], log)
        try:
            await _until(lambda: network.calls > 0 and is_ready(directory / "control.sock"))
            bare.process.send_signal(signal.SIGSTOP)
            await _until(lambda: _listens(events_port))
            loop = asyncio.get_running_loop()
            for _ in range(CONNECTIONS):
                await loop.create_connection(lambda: Events(network), "127.0.0.1", events_port)
            addresses = []
            for record in sorted(await asyncio.to_thread(endpoints, config), key=lambda one: one["address"]):
                host, _, number = record["seen_as"][0].rpartition(":")
                addresses.append((host, int(number)))
            yield network, lwm2m, bridge, bare, addresses
        finally:
            bare.process.send_signal(signal.SIGCONT)
            bare.stop()
            bridge.stop()
            sys.stderr.write(log.read_text()[-2000:] if "Traceback" in log.read_text() else "")
            socket_.close()
            web.close()
            await native.stop(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError("the sides under test did not come up")
        await asyncio.sleep(0.02)


async def _calls(network: Network, bare: Side, count: int) -> Rate:
    bare.process.send_signal(signal.SIGCONT)
    goal = network.calls + count // 10
    await _until(lambda: network.calls >= goal)
    first = network.calls
    watch = Stopwatch(bare)
    await _until(lambda: network.calls >= first + count)
    rate = watch.rate(network.calls - first)
    bare.process.send_signal(signal.SIGSTOP)
    return rate


async def _exchanges(
    server: Server, bridge: Side, addresses: list[tuple[str, int]], first_mid: int, count: int
) -> Rate:
    sent = done = 0
    finished = asyncio.Event()

    def next_one() -> None:
        nonlocal sent
        if sent < count:
            number, mid = sent % len(addresses), first_mid + sent // len(addresses) & 0xFFFF
            token = number.to_bytes(4, "big") + mid.to_bytes(4, "big")
            server.transport.sendto(coap(0, 1, mid, token, GET), addresses[number])
            sent += 1

    def responded() -> None:
        nonlocal done
        done += 1
        next_one()
        if done >= count:
            finished.set()

    watch = Stopwatch(bridge)
    server.on_response = responded
    for _ in range(IN_FLIGHT):
        next_one()
    await asyncio.wait_for(finished.wait(), 120)
    server.on_response = None
    return watch.rate(count)


async def _measure(transport: str, device_class: str, rounds: int, count: int) -> tuple[list[Rate], list[Rate]]:
    theirs, own = [], []
    async with _set_up(transport, device_class) as (network, server, bridge, bare, addresses):
        for number in range(rounds + 1):
            theirs.append(await _calls(network, bare, 2 * count))
            own.append(await _exchanges(server, bridge, addresses, 1000 + 100 * number, count))
        if network.refused:
            raise AssertionError(f"{network.refused} events were refused")
    return theirs[1:], own[1:]


def measure_lorawan(
    transport: str, device_class: str, rounds: int, count: int = ROUND
) -> tuple[list[Rate], list[Rate]]:
    """Return calls per second of a bare client, and exchanges per second of the bridge; the first round is a warm-up.

    `transport`: how the bridge speaks to ChirpStack. A device of class C is quick, so that its answer is piggybacked;
    one of class A is not, and its answer a message of its own.
    """
    return asyncio.run(_measure(transport, device_class, rounds, count))


def work_lorawan(runner: Sequence[str], rounds: int, begin: Callable[[Side], None], end: Callable[[Side], None]) -> int:
    """Have a bridge that `runner` runs do rounds of exchanges between `begin` and `end`; return how many."""

    async def work() -> None:
        async with _set_up("grpc-web", "C", runner) as (_, server, bridge, _bare, addresses):
            await _exchanges(server, bridge, addresses, 1000, ROUND)
            begin(bridge)
            for number in range(rounds):
                await _exchanges(server, bridge, addresses, 1100 + 100 * number, ROUND)
            end(bridge)

    asyncio.run(work())
    return rounds * ROUND
