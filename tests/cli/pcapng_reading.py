"""Reads pcapng by its specification (draft-ietf-opsawg-pcapng), far enough for what the bridge writes."""

import struct
from typing import NamedTuple


class Packet(NamedTuple):
    """An Enhanced Packet Block, and what is in its IPv4 packet."""

    interface: int
    at: float
    original: int  # bytes of the packet before it was cut
    source: bytes
    destination: bytes
    ports: tuple[int, int]
    payload: bytes
    comment: str


class Section(NamedTuple):
    """What is in a file of one section."""

    linktypes: list[int]
    names: list[str]
    packets: list[Packet]


def read(data: bytes) -> Section:
    """Return what a file says. Every length, magic number and checksum in it is checked."""
    found = Section([], [], [])
    at = 0
    kinds = []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        body = data[at + 8 : at + length - 4]
        kinds.append(kind)
        if kind == 0x0A0D0D0A:
            assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
        elif kind == 1:
            linktype, reserved, snapshot = struct.unpack_from("<HHI", body)
            assert (reserved, snapshot) == (0, 0)
            found.linktypes.append(linktype)
            found.names.append(_options(body[8:])[2].decode())
        else:
            assert kind == 6
            found.packets.append(_packet(body))
        at += length
    assert at == len(data)
    assert kinds[0] == 0x0A0D0D0A
    assert all(packet.interface < len(found.linktypes) for packet in found.packets)
    return found


def _packet(body: bytes) -> Packet:
    interface, high, low, captured, original = struct.unpack_from("<IIIII", body)
    packet = body[20 : 20 + captured]
    assert len(packet) == captured <= original
    after = 20 + captured + -captured % 4
    comment = _options(body[after:]).get(1, b"").decode()
    version, _, total, _, _, _, protocol = struct.unpack_from("!BBHHHBB", packet)
    assert (version, total, protocol) == (0x45, captured, 17)
    assert _sum(packet[:20]) == 0xFFFF
    source_port, destination_port, length, checksum = struct.unpack_from("!HHHH", packet, 20)
    assert length == captured - 20
    assert checksum
    assert _sum(packet[12:20] + struct.pack("!HH", 17, length) + packet[20:]) == 0xFFFF
    return Packet(
        interface,
        (high << 32 | low) / 1e6,
        original,
        packet[12:16],
        packet[16:20],
        (source_port, destination_port),
        packet[28:],
        comment,
    )


def _options(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            assert length == 0
            assert len(data) == 4
            break
        found[code] = data[4 : 4 + length]
        data = data[4 + length + -length % 4 :]
    return found


def _sum(data: bytes) -> int:
    """Return the one's complement sum of RFC 1071, a byte at a time."""
    total = sum(byte << (8 if at % 2 == 0 else 0) for at, byte in enumerate(data))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return total
