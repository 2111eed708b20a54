"""Scheme `ports`: every endpoint has its own source port and a socket of its own, on one source address."""

import asyncio
import errno
import socket
from collections.abc import Mapping
from dataclasses import replace

from bridge.errors import ConfigurationError, NorthUnavailable
from bridge.north.contract import Counters, Sending
from bridge.north.udp.addresses import DatagramReceiver, SocketAddress
from bridge.north.udp.datagrams import Ancillary, DatagramSocket
from bridge.north.udp.system import ephemeral_ports, reason, receive_overflow

_CURES = {
    errno.EADDRINUSE: "another program uses it: end that program, or choose another port for the endpoint",
    errno.EADDRNOTAVAIL: "this host does not have that address: correct [north] source_address",
    errno.EMFILE: "too many open files: raise LimitNOFILE, or use the scheme prefix",
    errno.ENFILE: "too many open files: raise fs.file-max, or use the scheme prefix",
    errno.EACCES: "the port is privileged: use a port range from 1024 on",
}


class PortsScheme:
    """Sources are port numbers. If a port cannot be used, its endpoint is down; no other port is ever used for it."""

    scheme = "ports"
    opens_each = True
    division = None  # all ports are on one address, which only one node can have

    def __init__(self, addresses: Mapping[int, str], ports: range) -> None:
        """`addresses` gives the source address for each family. Raises ConfigurationError for an unsafe range."""
        taken = ephemeral_ports()
        if ports.start < 1 or ports.stop > 65536 or not ports:  # noqa: PLR2004  (UDP ports are 16 bit)
            raise ConfigurationError(f"ports {ports.start}-{ports.stop - 1} are not a range within 1-65535")
        if ports.start < taken.stop and taken.start < ports.stop:
            raise ConfigurationError(
                f"ports {ports.start}-{ports.stop - 1} overlap {taken.start}-{taken.stop - 1} "
                "(net.ipv4.ip_local_port_range), from which the system assigns ports to programs; use ports outside it"
            )
        self.sources = ports
        self.families = frozenset(addresses)
        self._addresses = dict(addresses)
        self._counters = Counters()
        self._receiver: DatagramReceiver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sockets: dict[int, dict[int, DatagramSocket]] = {family: {} for family in addresses}

    def listen(self, receiver: DatagramReceiver) -> None:
        """Set the receiver; sockets are opened by `open`."""
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()

    def open(self, source: int) -> None:
        """Bind the endpoint's port, on each family. Raises NorthUnavailable; then nothing stays open."""
        if source not in self.sources:
            raise NorthUnavailable(
                f"port {source} is outside {self.sources.start}-{self.sources.stop - 1}; "
                "restore the port range that was configured before"
            )
        if self._loop is None:
            raise NorthUnavailable("not listening")
        for family, address in self._addresses.items():
            if source in self._sockets[family]:
                continue
            try:
                sock = self._bind(family, address, source)
            except OSError as error:
                self.release(source)
                cure = _CURES.get(error.errno or 0, "the endpoint is down until it can")
                raise NorthUnavailable(
                    f"UDP port {source} of {address} cannot be used: {reason(error)}; {cure}"
                ) from None
            self._sockets[family][source] = DatagramSocket(sock, self._loop, self._counters, self._to(source))

    def is_open(self, source: int) -> bool:
        """Return whether the endpoint's port is open."""
        return all(source in sockets for sockets in self._sockets.values())

    def is_free(self, source: int, destination: SocketAddress) -> bool:
        """Return whether the endpoint's socket toward a destination is there, and no datagram waits for it."""
        out = self._sockets.get(_family(destination), {}).get(source)
        return out is not None and out.is_free

    def release(self, source: int) -> None:
        """Close the endpoint's sockets."""
        for sockets in self._sockets.values():
            opened = sockets.pop(source, None)
            if opened is not None:
                self._counters.receive_overflow += receive_overflow(opened.socket)
                opened.close()

    def local(self, source: int, family: int) -> tuple[str, int]:
        """Return (host, port); the host is a wildcard where the system chooses it by route. Raises NorthUnavailable."""
        address = self._addresses.get(family)
        if address is None or source not in self.sources:
            raise NorthUnavailable(f"port {source} is not of this family or range")
        return address, source

    def send(self, source: int, destination: SocketAddress, data: bytes) -> Sending:
        """Send from the endpoint's own port. Raises NorthUnavailable when that is not open."""
        out = self._sockets.get(_family(destination), {}).get(source)
        if out is None:
            raise NorthUnavailable(f"port {source} is not open toward {destination[0]}")
        return out.send(data, [], destination)

    def counters(self) -> Counters:
        """Return the counters as they are now; reads every socket, so not for the data path."""
        opened = [s for sockets in self._sockets.values() for s in sockets.values()]
        overflow = self._counters.receive_overflow + sum(receive_overflow(s.socket) for s in opened)
        return replace(self._counters, receive_overflow=overflow)

    def close(self) -> None:
        """Close all sockets."""
        for source in {source for sockets in self._sockets.values() for source in sockets}:
            self.release(source)
        self._loop = None

    def _to(self, source: int) -> "_Hand":
        return _Hand(self, source)

    def received(self, source: int, remote: SocketAddress, data: bytes) -> None:
        """Pass on a datagram; called by the sockets."""
        if self._receiver is not None:
            self._receiver(source, remote, data)

    @staticmethod
    def _bind(family: int, address: str, port: int) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address, port))  # no SO_REUSEADDR: with it, UDP sockets share a port silently
        except OSError:
            sock.close()
            raise
        return sock


def _family(destination: SocketAddress) -> int:
    return socket.AF_INET if len(destination) == 2 else socket.AF_INET6  # noqa: PLR2004  (IPv4 socket address)


class _Hand:
    """A callable that is smaller than a closure; there is one per endpoint."""

    __slots__ = ("_scheme", "_source")

    def __init__(self, scheme: PortsScheme, source: int) -> None:
        self._scheme = scheme
        self._source = source

    def __call__(self, _ancillary: Ancillary, remote: SocketAddress, data: bytes) -> None:
        self._scheme.received(self._source, remote, data)
