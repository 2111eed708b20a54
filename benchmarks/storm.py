"""A restart with many DTLS sessions: how long until all are open again, what that costs the bridge, and the server.

The server is a process of its own on OpenSSL, and tells how many handshakes it had under way at most.
"""

import asyncio
import copy
import os
import socket
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.sessions import KEY, resident
from bridge.north.contract import Link, LinkState
from bridge.north.dtls.transport import DtlsNorth, DtlsServer
from bridge.north.sessions.transport import LinkSettings
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.servers import ServerName, Servers
from bridge.north.udp.transport import UdpNorth
from bridge.tls.credentials import Credentials
from bridge.tls.openssl import OpenSsl
from bridge.tls.settings import PSK_SUITES, SessionSettings
from mock_network.lab import free_port
from tests.tls.peers import OpenSslPeer, Wants

_PATIENCE = 300.0  # seconds
_MAX_DATAGRAM = 2048
_BUFFER = 4 << 20  # bytes of the server's socket


def _serve(ours: Connection) -> None:
    """Take handshakes until told to stop; then tell how many were open, and how many under way at most."""
    first = OpenSslPeer(Wants({KEY.identity: KEY.key}))
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    listening.bind(("127.0.0.1", 0))
    listening.settimeout(0.1)
    ours.send(listening.getsockname()[1])
    peers: dict[Any, OpenSslPeer] = {}
    under_way = most = 0
    while not ours.poll():
        try:
            data, who = listening.recvfrom(_MAX_DATAGRAM)
        except TimeoutError:
            continue
        peer = peers.get(who)
        if peer is None:
            peer = peers[who] = copy.copy(first)
            peer.again()
            under_way += 1
            most = max(most, under_way)
        before = peer.opened
        peer.receive(data)
        under_way -= peer.opened and not before
        for datagram in peer.outgoing():
            listening.sendto(datagram, who)
    ours.send((sum(peer.opened for peer in peers.values()), most))


class _Opened:
    """`bridge.north.contract.Receiver` that counts."""

    def __init__(self, wanted: int) -> None:
        self.left = wanted
        self.all = asyncio.Event()

    def message(self, source: int, servers: tuple[str, ...], message: bytes) -> None:
        """Nothing is expected."""

    def link_changed(self, source: int, server: str | None, link: Link) -> None:  # noqa: ARG002
        """Count what opened."""
        if link.state is LinkState.OPEN:
            self.left -= 1
            if not self.left:
                self.all.set()


class _Datagrams:
    """Hands datagrams to their sessions."""

    def __init__(self) -> None:
        self.dtls: DtlsNorth | None = None

    def message(self, source: int, servers: tuple[str, ...], message: bytes) -> None:
        """Take one."""
        if self.dtls is not None:
            self.dtls.datagram(source, servers, message)

    def link_changed(self, source: int, server: str | None, link: Link) -> None:
        """Addresses are there from the start."""


def _identify(_source: int, _server: str) -> "asyncio.Future[Credentials]":
    found: asyncio.Future[Credentials] = asyncio.get_running_loop().create_future()
    found.set_result(KEY)
    return found


async def _reopen(port: int, sessions: int) -> dict[str, float]:
    servers = Servers([ServerName("srv", "127.0.0.1", port, port)])
    await servers.resolve()
    udp = UdpNorth(PrefixScheme(pools([LOOPBACK_PREFIX]), free_port()), servers)
    datagrams, opened = _Datagrams(), _Opened(sessions)
    dtls = datagrams.dtls = DtlsNorth(
        udp, {"srv": DtlsServer(OpenSsl(), SessionSettings(PSK_SUITES), LinkSettings())}, _identify
    )
    await udp.start(datagrams)
    await dtls.start(opened)
    memory, processor, begin = resident(), time.process_time(), time.perf_counter()
    for source in range(1, sessions + 1):
        dtls.open(source, ("srv",))
    async with asyncio.timeout(_PATIENCE):
        await opened.all.wait()
    found = {
        "sessions": float(sessions),
        "seconds": time.perf_counter() - begin,
        "processor_seconds": time.process_time() - processor,
        "kib_each": (resident() - memory) / sessions / 1024,
        "failed": float(dtls.counters().open_failed),
    }
    await dtls.stop()
    await udp.stop()
    return found


def show_storm(sessions: int) -> dict[str, float]:
    """Print what it took, and return the figures."""
    ours, theirs = get_context("fork").Pipe()
    child = get_context("fork").Process(target=_serve, args=(theirs,))
    child.start()
    found = asyncio.run(_reopen(ours.recv(), sessions))
    ours.send("stop")
    opened, most = ours.recv()
    child.join()
    found["at_the_server"], found["under_way_at_most"] = float(opened), float(most)
    for name, value in found.items():
        print(f"{name:20} {value:10.1f}")
    print(f"on {os.cpu_count()} cores, the server has one of its own")
    return found
