"""The LoRaWAN exchange: server request → gRPC Enqueue → txack and uplink events over HTTP → response.

The load side is a ChirpStack without a radio, whose devices answer at once, and an LwM2M server. It shows how fast the
bridge is, not how fast LoRaWAN could ever be.
"""

import asyncio
import contextlib
import json
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

import grpc
from chirpstack_api import api, common, integration
from google.protobuf.empty_pb2 import Empty

from benchmarks.scenarios import IN_FLIGHT, Rate, Stopwatch
from benchmarks.sides import Side, start
from benchmarks.wire import CONTENT, GET, coap

DEVICES = 256
ROUND = 1500  # exchanges measured in one round
CONNECTIONS = 16
PATH = "bench"
APPLICATION = "00000000-0000-0000-0000-000000000001"
PROFILE = "00000000-0000-0000-0000-000000000002"
BARE = "ffffffffffffffff"  # the baseline's calls are for this device, and nothing follows them
HERE = Path(__file__).parent


class Network(api.DeviceServiceServicer):
    """Takes downlinks, and lets their devices answer."""

    def __init__(self) -> None:
        self.calls = 0
        self.refused = 0
        self._number = 0
        self._f_cnt: dict[str, int] = {}
        self._posts: asyncio.Queue[bytes] = asyncio.Queue()

    async def Enqueue(self, request: Any, _context: object) -> Any:  # noqa: N802  (the name in the .proto file)
        item = request.queue_item
        self.calls += 1
        self._number += 1
        handle = f"00000000-0000-0000-0000-{self._number:012d}"
        if item.dev_eui != BARE:
            self._answer(item.dev_eui, item.data, handle)
        return api.EnqueueDeviceQueueItemResponse(id=handle)

    async def Get(self, request: Any, _context: object) -> Any:  # noqa: N802  (as above)
        device = api.Device(dev_eui=request.dev_eui, application_id=APPLICATION, device_profile_id=PROFILE)
        return api.GetDeviceResponse(device=device, class_enabled=common.CLASS_C)

    def _answer(self, dev_eui: str, data: bytes, handle: str) -> None:
        info = integration.DeviceInfo(application_id=APPLICATION, device_profile_id=PROFILE, dev_eui=dev_eui)
        self._post("txack", integration.TxAckEvent(device_info=info, queue_item_id=handle))
        if data[1] == 0:
            return
        token, mid = data[4 : 4 + (data[0] & 15)], data[2] << 8 | data[3]
        f_cnt = self._f_cnt[dev_eui] = self._f_cnt.get(dev_eui, -1) + 1
        up = integration.UplinkEvent(
            deduplication_id=f"{dev_eui}-{f_cnt}",
            device_info=info,
            dev_addr="01020304",
            dr=5,
            f_cnt=f_cnt,
            f_port=10,
            data=coap(2, 69, mid, token, CONTENT),
        )
        up.time.FromMicroseconds(time.time_ns() // 1000)
        self._post("up", up)

    def _post(self, kind: str, message: Any) -> None:
        body = message.SerializeToString()
        head = f"POST /{PATH}?event={kind} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/octet-stream\r\n"
        self._posts.put_nowait(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def post_forever(self, port: int) -> None:
        """Post events over one kept connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                writer.write(await self._posts.get())
                head = await reader.readuntil(b"\r\n\r\n")
                self.refused += not head.startswith(b"HTTP/1.1 200")
                await reader.readexactly(_length(head))
        finally:
            writer.close()


class Profiles(api.DeviceProfileServiceServicer):
    async def Get(self, _request: Any, _context: object) -> Any:  # noqa: N802  (as above)
        profile = api.DeviceProfile(id=PROFILE, region=common.EU868, flush_queue_on_activate=True)
        return api.GetDeviceProfileResponse(device_profile=profile)


class Internal(api.InternalServiceServicer):
    async def GetVersion(self, _request: Empty, _context: object) -> Any:  # noqa: N802  (as above)
        return api.GetVersionResponse(version="4.20.0")

    async def ListRegions(self, _request: Empty, _context: object) -> Any:  # noqa: N802  (as above)
        return api.ListRegionsResponse()


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


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 : head.find(b"\r\n", at)]) if at >= 0 else 0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _device(number: int) -> str:
    return f"70b3d57ed{number:07x}"


def _configure(directory: Path, network: str, server_port: int, events_port: int) -> str:
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
api = {{ server = "{network}", key = "bench" }}
application_id = "{APPLICATION}"
http = {{ port = {events_port}, path = "{PATH}" }}
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
    runner: Sequence[str] = ("-m", "bridge.cli"),
) -> AsyncIterator[tuple[Network, Server, Side, Side, list[tuple[str, int]]]]:
    network = Network()
    server = grpc.aio.server()
    api.add_DeviceServiceServicer_to_server(network, server)
    api.add_DeviceProfileServiceServicer_to_server(Profiles(), server)
    api.add_InternalServiceServicer_to_server(Internal(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    transport, lwm2m = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    events_port = _free_port()
    tasks: list[asyncio.Task[None]] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        log = directory / "log"
        port = transport.get_extra_info("sockname")[1]
        config = await asyncio.to_thread(_configure, directory, address, port, events_port)
        bridge = start([*runner, "run", "-c", config], log)
        bare = start([str(HERE / "baseline_grpc.py"), address], log)
        try:
            await _until(lambda: network.calls > 0 and (directory / "control.sock").exists())
            bare.process.send_signal(signal.SIGSTOP)
            await _until(lambda: _listens(events_port))
            tasks += [asyncio.create_task(network.post_forever(events_port)) for _ in range(CONNECTIONS)]
            command = [sys.executable, "-m", "bridge.cli", "endpoint", "list", "-c", config, "--json"]
            listed = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
            addresses = []
            for record in sorted(json.loads(listed.stdout), key=lambda one: one["device"]):
                host, _, number = record["locals"][0].rpartition(":")
                addresses.append((host, int(number)))
            yield network, lwm2m, bridge, bare, addresses
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            bare.process.send_signal(signal.SIGCONT)
            bare.stop()
            bridge.stop()
            sys.stderr.write(log.read_text()[-2000:] if "Traceback" in log.read_text() else "")
            transport.close()
            await server.stop(0.1)


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


async def _measure(rounds: int, count: int) -> tuple[list[Rate], list[Rate]]:
    theirs, own = [], []
    async with _set_up() as (network, server, bridge, bare, addresses):
        for number in range(rounds + 1):
            theirs.append(await _calls(network, bare, 2 * count))
            own.append(await _exchanges(server, bridge, addresses, 1000 + 100 * number, count))
        if network.refused:
            raise AssertionError(f"{network.refused} events were refused")
    return theirs[1:], own[1:]


def measure_lorawan(rounds: int, count: int = ROUND) -> tuple[list[Rate], list[Rate]]:
    """Calls per second of a bare client, and exchanges per second of the bridge; the first round is a warm-up."""
    return asyncio.run(_measure(rounds, count))


def work_lorawan(runner: Sequence[str], rounds: int, begin: Callable[[Side], None], end: Callable[[Side], None]) -> int:
    """Have a bridge that `runner` runs do rounds of exchanges between `begin` and `end`; give how many."""

    async def work() -> None:
        async with _set_up(runner) as (_, server, bridge, _bare, addresses):
            await _exchanges(server, bridge, addresses, 1000, ROUND)
            begin(bridge)
            for number in range(rounds):
                await _exchanges(server, bridge, addresses, 1100 + 100 * number, ROUND)
            end(bridge)

    asyncio.run(work())
    return rounds * ROUND
