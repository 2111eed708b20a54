"""Facts about sockets and routes that Linux has and Python's modules do not.

Numbers and layouts: linux/in.h, linux/in6.h, asm-generic/socket.h, linux/sock_diag.h, linux/rtnetlink.h.
"""

import contextlib
import errno
import os
import socket
import struct
from pathlib import Path

IP_PKTINFO = 8  # in.h
IP_FREEBIND = 15  # in.h
IPV6_FREEBIND = 78  # in6.h
SO_MEMINFO = 55  # asm-generic/socket.h
_MEMINFO_DROPS = 8  # sock_diag.h: SK_MEMINFO_DROPS
_MEMINFO_WORDS = 9  # sock_diag.h: SK_MEMINFO_VARS

_RTM_NEWROUTE = 24
_RTM_GETROUTE = 26
_NLM_F_REQUEST = 1
_RTA_DST = 1
_RTN_LOCAL = 2
_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_ROUTE_TYPE = _HEADER.size + 7  # offset of rtm_type in an answer


def is_local(family: int, packed: bytes) -> bool | None:
    """Return whether datagrams to this address are delivered on this host; None if the system does not say."""
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _RTA_DST) + packed
    route = _ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0)
    size = _HEADER.size + len(route) + len(attribute)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
            netlink.settimeout(1.0)
            netlink.send(_HEADER.pack(size, _RTM_GETROUTE, _NLM_F_REQUEST, 1, 0) + route + attribute)
            answer = netlink.recv(8192)
    except OSError:
        return None
    if len(answer) < _HEADER.size + 4:
        return None
    kind = _HEADER.unpack_from(answer)[1]
    if kind == _RTM_NEWROUTE:
        return answer[_ROUTE_TYPE] == _RTN_LOCAL
    code = -struct.unpack_from("=i", answer, _HEADER.size)[0]  # NLMSG_ERROR
    return False if code in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ESRCH} else None


def receive_overflow(sock: socket.socket) -> int:
    """Return how many datagrams the kernel dropped because this socket's receive buffer was full."""
    with contextlib.suppress(OSError):  # before Linux 4.12 there is no such number
        words = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * _MEMINFO_WORDS)
        if len(words) == 4 * _MEMINFO_WORDS:
            return int(struct.unpack("=9I", words)[_MEMINFO_DROPS])
    return 0


def ephemeral_ports() -> range:
    """Return the ports that the system assigns automatically (ip_local_port_range; IPv6 uses the same)."""
    try:
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split())
    except (OSError, ValueError):
        low, high = 32768, 60999  # the default of Linux
    return range(low, high + 1)


def reason(error: OSError) -> str:
    """Name a system error for people: `EADDRINUSE (Address already in use)`."""
    name = errno.errorcode.get(error.errno or 0, "error")
    return f"{name} ({os.strerror(error.errno)})" if error.errno else str(error)
