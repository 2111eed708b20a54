"""A running service between a server's socket and a network that the test scripts."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.config import North, parse
from bridge.delivery.downlinks import Downlink, ServerRequest
from bridge.delivery.states import DownlinkState
from bridge.north.udp.scheme import Scheme
from bridge.service.clock import Clock
from bridge.service.service import Service
from mock_network.lab import free_port
from tests.service.scripted_binding import ScriptedBinding

both_ledgers = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
"""Runs a test with a file, and with PostgreSQL."""

CONFIG = """
[service]
state_directory = "{state}"
[north]
port = {port}
[servers.lab]
uri = "coap://127.0.0.1:{server}"
[networks.net]
binding = "scripted"
[[endpoints]]
name = "e1"
network = "net"
address = "d1"
"""


class Kit:
    """A running service, the server's socket, and the scripted network."""

    def __init__(self, tmp_path: Path, database: str = "bridge.db") -> None:
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.server.setblocking(False)
        port = free_port()
        text = CONFIG.format(state=tmp_path, port=port, server=self.server.getsockname()[1])
        text = text.replace("[service]", f'[service]\ndatabase = "{database}"')
        self.config = parse(text, "bridge.toml", tmp_path)
        self.address = ("127.64.0.1", port)

    @asynccontextmanager
    async def running(self, clock: Clock | None = None) -> AsyncIterator[Service]:
        service = Service(self.config, clock)
        await service.start()
        self.service = service
        network = service.networks["net"]
        assert isinstance(network, ScriptedBinding)
        self.network = network
        try:
            yield service
        finally:
            self.network.go.set()
            await service.stop()

    def move_to(self, port: int) -> None:
        """Let endpoints have another port toward the server, from the next start on."""
        self.config = replace(self.config, north=msgspec.structs.replace(self.config.north, port=port))
        self.address = (self.address[0], port)

    def give_ports(self, ports: range) -> None:
        """Let endpoints have ports of their own, on loopback, from the next start on."""
        north = North(scheme=Scheme.PORTS, ports=f"{ports.start}-{ports.stop - 1}", source_address="127.0.0.1")
        self.config = replace(self.config, north=north)

    def have_endpoints(self, count: int) -> None:
        """Let there be so many endpoints, from the next start on."""
        more = [{"name": f"e{n}", "network": "net", "address": f"d{n}"} for n in range(2, count + 1)]
        drafts = msgspec.convert(more, list[type(self.config.endpoints[0])])
        self.config = replace(self.config, endpoints=(*self.config.endpoints, *drafts))

    def ask(self, mid: int, address: tuple[str, int] | None = None) -> None:
        """Send a Read from the server: to the first endpoint, or to another address."""
        self.server.sendto(frame(Type.CON, Code.GET, mid, bytes((mid,)), b"\xb1\x33"), address or self.address)

    async def ask_each(self, count: int) -> None:
        """Send a Read to each of so many endpoints, one after the other."""
        sources = self.service.directory.catalogue.sources
        assert sources is not None
        for number in range(1, count + 1):
            record = await self.service.directory.by_name(f"e{number}")
            assert record is not None
            assert record.source is not None
            host, _, port = sources.seen(record.source)[0].rpartition(":")
            self.ask(number, (host, int(port)))

    async def answered(self) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.server, 2000), 5)

    async def heard_from(self) -> tuple[str, int]:
        """Return the address that the next datagram to the server comes from."""
        _, address = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(self.server, 2000), 5)
        return str(address[0]), int(address[1])

    async def rows(self) -> list[ServerRequest]:
        found: list[Downlink] = await self.service.store.reads.downlinks()
        return [row for row in reversed(found) if type(row) is ServerRequest]

    async def states(self) -> list[DownlinkState]:
        return [row.state for row in await self.rows()]
