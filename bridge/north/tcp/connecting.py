"""TCP connections for links: from an endpoint's own address, without delay, with keep-alive."""

import asyncio
import errno
import socket

from bridge.errors import NorthUnavailable
from bridge.north.udp.addresses import SocketAddress
from bridge.north.udp.system import reason

_LOCAL = frozenset(
    {errno.EACCES, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM,
     errno.EPERM}
)  # fmt: skip
"""Errors of `connect` that this machine causes; the others concern the server (connect(2))."""

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 120, 30, 4  # seconds, seconds, probes (tcp(7))
_BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT (ip(7)): the port is chosen at `connect`


async def connected(place: SocketAddress, local: str | None, protocol: asyncio.Protocol) -> object:
    """Connect a protocol to an address, from the address `local`; None: from any.

    Raises NorthUnavailable for a fault on this side, OSError for one of the server or the network.
    """
    loop = asyncio.get_running_loop()
    try:
        sock = _bound(family_of(place), local)
    except OSError as error:
        raise _unavailable(local, error) from error
    try:
        await loop.sock_connect(sock, place)
        return await loop.create_connection(lambda: protocol, sock=sock)
    except OSError as error:
        sock.close()
        if error.errno in _LOCAL:
            raise _unavailable(local, error) from error
        raise
    except BaseException:
        sock.close()
        raise


def _unavailable(local: str | None, error: OSError) -> NorthUnavailable:
    return NorthUnavailable(f"no connection can be made from {local or 'this machine'}: {reason(error)}")


def _bound(family: int, local: str | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)
        if local is not None:
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
            sock.bind((local, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def family_of(place: SocketAddress) -> int:
    """Return the address family of an address."""
    return socket.AF_INET if len(place) == 2 else socket.AF_INET6  # noqa: PLR2004  (an IPv4 socket address)
