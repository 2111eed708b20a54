"""A DTLS handshake in records of any size: OpenSSL cuts none below 256 bytes, and a LoRaWAN frame has at most 242.

No I/O. Records of epoch 0 are not protected, so a message of the handshake can be cut outside of the library: into
fragments, each in a record of its own (RFC 6347 §4.2.3). They are numbered anew, since numbers must not repeat.
"""

from collections.abc import Iterator
from typing import Any

HEADER = 13  # bytes of a record's header (RFC 6347 §4.1)
_MESSAGE = 12  # bytes of the header of a message of the handshake (RFC 6347 §4.2.2)
LEAST = HEADER + _MESSAGE + 1
_HANDSHAKE = 22  # RFC 5246 §6.2.1


def records_of(data: bytes) -> Iterator[bytes]:
    """Yield the records of a datagram."""
    while data:
        end = HEADER + int.from_bytes(data[11:HEADER], "big")
        yield data[:end]
        data = data[end:]


def largest_from(value: Any) -> int:
    """Return the bytes of a record that a caller asks for; ValueError if no record of the handshake is that small."""
    if not isinstance(value, int) or value < LEAST:
        raise ValueError(f"a record of the handshake has at least {LEAST} bytes")
    return value


class SmallRecords:
    """What one end of a session sends: `of` makes records of OpenSSL that are larger than `largest` bytes smaller.

    Protected records stay as they are.
    """

    def __init__(self, largest: int) -> None:
        self._room = largest - HEADER - _MESSAGE
        self.largest = largest
        self._number = 0

    def of(self, record: bytes) -> list[bytes]:
        """Return the records that go in the place of one."""
        if record[3:5] != b"\0\0":
            return [record]
        bodies = [record[HEADER:]]
        if record[0] == _HANDSHAKE and len(record) > self.largest:
            bodies = list(self._pieces(bodies[0]))
        first = self._number
        self._number += len(bodies)
        heads = (record[:5] + (first + n).to_bytes(6, "big") for n in range(len(bodies)))
        return [head + len(body).to_bytes(2, "big") + body for head, body in zip(heads, bodies, strict=True)]

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        """Yield the fragments of the one in `body`: OpenSSL puts no two messages into a record."""
        head, start, content = body[:6], int.from_bytes(body[6:9], "big"), body[_MESSAGE:]
        for at in range(0, len(content), self._room):
            piece = content[at : at + self._room]
            yield head + (start + at).to_bytes(3, "big") + len(piece).to_bytes(3, "big") + piece
