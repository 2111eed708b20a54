"""Writes messages as pcapng, with generated IP and UDP headers, so that Wireshark dissects them as CoAP.

Sections and blocks: IETF draft-ietf-opsawg-pcapng; LINKTYPE_RAW: the packet begins with the IP header. The addresses
are of the documentation networks of RFC 5737. Each hop is an interface of its own.
"""

import ipaddress
import struct
from enum import IntEnum
from typing import BinaryIO

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6  # block types
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF
_LINKTYPE_RAW = 101
_COMMENT, _IF_NAME = 1, 2  # option codes; opt_comment is the same in every block
_LONGEST_OPTION = 0xFFFF
_IP_HEADER, _UDP_HEADER = 20, 8
_UDP = 17
LARGEST = 0xFFFF - _IP_HEADER - _UDP_HEADER  # bytes of a message that an IPv4 datagram can hold

COAP, COAPS = 5683, 5684  # ports, RFC 7252 §6

SERVER = ipaddress.IPv4Address("192.0.2.1")
NORTH = ipaddress.IPv4Address("192.0.2.2")
SOUTH = ipaddress.IPv4Address("198.51.100.1")
DEVICE = ipaddress.IPv4Address("198.51.100.2")


class Hop(IntEnum):
    """A hop; each is an interface of the file, with this number."""

    SERVER = 0
    DEVICE = 1


class PcapngWriter:
    """Writes one section to an open file. The caller flushes the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._block(_SECTION, struct.pack("<IHHQ", _BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_LENGTH))
        for hop in Hop:  # snapshot length 0: no limit; timestamps are in microseconds by default
            name = _option(_IF_NAME, f"{hop.name.lower()} hop".encode())
            self._block(_INTERFACE, struct.pack("<HHI", _LINKTYPE_RAW, 0, 0) + name + _option(0, b""))

    def packet(self, at: float, hop: Hop, *, to_bridge: bool, port: int, message: bytes, comment: str) -> None:
        """Write a message that passed a hop at a wall time, toward the bridge or from it.

        Of a message with more than LARGEST bytes the first LARGEST are written.
        """
        outside, bridge = (SERVER, NORTH) if hop is Hop.SERVER else (DEVICE, SOUTH)
        source, destination = (outside, bridge) if to_bridge else (bridge, outside)
        packet = datagram(source, destination, port, message[:LARGEST])
        whole = len(packet) + max(0, len(message) - LARGEST)
        microseconds = round(at * 1e6)
        head = struct.pack("<IIIII", hop, microseconds >> 32, microseconds & 0xFFFFFFFF, len(packet), whole)
        options = _option(_COMMENT, comment.encode()[:_LONGEST_OPTION]) + _option(0, b"") if comment else b""
        self._block(_PACKET, head + _padded(packet) + options)

    def _block(self, kind: int, body: bytes) -> None:
        length = struct.pack("<I", len(body) + 12)  # with the type and both lengths
        self._file.write(struct.pack("<I", kind) + length + body + length)


def datagram(source: ipaddress.IPv4Address, destination: ipaddress.IPv4Address, port: int, payload: bytes) -> bytes:
    """Return an IPv4 packet with a UDP datagram from `port` to `port` (RFC 791 §3.1, RFC 768)."""
    length = _UDP_HEADER + len(payload)
    pseudo = source.packed + destination.packed + struct.pack("!BBH", 0, _UDP, length)
    udp = struct.pack("!HHHH", port, port, length, 0)
    sum_of_udp = checksum(pseudo + udp + payload) or 0xFFFF  # 0 would mean that there is none
    udp = struct.pack("!HHHH", port, port, length, sum_of_udp)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, _IP_HEADER + length, 0, 0x4000, 64, _UDP, 0)  # do not fragment
    addresses = source.packed + destination.packed
    ip = ip[:-2] + struct.pack("!H", checksum(ip + addresses))
    return ip + addresses + udp + payload


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071): over data that holds its own checksum it is 0."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
