"""Who announces which addresses on a network, and when: as any machine of it hears that. Linux only."""

import asyncio
import contextlib
import ctypes
import socket
import struct
import time
from collections import defaultdict

from tests.namespaces import Machines

_ETH_P_ARP = 0x0806
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_FIRST_OF_24 = struct.pack(
    "HBBIHBBIHBBIHBBI",
    *(0x30, 0, 0, 31),  # load the last byte of the sender's protocol address
    *(0x15, 0, 1, 0),  # is it 0?
    *(0x06, 0, 0, 0xFFFF),  # then pass the frame
    *(0x06, 0, 0, 0),  # else drop it
)
"""Classic BPF: of a /24 the announcement of its first address is enough, and the others are too many."""


class Announcements:
    """Hears the announcements of the first address of each /24, on one of the machines."""

    def __init__(self, machines: Machines, number: str) -> None:
        self._link = machines.socket(number, socket.SOCK_RAW, socket.AF_PACKET)
        program = ctypes.create_string_buffer(_FIRST_OF_24)
        filter_ = struct.pack("HL", 4, ctypes.addressof(program))
        self._link.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)
        self._link.setblocking(False)
        self._link.bind(("eth0", _ETH_P_ARP))
        self._heard: defaultdict[bytes, list[tuple[float, str]]] = defaultdict(list)
        asyncio.get_running_loop().add_reader(self._link, self._read)

    def first(self, address: str, since: float, but: str) -> float | None:
        """Return when another machine than that with the MAC address `but` first announced an address after `since`.

        Times are of `time.monotonic`.
        """
        heard = self._heard[socket.inet_aton(address)]
        return next((at for at, mac in heard if at > since and mac != but), None)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._link)
        self._link.close()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):
                frame = self._link.recv(64)
                self._heard[frame[28:32]].append((time.monotonic(), frame[22:28].hex(":")))
