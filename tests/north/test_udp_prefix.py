import asyncio
import contextlib
import logging
import socket
import subprocess

import pytest

from bridge.errors import NorthUnavailable
from bridge.north.contract import Sending
from bridge.north.udp import datagrams
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.system import is_local
from mock_network.lab import free_port
from tests.conftest import need_program
from tests.waiting import until

IP_RECVERR = 11  # linux/in.h: errors of earlier datagrams are reported on the next call


@contextlib.contextmanager
def north(receiver=lambda *_: None, prefixes=(LOOPBACK_PREFIX,), port=0):
    transport = PrefixScheme(pools(prefixes), port)
    transport.listen(receiver)
    try:
        yield transport
    finally:
        transport.close()


async def test_each_endpoint_has_its_own_address_on_one_socket(server):
    with north() as transport:
        for source in (0, 1, 70000):
            assert transport.send(source, server.getsockname(), b"from %d" % source) is Sending.LEFT
            data, peer = server.recvfrom(100)
            assert data == b"from %d" % source
            assert peer == transport.local(source, socket.AF_INET)
        assert transport.local(0, socket.AF_INET)[0] == "127.64.0.1"
        assert transport.local(1, socket.AF_INET)[0] == "127.64.0.2"
        assert transport.counters().sent == 3


async def test_a_datagram_reaches_the_endpoint_whose_address_it_names(server):
    got = []
    with north(lambda *event: got.append(event)) as transport:
        server.sendto(b"to seven", transport.local(7, socket.AF_INET))
        server.sendto(b"to last", transport.local(transport.sources[-1], socket.AF_INET))
        await until(lambda: len(got) == 2)
        assert got == [
            (7, server.getsockname(), b"to seven"),
            (transport.sources[-1], server.getsockname(), b"to last"),
        ]
        assert transport.counters().received == 2
        assert transport.counters().received_bytes == 15


async def test_a_restart_keeps_every_address(server, fixed_port):
    seen = []
    for _ in range(2):
        with north(port=fixed_port) as transport:
            transport.send(5, server.getsockname(), b"x")
            seen.append(server.recvfrom(10)[1])
    assert seen == [("127.64.0.6", fixed_port)] * 2


async def test_a_taken_port_is_refused_and_never_replaced(fixed_port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", fixed_port))
        transport = PrefixScheme(pools([LOOPBACK_PREFIX]), fixed_port)
        with pytest.raises(NorthUnavailable, match="EADDRINUSE"):
            transport.listen(lambda *_: None)


async def test_datagrams_to_addresses_of_no_endpoint_are_counted_and_dropped(server):
    got = []
    with north(lambda *event: got.append(event)) as transport:
        server.sendto(b"stranger", ("127.0.0.1", transport.port))
        server.sendto(b"base address", ("127.64.1.0", transport.port))
        server.sendto(b"endpoint", ("127.64.0.1", transport.port))
        await until(lambda: got)
        assert [data for _, _, data in got] == [b"endpoint"]
        assert transport.counters().foreign == 2


async def test_icmp_unreachable_does_not_stop_the_socket(server):
    got = []
    with north(lambda *event: got.append(event)) as transport:
        # Makes the kernel report what an unconnected socket would not be told: the worst case.
        transport._ipv4.socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        nobody = ("127.0.0.1", free_port())
        for _ in range(3):
            transport.send(0, nobody, b"x")
            await asyncio.sleep(0)
        counters = transport.counters()
        assert counters.receive_failed + counters.send_failed >= 1
        server.sendto(b"alive", transport.local(0, socket.AF_INET))
        await until(lambda: got)
        transport._ipv4.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert transport.send(0, server.getsockname(), b"alive") is Sending.LEFT
        assert server.recvfrom(10)[0] == b"alive"


async def test_a_datagram_that_cannot_leave_is_counted_and_logged(server, caplog):
    with north() as transport, caplog.at_level(logging.WARNING):
        assert (
            transport.send(0, server.getsockname(), bytes(65508)) is Sending.DROPPED
        )  # larger than a UDP payload can be
        assert transport.counters().send_failed == 1
        assert "not sent" in caplog.text
        assert transport.send(0, server.getsockname(), b"next") is Sending.LEFT
        assert server.recvfrom(10)[0] == b"next"


class Blocking:
    """A socket that would block for its next `times` sends."""

    def __init__(self, sock, times):
        self._sock, self.times = sock, times

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def sendmsg(self, *args):
        if self.times:
            self.times -= 1
            raise BlockingIOError(11, "would block")
        return self._sock.sendmsg(*args)


async def test_a_blocked_socket_queues_in_order_and_sends_on(server):
    with north() as transport:
        transport._ipv4._sock = Blocking(transport._ipv4.socket, 3)
        for i in range(5):
            assert transport.send(i, server.getsockname(), b"%d" % i) is Sending.WAITS
        assert transport.counters().sent == 0
        assert transport.counters().deferred == 5
        await until(lambda: transport.counters().sent == 5)
        assert [server.recvfrom(10) for _ in range(5)] == [
            (b"%d" % i, transport.local(i, socket.AF_INET)) for i in range(5)
        ]


async def test_the_queue_of_a_blocked_socket_is_bounded(server, monkeypatch):
    monkeypatch.setattr(datagrams, "QUEUE", 2)
    with north() as transport:
        blocked = transport._ipv4._sock = Blocking(transport._ipv4.socket, 10**9)
        results = [transport.send(0, server.getsockname(), b"%d" % i) for i in range(4)]
        assert results == [Sending.WAITS] * 2 + [Sending.DROPPED] * 2
        assert transport.counters().send_dropped == 2
        blocked.times = 0
        await until(lambda: transport.counters().sent == 2)


async def test_one_wake_up_reads_no_more_than_a_batch(server, monkeypatch):
    monkeypatch.setattr(datagrams, "BATCH", 4)
    got = []
    with north(lambda *event: got.append(event)) as transport:
        for _ in range(10):
            server.sendto(b"x", transport.local(0, socket.AF_INET))
        transport._ipv4._readable()
        assert len(got) == 4
        await until(lambda: len(got) == 10)


async def test_a_receiver_that_fails_does_not_stop_the_socket(server, caplog):
    got = []

    def receiver(_source, _remote, data):
        got.append(data)
        if data == b"bad":
            raise RuntimeError("receiver broke")

    with north(receiver) as transport:
        server.sendto(b"bad", transport.local(0, socket.AF_INET))
        server.sendto(b"good", transport.local(0, socket.AF_INET))
        await until(lambda: len(got) == 2)
        assert got == [b"bad", b"good"]
        assert transport.counters().receiver_failed == 1
        assert "receiver broke" in caplog.text


async def test_what_the_kernel_drops_is_counted(server):
    with north() as transport:
        transport._ipv4.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for _ in range(50):
            server.sendto(bytes(500), transport.local(0, socket.AF_INET))
        assert transport.counters().receive_overflow > 0
        await until(lambda: transport.counters().received)


async def test_a_prefix_that_is_not_routed_here_is_refused_with_the_cure():
    if is_local(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, "2001:db8:77::1")) is None:
        pytest.skip("the system does not tell what is local")
    transport = PrefixScheme(pools(["2001:db8:77::/64"]), 0)
    with pytest.raises(NorthUnavailable, match="ip -6 route add local 2001:db8:77::/64 dev lo"):
        transport.listen(lambda *_: None)
    with pytest.raises(NorthUnavailable, match=r"ip -4 route add local 192\.0\.2\.0/24 dev lo"):
        PrefixScheme(pools(["192.0.2.0/24"]), 0).listen(lambda *_: None)


async def test_a_prefix_that_a_command_makes_local_later_is_taken_as_it_is():
    transport = PrefixScheme(pools(["192.0.2.0/24"]), 0, are_moved=True)
    transport.listen(lambda *_: None)
    transport.close()


@pytest.fixture
def ipv6_prefix(need):
    prefix = "fd6c:776d:326d::/64"
    command = ["ip", "-6", "route", "{}", "local", prefix, "dev", "lo"]
    need_program("ip")
    added = subprocess.run([c.format("replace") for c in command], capture_output=True, check=False)
    need(added.returncode == 0, "a local IPv6 route needs root and IPv6")
    yield prefix
    subprocess.run([c.format("del") for c in command], capture_output=True, check=False)


async def test_ipv6_endpoints_have_their_own_address(ipv6_prefix):
    got = []
    with (
        north(lambda *event: got.append(event), [LOOPBACK_PREFIX, ipv6_prefix]) as transport,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server,
    ):
        server.bind(("::1", 0))
        server.settimeout(5.0)
        for source in (0, 300):
            assert transport.send(source, server.getsockname(), b"x") is Sending.LEFT
            _, peer = server.recvfrom(10)
            assert peer[:2] == transport.local(source, socket.AF_INET6)
            server.sendto(b"back", peer)
            await until(lambda: got)
            assert got.pop() == (source, server.getsockname(), b"back")
        assert transport.local(0, socket.AF_INET6) == ("fd6c:776d:326d::1", transport.port)
        assert transport.families == {socket.AF_INET, socket.AF_INET6}


async def test_a_family_without_prefix_is_refused():
    with north() as transport:
        with pytest.raises(NorthUnavailable, match="AF_INET6"):
            transport.local(0, socket.AF_INET6)
        with pytest.raises(NorthUnavailable, match="no prefix"):
            transport.send(0, ("::1", 5683, 0, 0), b"x")
        with pytest.raises(NorthUnavailable, match="outside"):
            transport.open(transport.sources.stop)
