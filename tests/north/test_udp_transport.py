"""UDP as a `NorthTransport`, by both schemes of addresses."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any, cast

import pytest

from bridge.north.contract import LinkState, NorthTransport, Sending
from bridge.north.udp import datagrams, transport as udp
from bridge.north.udp.addresses import AddressScheme
from bridge.north.udp.datagrams import DatagramSocket
from bridge.north.udp.ports import PortsScheme
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.servers import ServerName, Servers
from bridge.north.udp.transport import UdpNorth
from mock_network.lab import free_ports
from tests.north.transport_contract import Noted, Server, Stage, TransportContract, request, started
from tests.waiting import until


class UdpServer(Server):
    """A socket; it tells clients by their addresses."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    async def receive(self) -> tuple[Any, bytes]:
        data, who = await asyncio.get_running_loop().sock_recvfrom(self.socket, 2000)
        return who, data

    async def send(self, who: Any, message: bytes) -> None:
        self.socket.sendto(message, who)


class Blocking:
    """A socket that would block for as long as `blocked`."""

    def __init__(self, sock: Any) -> None:
        self._sock, self.blocked = sock, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def sendmsg(self, *args: Any) -> int:
        if self.blocked:
            raise BlockingIOError(11, "would block")
        return int(self._sock.sendmsg(*args))


class UdpStage(Stage):
    def __init__(self, make: Callable[[], AddressScheme], sources: range, opened: Callable[[Any], DatagramSocket]):
        self._make = make
        self._opened = opened
        self.sources = sources
        self.servers = {"one": UdpServer(), "two": UdpServer()}
        self._blocked: Blocking | None = None

    async def transport(self) -> NorthTransport:
        names = [ServerName(key, "127.0.0.1", server.port, 5684) for key, server in self._udp.items()]
        servers = Servers([*names, ServerName("nowhere", "no.such.host.invalid", 5683, 5684)])
        await servers.resolve()
        return UdpNorth(self._make(), servers)

    @property
    def _udp(self) -> dict[str, UdpServer]:
        return cast("dict[str, UdpServer]", self.servers)

    def block(self, transport: NorthTransport) -> None:
        opened = self._opened(cast("UdpNorth", transport).addresses)
        self._blocked = Blocking(opened.socket)
        opened._sock = self._blocked  # type: ignore[assignment]  # as the socket would behave

    def unblock(self, transport: NorthTransport) -> None:
        assert self._blocked is not None
        self._blocked.blocked = False

    def limit_waiting(self, monkeypatch: pytest.MonkeyPatch, messages: int) -> None:
        monkeypatch.setattr(datagrams, "QUEUE", messages)

    async def stranger_sends(self, transport: NorthTransport, message: bytes) -> bool:
        local = cast("UdpNorth", transport).addresses.local(self.sources[0], socket.AF_INET)
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
            stranger.sendto(message, local)
        return True

    def close(self) -> None:
        for server in self._udp.values():
            server.socket.close()


class UdpContract(TransportContract):
    async def test_a_link_does_not_carry_what_would_wait_behind_another_datagram(self, stage: Stage) -> None:
        transport = await started(stage, Noted())
        source = stage.sources[0]
        transport.send(source, "one", request(0))
        assert transport.carries(source, "one", request(1))
        stage.block(transport)
        assert transport.send(source, "one", request(1)) is Sending.WAITS
        assert not transport.carries(source, "one", request(2))
        stage.unblock(transport)
        await until(lambda: transport.carries(source, "one", request(2)))
        await transport.stop()


class TestPrefix(UdpContract):
    @pytest.fixture
    async def stage(self) -> AsyncIterator[UdpStage]:
        port = free_ports(1).start
        made = UdpStage(lambda: PrefixScheme(pools([LOOPBACK_PREFIX]), port), range(3), lambda scheme: scheme._ipv4)
        yield made
        made.close()


class TestPorts(UdpContract):
    @pytest.fixture
    async def stage(self) -> AsyncIterator[UdpStage]:
        ports = free_ports(3)
        first = ports.start
        made = UdpStage(
            lambda: PortsScheme({socket.AF_INET: "127.0.0.1"}, ports),
            ports,
            lambda scheme: scheme._sockets[socket.AF_INET][first],
        )
        yield made
        made.close()


async def test_an_endpoint_whose_port_is_taken_is_down_until_it_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "RETRY_AFTER", 0.05)
    ports = free_ports(1)
    server = UdpServer()
    servers = Servers([ServerName("one", "127.0.0.1", server.port, 5684)])
    await servers.resolve()
    north = UdpNorth(PortsScheme({socket.AF_INET: "127.0.0.1"}, ports), servers)
    noted = Noted()
    await north.start(noted)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.bind(("127.0.0.1", ports.start))
        north.open(ports.start, ["one"])
        link = north.link(ports.start, "one")
        assert link.state is LinkState.FAILING
        assert "EADDRINUSE" in link.reason
        assert "end that" in link.reason
        assert link.retry_in is not None
        assert north.send(ports.start, "one", b"x") is Sending.DROPPED
        await until(lambda: north.link(ports.start, "one").retry_in is not None)
    await until(lambda: north.link(ports.start, "one").state is LinkState.OPEN)
    assert [(source, server, link.state) for source, server, link in noted.links] == [
        (ports.start, None, LinkState.FAILING),
        (ports.start, None, LinkState.OPEN),
    ]
    await north.stop()
    server.socket.close()


async def test_records_of_a_device_s_own_dtls_go_to_the_server_s_dtls_port() -> None:
    plain, secure = UdpServer(), UdpServer()
    servers = Servers([ServerName("one", "127.0.0.1", plain.port, secure.port)])
    await servers.resolve()
    noted = Noted()
    north = UdpNorth(PrefixScheme(pools([LOOPBACK_PREFIX]), free_ports(1).start), servers)
    await north.start(noted)
    assert north.send(0, "one", b"\x16\xfe\xfd", opaque=True) is Sending.LEFT
    who, message = await secure.receive()
    assert message == b"\x16\xfe\xfd"
    await secure.send(who, b"\x16\xfe\xfd\x00")
    await until(lambda: noted.messages)
    assert noted.messages == [(0, ("one",), b"\x16\xfe\xfd\x00")]
    await north.stop()
    plain.socket.close()
    secure.socket.close()


async def test_of_servers_at_one_address_all_are_named(names: dict[str, list[str]]) -> None:
    """Whose message it is, the endpoint's own servers decide."""
    names["a.example"] = names["b.example"] = ["192.0.2.1"]
    names["c.example"] = ["192.0.2.2"]
    servers = Servers(
        [
            ServerName("a", "a.example", 5683, 5684),
            ServerName("b", "b.example", 5683, 5684),
            ServerName("c", "c.example", 5684, 5685),
        ]
    )
    await servers.resolve()
    assert servers.at(("192.0.2.1", 5683)) == ("a", "b")
    assert servers.at(("192.0.2.1", 5684)) == ("a", "b")
    assert servers.at(("192.0.2.2", 5684)) == ("c",)
    names["c.example"] = ["192.0.2.1"]
    await servers.resolve()
    assert servers.at(("192.0.2.1", 5684)) == ("c", "a", "b")  # who takes CoAP there, then who takes DTLS there
    assert servers.at(("192.0.2.2", 5684)) == ("c",)  # an answer may be under way
    assert servers.at(("192.0.2.9", 5683)) == ()
