import contextlib
import socket

import pytest

from bridge.errors import ConfigurationError, NorthUnavailable
from bridge.north.contract import Sending
from bridge.north.udp.ports import PortsScheme
from bridge.north.udp.system import ephemeral_ports
from tests.waiting import until


@contextlib.contextmanager
def north(ports, receiver=lambda *_: None, address="127.0.0.1"):
    transport = PortsScheme({socket.AF_INET: address}, ports)
    transport.listen(receiver)
    try:
        yield transport
    finally:
        transport.close()


async def test_each_endpoint_has_its_own_port(server, fixed_port):
    got = []
    with north(range(fixed_port, fixed_port + 1), lambda *event: got.append(event)) as transport:
        transport.open(fixed_port)
        transport.open(fixed_port)  # again: no harm
        transport.send(fixed_port, server.getsockname(), b"hello")
        data, peer = server.recvfrom(10)
        assert (data, peer) == (b"hello", ("127.0.0.1", fixed_port))
        assert transport.local(fixed_port, socket.AF_INET) == peer
        server.sendto(b"answer", peer)
        await until(lambda: got)
        assert got == [(fixed_port, server.getsockname(), b"answer")]


async def test_a_taken_port_takes_its_endpoint_down_and_no_other_port_is_used(server, fixed_port):
    with (
        north(range(fixed_port, fixed_port + 2)) as transport,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.bind(("127.0.0.1", fixed_port))
        with pytest.raises(NorthUnavailable, match=f"UDP port {fixed_port} .*EADDRINUSE"):
            transport.open(fixed_port)
        assert not transport.is_open(fixed_port)
        with pytest.raises(NorthUnavailable, match="not open"):
            transport.send(fixed_port, server.getsockname(), b"x")
        other.close()
        transport.open(fixed_port)  # once it is free again
        assert transport.is_open(fixed_port)
        assert transport.send(fixed_port, server.getsockname(), b"x") is Sending.LEFT


async def test_a_released_port_is_free(server, fixed_port):
    with north(range(fixed_port, fixed_port + 1)) as transport:
        transport.open(fixed_port)
        transport.release(fixed_port)
        transport.release(fixed_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", fixed_port))
        with pytest.raises(NorthUnavailable):
            transport.send(fixed_port, server.getsockname(), b"x")


def test_ports_that_the_system_hands_out_are_refused():
    taken = ephemeral_ports()
    with pytest.raises(ConfigurationError, match="ip_local_port_range"):
        PortsScheme({socket.AF_INET: "127.0.0.1"}, range(taken.start - 5, taken.start + 1))
    with pytest.raises(ConfigurationError, match="not a range within"):
        PortsScheme({socket.AF_INET: "127.0.0.1"}, range(65000, 70000))


async def test_a_port_outside_the_range_or_a_foreign_address_is_refused(fixed_port):
    with north(range(fixed_port, fixed_port + 1)) as transport, pytest.raises(NorthUnavailable, match="outside"):
        transport.open(fixed_port + 1)
    with (
        north(range(fixed_port, fixed_port + 1), address="192.0.2.1") as transport,
        pytest.raises(NorthUnavailable, match="source_address"),
    ):
        transport.open(fixed_port)


async def test_an_endpoint_is_open_toward_all_families_or_none(fixed_port):
    transport = PortsScheme({socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}, range(fixed_port, fixed_port + 1))
    transport.listen(lambda *_: None)
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
            other.bind(("::1", fixed_port))
            with pytest.raises(NorthUnavailable):
                transport.open(fixed_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", fixed_port))  # free: nothing of the failed endpoint was left open
    finally:
        transport.close()
