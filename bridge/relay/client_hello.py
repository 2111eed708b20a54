"""A device's ClientHello in fragments goes to the server as one record (R26).

Whoever has small frames must cut this message, too, and RFC 6347 §4.2.3 allows that. But servers on Scandium and on
Mbed TLS drop fragments of it. The parts are kept as the device's messages are, in rows; so they are still there after a
restart.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridge.relay.handshake import Fragment, Record, fragments_of, records_of

_CLIENT_HELLO = 1  # message type, RFC 5246 §7.4
_MOST = 4096  # bytes of a ClientHello that is put together


@dataclass(frozen=True, slots=True)
class ClientHelloPart:
    """A datagram that is one fragment of a ClientHello, and not all of it."""

    record: Record
    fragment: Fragment

    def follows(self, earlier: "ClientHelloPart") -> bool:
        """Return whether this part and an earlier one of the device can be of one ClientHello."""
        is_same = earlier.fragment.message == self.fragment.message
        return is_same and earlier.record.number < self.record.number


def part_of(datagram: bytes) -> ClientHelloPart | None:
    """Return the part of a ClientHello that a datagram is; None for anything else."""
    records = records_of(datagram)
    if records is None or len(records) != 1 or not records[0].is_plain_handshake:
        return None
    fragments = fragments_of(records[0])
    if fragments is None or len(fragments) != 1:
        return None
    (fragment,) = fragments
    is_part = fragment.message[0] == _CLIENT_HELLO and 0 < len(fragment.content) < fragment.total <= _MOST
    return ClientHelloPart(records[0], fragment) if is_part else None


def assembled(last: ClientHelloPart, earlier: Iterable[ClientHelloPart]) -> bytes | None:
    """Return the datagram with the whole ClientHello; None if something is missing, or the parts contradict each other.

    `earlier` are the parts that came before `last`, the newest first: they count as far as each follows the one before.
    The record has the number of the last part, which the device has not used before and will not use again.
    """
    content = bytearray(last.fragment.total)
    known = bytearray(last.fragment.total)
    part = last
    for one in (last, *earlier):
        if one is not last and not part.follows(one):
            break
        part = one
        span = slice(one.fragment.start, one.fragment.start + len(one.fragment.content))
        here = zip(content[span], one.fragment.content, known[span], strict=True)
        if any(is_known and old != new for old, new, is_known in here):
            break  # of an earlier ClientHello
        content[span] = one.fragment.content
        known[span] = b"\1" * len(one.fragment.content)
    if not all(known):
        return None
    hello = Fragment(last.fragment.message, 0, bytes(content))
    return replace(last.record, body=hello.encode()).encode()
