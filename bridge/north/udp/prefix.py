"""Scheme `prefix`: every endpoint has its own address, one socket per address family serves them all."""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial

from bridge.errors import NorthUnavailable
from bridge.north.contract import Counters, Sending
from bridge.north.udp.addresses import DatagramReceiver, SocketAddress
from bridge.north.udp.datagrams import Ancillary, DatagramSocket
from bridge.north.udp.prefixes import Pool, Prefix, division
from bridge.north.udp.system import (
    IP_FREEBIND,
    IP_PKTINFO,
    IPV6_FREEBIND,
    ephemeral_ports,
    is_local,
    reason,
    receive_overflow,
)

_log = logging.getLogger("bridge.north")

RECEIVE_BUFFER = 4 * 1024 * 1024
"""Requested bytes; the system may grant less (net.core.rmem_max). One socket buffers the bursts of all endpoints."""

ADDRESSES = 8192
"""Endpoints whose own address is kept in the form in which the system takes and gives it: about 3 MB at most."""

_IPV4_PKTINFO = struct.Struct("=i4s4s")  # ifindex, spec_dst, addr (ip(7))
_IPV6_PKTINFO = struct.Struct("=16sI")  # address, ifindex (RFC 3542 §6.1)
_NO_ADDRESS = bytes(4)
_IPV4_ADDRESS = slice(8, 12)
_IPV6_ADDRESS = slice(0, 16)


class PrefixScheme:
    """Needs nothing per endpoint: no descriptor, no memory that stays. Sources are numbers of addresses in prefixes."""

    scheme = "prefix"
    opens_each = False

    def __init__(
        self, pools: Mapping[int, Pool], port: int, receive_buffer: int = RECEIVE_BUFFER, *, are_moved: bool = False
    ) -> None:
        """`port` is the one source port of all endpoints; it must stay the same (0, for trials: any free one).

        `are_moved`: a command makes the addresses local, part by part, after `listen`, which checks none then.
        """
        self._are_moved = are_moved
        self._pools = dict(pools)
        self.port = port
        self._receive_buffer = receive_buffer
        self._counters = Counters()
        self._receiver: DatagramReceiver | None = None
        self._ipv4: DatagramSocket | None = None
        self._ipv6: DatagramSocket | None = None
        self.sources = range(min(pool.capacity for pool in self._pools.values()))
        self.division = division(self._pools)
        self.families = frozenset(self._pools)
        self._ipv4_sender: Callable[[int], Ancillary] = lru_cache(ADDRESSES)(self._ipv4_ancillary)
        self._ipv6_sender: Callable[[int], Ancillary] = lru_cache(ADDRESSES)(self._ipv6_ancillary)
        self._ipv4_source: Callable[[bytes], int | None] = lru_cache(ADDRESSES)(partial(self._number, socket.AF_INET))
        self._ipv6_source: Callable[[bytes], int | None] = lru_cache(ADDRESSES)(partial(self._number, socket.AF_INET6))

    def listen(self, receiver: DatagramReceiver) -> None:
        """Begin to receive. Raises NorthUnavailable when an address is not local or the port is taken."""
        for pool in () if self._are_moved else self._pools.values():
            for prefix in pool.prefixes:
                _check_local(prefix)
        if self.port in ephemeral_ports():
            _log.warning(
                "another program may have the source port at the next start: it lies in net.ipv4.ip_local_port_range; "
                "use another one or add it to net.ipv4.ip_local_reserved_ports",
                extra={"port": self.port},
            )
        self._receiver = receiver
        loop = asyncio.get_running_loop()
        try:
            for family in sorted(self._pools):  # IPv4 first: it determines the port if any is allowed
                self._open(family, loop)
        except BaseException:
            self.close()
            raise

    def open(self, source: int) -> None:
        """Check that the number has an address. Raises NorthUnavailable."""
        for pool in self._pools.values():
            pool.packed(source)

    def is_open(self, source: int) -> bool:
        """Return whether the number has an address, and the sockets are open."""
        listens = self._ipv4 is not None or self._ipv6 is not None
        return listens and source in self.sources

    def is_free(self, source: int, destination: SocketAddress) -> bool:  # noqa: ARG002  # one socket for all
        """Return whether the socket toward a destination is there, and no datagram waits for it."""
        out = self._ipv4 if len(destination) == 2 else self._ipv6  # noqa: PLR2004  (an IPv4 socket address)
        return out is not None and out.is_free

    def release(self, source: int) -> None:
        """Do nothing: a source has no resources."""

    def local(self, source: int, family: int) -> tuple[str, int]:
        """Return (host, port) of an endpoint toward servers of this family. Raises NorthUnavailable."""
        pool = self._pools.get(family)
        if pool is None:
            raise NorthUnavailable(f"no prefix for {socket.AddressFamily(family).name}; add one to [north] prefixes")
        return socket.inet_ntop(family, pool.packed(source)), self.port

    def send(self, source: int, destination: SocketAddress, data: bytes) -> Sending:
        """Send from the endpoint's own address. Raises NorthUnavailable for a number or family without addresses."""
        if len(destination) == 2:  # noqa: PLR2004  (an IPv4 socket address)
            out = self._ipv4
            if out is not None:
                return out.send(data, self._ipv4_sender(source), destination)
        else:
            out = self._ipv6
            if out is not None:
                return out.send(data, self._ipv6_sender(source), destination)
        raise NorthUnavailable(f"no socket toward {destination[0]}: not listening, or no prefix of its family")

    def _ipv4_ancillary(self, source: int) -> Ancillary:
        """Return the ancillary data that sends a datagram from a source's address. Raises NorthUnavailable."""
        info = _IPV4_PKTINFO.pack(0, self._pools[socket.AF_INET].packed(source), _NO_ADDRESS)
        return [(socket.IPPROTO_IP, IP_PKTINFO, info)]

    def _ipv6_ancillary(self, source: int) -> Ancillary:
        info = _IPV6_PKTINFO.pack(self._pools[socket.AF_INET6].packed(source), 0)
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)]

    def counters(self) -> Counters:
        """Return the current counters."""
        opened = [s for s in (self._ipv4, self._ipv6) if s is not None]
        return replace(self._counters, receive_overflow=sum(receive_overflow(s.socket) for s in opened))

    def close(self) -> None:
        """Close the sockets."""
        for opened in (self._ipv4, self._ipv6):
            if opened is not None:
                opened.close()
        self._ipv4 = self._ipv6 = None

    def _open(self, family: int, loop: asyncio.AbstractEventLoop) -> None:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            # The wildcard address receives for all local ones; no SO_REUSEADDR: with it, UDP sockets share a port.
            if family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
                sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
                sock.bind(("0.0.0.0", self.port))  # noqa: S104  (datagrams to other addresses are dropped below)
                self.port = sock.getsockname()[1]
                self._ipv4 = DatagramSocket(
                    sock, loop, self._counters, self._from_ipv4, socket.CMSG_SPACE(_IPV4_PKTINFO.size)
                )
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
                sock.bind(("::", self.port))
                self.port = sock.getsockname()[1]
                self._ipv6 = DatagramSocket(
                    sock, loop, self._counters, self._from_ipv6, socket.CMSG_SPACE(_IPV6_PKTINFO.size)
                )
        except OSError as error:
            sock.close()
            cure = "; end the program that uses it, or set [north] port" if error.errno == errno.EADDRINUSE else ""
            raise NorthUnavailable(f"UDP port {self.port} cannot be used: {reason(error)}{cure}") from None
        granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux doubles the requested size
        if granted < self._receive_buffer:
            _log.info("receive buffer limited by net.core.rmem_max", extra={"bytes": granted})

    def _from_ipv4(self, ancillary: Ancillary, remote: SocketAddress, data: bytes) -> None:
        self._hand_over(self._ipv4_source(ancillary[0][2][_IPV4_ADDRESS]) if ancillary else None, remote, data)

    def _from_ipv6(self, ancillary: Ancillary, remote: SocketAddress, data: bytes) -> None:
        self._hand_over(self._ipv6_source(ancillary[0][2][_IPV6_ADDRESS]) if ancillary else None, remote, data)

    def _number(self, family: int, local: bytes) -> int | None:
        """Return the number of a local address; None if it cannot belong to an endpoint."""
        return self._pools[family].number(local)

    def _hand_over(self, source: int | None, remote: SocketAddress, data: bytes) -> None:
        if source is None:
            self._counters.foreign += 1
        elif self._receiver is not None:
            self._receiver(source, remote, data)


def _check_local(prefix: Prefix) -> None:
    """Refuse a prefix whose answers would not reach this host. Raises NorthUnavailable."""
    for number in (0, prefix.capacity // 2, prefix.capacity - 1):
        address = prefix.packed(number)
        if is_local(prefix.family, address) is False:
            family = "-4" if prefix.family == socket.AF_INET else "-6"
            raise NorthUnavailable(
                f"{socket.inet_ntop(prefix.family, address)} is not local to this host, so that nothing sent to it "
                f"would arrive; run: ip {family} route add local {prefix} dev lo"
            )
