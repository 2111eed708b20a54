"""A server's DTLS handshake in records that a small network carries (R26).

Records of epoch 0 are not protected, and both ends compute over whole messages of the handshake, not over records (RFC
6347 §4.2.6). So who carries the records may cut a message into fragments, each in a record of its own (§4.2.3). The
content of messages stays as it is. Records of later epochs are protected, and are never changed.

Each end expects record numbers that rise and do not repeat (§4.1.2.6). So all records of epoch 0 are numbered anew,
also those that are not cut: record n becomes the records n·256, n·256 + 1 and so on. That needs no memory, so it holds
over restarts of the bridge. If the network no longer is small, records that are not cut go on so (`renumbered`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Final

HEADER: Final = 13  # bytes of the header of a DTLS 1.2 record, RFC 6347 §4.1
ROOM_OF_ENDS: Final = (
    1280  # bytes: what ends expect of a path, IPv6's least MTU (RFC 8200 §5); what carries it cuts none
)
HANDSHAKE: Final = 22  # content type, RFC 6347 §4.1
_DTLS_MAJOR = b"\xfe"  # records without it, or with a connection id, have other headers
_MESSAGE = 12  # bytes of the header of a message of the handshake, RFC 6347 §4.2.2
_PIECES = 256  # records that one record becomes, at most
_NUMBERS = 1 << 48  # record numbers of an epoch
_WORTH = 16  # bytes of a message at least for which the end of a datagram is used
_FRAGMENTS = 64  # of a record, and of a server's datagram, at most
_COMPARED = 256  # fragments that wait, at most, with which each of those is compared: more would take seconds


@dataclass(frozen=True, slots=True)
class Record:
    """One DTLS 1.2 record: `kind` is its content type and version."""

    kind: bytes
    epoch: int
    number: int
    body: bytes

    @property
    def size(self) -> int:
        """Return the record's size in bytes."""
        return HEADER + len(self.body)

    @property
    def is_plain_handshake(self) -> bool:
        """Return whether the record carries messages of the handshake, not protected."""
        return self.epoch == 0 and self.kind[0] == HANDSHAKE

    def encode(self) -> bytes:
        """Return the record as it is sent."""
        numbers = self.epoch.to_bytes(2, "big") + self.number.to_bytes(6, "big")
        return self.kind + numbers + len(self.body).to_bytes(2, "big") + self.body


@dataclass(frozen=True, slots=True)
class Fragment:
    """Bytes of a message of the handshake from `start` on; `message` is its type, its length and its number."""

    message: bytes
    start: int
    content: bytes

    def encode(self) -> bytes:
        """Return the fragment as the body of a record."""
        return self.message + self.start.to_bytes(3, "big") + len(self.content).to_bytes(3, "big") + self.content

    @property
    def total(self) -> int:
        """Return the size of the whole message in bytes."""
        return int.from_bytes(self.message[1:4], "big")

    def without(self, others: Iterable["Fragment"]) -> Iterator["Fragment"]:
        """Return the parts of this fragment that none of `others`, of the same message, has with the same bytes."""
        if not self.content:
            if all(other.start != self.start or other.content for other in others):
                yield self
            return
        missing = bytearray(b"\1" * len(self.content))
        for other in others:
            first = max(self.start, other.start)
            count = min(self.start + len(self.content), other.start + len(other.content)) - first
            here, there = first - self.start, first - other.start
            if count > 0 and self.content[here : here + count] == other.content[there : there + count]:
                missing[here : here + count] = bytes(count)
        at = 0
        for is_missing, run in groupby(missing):
            end = at + len(list(run))
            if is_missing:
                yield Fragment(self.message, self.start + at, self.content[at:end])
            at = end


def records_of(datagram: bytes) -> list[Record] | None:
    """Return the records of a datagram; None if it is not whole records of DTLS 1.2."""
    records: list[Record] = []
    at = 0
    while at < len(datagram):
        head, end = datagram[at : at + HEADER], at + HEADER + int.from_bytes(datagram[at + 11 : at + HEADER], "big")
        if len(head) < HEADER or head[1:2] != _DTLS_MAJOR or end > len(datagram):
            return None
        epoch, number = int.from_bytes(head[3:5], "big"), int.from_bytes(head[5:11], "big")
        records.append(Record(head[:3], epoch, number, datagram[at + HEADER : end]))
        at = end
    return records


def renumbered(datagram: bytes) -> bytes:
    """Return a datagram that is not cut, with the numbers of its plain records as `Fitting` makes them.

    Nothing is changed from the first record on that is protected, or has another header (DTLS 1.3).
    """
    changed, at = bytearray(datagram), 0
    while len(datagram) - at >= HEADER and datagram[at + 1 : at + 2] == _DTLS_MAJOR:
        number = int.from_bytes(datagram[at + 5 : at + 11], "big")
        if datagram[at + 3 : at + 5] != b"\0\0" or number >= _NUMBERS // _PIECES:
            break
        changed[at + 5 : at + 11] = (number * _PIECES).to_bytes(6, "big")
        at += HEADER + int.from_bytes(datagram[at + 11 : at + HEADER], "big")
    return bytes(changed)


def fragments_of(record: Record) -> list[Fragment] | None:
    """Return the fragments in a plain record of the handshake; None if it cannot be read as some."""
    fragments: list[Fragment] = []
    body, at = record.body, 0
    while at < len(body):
        head = body[at : at + _MESSAGE]
        start, size = int.from_bytes(head[6:9], "big"), int.from_bytes(head[9:12], "big")
        end = at + _MESSAGE + size
        is_inside = end <= len(body) and start + size <= int.from_bytes(head[1:4], "big")
        if len(head) < _MESSAGE or not is_inside or len(fragments) == _FRAGMENTS:
            return None
        fragments.append(Fragment(head[:6], start, body[at + _MESSAGE : end]))
        at = end
    return fragments or None


def _plain_fragments(datagrams: Iterable[bytes]) -> Iterator[Fragment]:
    for datagram in datagrams:
        for record in records_of(datagram) or ():
            yield from (fragments_of(record) or ()) if record.is_plain_handshake else ()


class Fitting:
    """Makes a server's records fit datagrams of `largest` bytes. `waiting` are datagrams that wait for the device.

    What waits already is not made once more: a server repeats a flight as often as its timer says, whatever the
    device's network needs. `add` each record in order, and take `datagrams`.
    """

    def __init__(self, largest: int, waiting: Iterable[bytes]) -> None:
        self._largest = largest
        self._read = 0  # fragments of what was added
        self._waiting: dict[bytes, list[Fragment]] = {}
        for fragment in islice(_plain_fragments(waiting), _COMPARED):
            self._waiting.setdefault(fragment.message, []).append(fragment)
        self._done: list[bytes] = []
        self._open = b""
        self.cut = self.left_out = 0
        """Records that were cut, and records of which everything or a part waits already."""

    @property
    def datagrams(self) -> list[bytes]:
        """Return what is to be sent, in order."""
        return [*self._done, self._open] if self._open else self._done

    def add(self, record: Record) -> bool:
        """Put a record, or what is missing of it, at the end; False if it can by no means fit."""
        if record.epoch:
            return self._put(record)
        if record.number >= _NUMBERS // _PIECES:
            return False  # no server is there within a handshake
        record = replace(record, number=record.number * _PIECES)
        fragments = fragments_of(record) if record.kind[0] == HANDSHAKE else None
        self._read += len(fragments or ())
        if fragments is None or self._read > _FRAGMENTS:
            return self._put(record)
        missing = [part for one in fragments for part in one.without(self._waiting.get(one.message, ()))]
        if missing != fragments:
            self.left_out += 1
        elif record.size <= self._largest - len(self._open) or (len(fragments) > 1 and record.size <= self._largest):
            return self._put(record)
        return not missing or self._cut(record, missing)

    def _put(self, record: Record) -> bool:
        if record.size > self._largest:
            return False
        if record.size > self._largest - len(self._open):
            self._end()
        self._open += record.encode()
        return True

    def _cut(self, record: Record, parts: list[Fragment]) -> bool:
        """Put each part in records of its own, the first of them in the room that is left."""
        rest, made = parts[::-1], 0
        while rest:
            part = rest.pop()
            size = len(part.content)
            if self._room < min(size, _WORTH):
                self._end()
            room = self._room
            if room < min(size, 1) or made == _PIECES:
                return False
            piece = Fragment(part.message, part.start, part.content[:room])
            self._open += replace(record, number=record.number + made, body=piece.encode()).encode()
            made += 1
            if size > room:
                rest.append(Fragment(part.message, part.start + room, part.content[room:]))
        self.cut += made > 1
        return True

    @property
    def _room(self) -> int:
        """Return for how many bytes of a message the open datagram has room."""
        return self._largest - len(self._open) - HEADER - _MESSAGE

    def _end(self) -> None:
        if self._open:
            self._done.append(self._open)
            self._open = b""
