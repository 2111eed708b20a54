"""Both address schemes of the north side, seen by a real Leshan: a source number is an endpoint's identity forever."""

import asyncio
import itertools
import socket

import pytest

from bridge.north.contract import Sending
from bridge.north.udp.addresses import AddressScheme, SocketAddress
from bridge.north.udp.scheme import Scheme, build
from mock_network.lab import free_ports
from tests.components import LESHAN
from tests.conftest import need_component
from tests.interop.leshan_server import Leshan, LeshanProcess, start_leshan
from tests.interop.raw_device import (
    CON,
    CONTENT_FORMAT,
    OBJECT_LINKS,
    POST,
    Message,
    decode,
    encode,
    uri,
)

TEMPERATURE = bytes.fromhex(
    "81a2006c2f333330332f302f3537303002f94d00"
)  # [{"n": "/3303/0/5700", "v": 20.0}], RFC 8428 §6


class North:
    """A north transport and, for each source, what arrived for it."""

    def __init__(self, transport: AddressScheme, server: SocketAddress) -> None:
        self._transport = transport
        self._server = server
        self._arrived: dict[int, asyncio.Queue[Message]] = {}

    def open(self, *sources: int) -> None:
        self._transport.listen(lambda source, _remote, data: self._arrived[source].put_nowait(decode(data)))
        for source in sources:
            self._arrived[source] = asyncio.Queue()
            self._transport.open(source)

    async def exchange(self, source: int, message: Message) -> Message:
        assert self._transport.send(source, self._server, encode(message)) is Sending.LEFT
        return await asyncio.wait_for(self._arrived[source].get(), 5)


def register(endpoint: str, mid: int) -> Message:
    options = (*uri("/rd", f"ep={endpoint}&lt=300&lwm2m=1.1&b=U"), (CONTENT_FORMAT, b"\x28"))
    return Message(CON, POST, mid, b"\x01", options, OBJECT_LINKS.encode())


def send(mid: int) -> Message:
    return Message(CON, POST, mid, b"\x02", (*uri("/dp"), (CONTENT_FORMAT, b"\x70")), TEMPERATURE)


async def proves_identity(leshan: Leshan, scheme: Scheme, prefixes: tuple[str, ...], name: str) -> list[dict]:
    """Two endpoints register, the transport is closed and created again, both send; return their registrations."""
    server = (await asyncio.get_running_loop().getaddrinfo(leshan.host, leshan.coap_port, type=socket.SOCK_DGRAM))[0][4]
    ports = free_ports(8)
    mids = itertools.count(1)
    endpoints = [f"{name}-1", f"{name}-2"]
    before = []
    sources: list[int] = []
    for life in (1, 2):
        transport = build(scheme, [server], prefixes=prefixes, port=ports[0], ports=ports)
        try:
            sources = sources or [transport.sources[1], transport.sources[2]]
            north = North(transport, server)
            north.open(*sources)
            for source, endpoint in zip(sources, endpoints, strict=True):
                if life == 1:
                    assert (await north.exchange(source, register(endpoint, next(mids)))).dotted() == "2.01"
                    registration = await leshan.registration(endpoint)
                    assert registration is not None
                    before.append(registration)
                assert (await north.exchange(source, send(next(mids)))).dotted() == "2.04"
                assert (await leshan.event("send"))["endpoint"] == endpoint
        finally:
            transport.close()
    assert [await leshan.registration(endpoint) for endpoint in endpoints] == before
    return before


async def test_prefix_gives_each_endpoint_an_address_that_survives_a_restart(leshan: Leshan):
    first, second = await proves_identity(leshan, Scheme.PREFIX, ("127.64.16.0/24",), "prefix")
    assert first["port"] == second["port"]
    assert [one["address"] for one in (first, second)] == ["127.64.16.2", "127.64.16.3"]


async def test_ports_give_each_endpoint_a_port_that_survives_a_restart(leshan: Leshan):
    first, second = await proves_identity(leshan, Scheme.PORTS, (), "ports")
    assert first["address"] == second["address"] == "127.0.0.1"
    assert first["port"] != second["port"]


@pytest.fixture
def ipv6_process() -> LeshanProcess:
    need_component(LESHAN)
    return start_leshan(coap_address="::1")


async def test_ports_over_ipv6_survive_a_restart_too(ipv6_process: LeshanProcess):
    try:
        async with Leshan(ipv6_process) as leshan:
            first, second = await proves_identity(leshan, Scheme.PORTS, (), "ipv6")
            assert first["address"] == second["address"] == "0:0:0:0:0:0:0:1"
            assert first["port"] != second["port"]
    finally:
        ipv6_process.stop()
