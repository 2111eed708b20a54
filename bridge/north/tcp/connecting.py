"""TCP connections as links want them: from an endpoint's own address, without delay, and noticed when they are dead."""

import asyncio
import socket

from bridge.north.udp.addresses import SocketAddress

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 120, 30, 4  # seconds, seconds, probes (tcp(7))
_BIND_ADDRESS_NO_PORT = 24  # IP_BIND_ADDRESS_NO_PORT (ip(7)): the port is chosen when it is known whom it is toward


async def connected(place: SocketAddress, local: str | None, protocol: asyncio.Protocol) -> object:
    """Connect a protocol to a place, from the address `local`; None: from any. Raises OSError."""
    family = family_of(place)
    loop = asyncio.get_running_loop()
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
        await loop.sock_connect(sock, place)
        return await loop.create_connection(lambda: protocol, sock=sock)
    except BaseException:
        sock.close()
        raise


def family_of(place: SocketAddress) -> int:
    """Return the address family of a place."""
    return socket.AF_INET if len(place) == 2 else socket.AF_INET6  # noqa: PLR2004  (an IPv4 socket address)
