"""The registrations of one endpoint, one for each server: stored together in one column of its relay row (R20, R23).

A server chooses the path of a registration (its Location). Two servers may choose the same. Then the device gets
another path for the later one, and in the device's messages the bridge replaces that path by `location`.
"""

from collections.abc import Iterable, Sequence

import msgspec

from bridge.coap.message import Message, Option, encode_body
from bridge.coap.numbers import OptionNumber

TOLD_APART = b"~"  # between a server's own path and the number that makes it unique
RESERVED = frozenset({b"rd", b"dp", b"bs", b"bspack"})  # last segments that mean something else (OMA Transport TS §6.4)


class Registration(msgspec.Struct, array_like=True, gc=False):
    """A registration that has not ended as far as the bridge knows. Times are wall-clock seconds.

    Fields are stored in this order, so new ones come last and have a default.
    """

    server: str
    location: tuple[bytes, ...]  # segments of the path that the server chose
    told: tuple[bytes, ...]  # segments of the path that the device knows
    since: float
    refreshed_at: float  # wall time of the latest Register or Update that the server accepted
    lifetime: int | None = None  # seconds, from its Register or Update; None: the server's default (86400)
    queue_mode: bool = False  # the server knows that the device sleeps (queue mode)
    awake_since: float = 0.0  # wall time of the latest message after which it takes the device for awake (queue mode)

    @property
    def path(self) -> str:
        """Return the server's path for people."""
        return "/" + "/".join(segment.decode("utf-8", "backslashreplace") for segment in self.location)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Registration]).decode


def encode(registrations: list[Registration]) -> bytes | None:
    """Return registrations encoded as a column; None if there are none."""
    return _encode(registrations) if registrations else None


def decode(column: bytes | None) -> list[Registration]:
    """Return the registrations that a column holds."""
    return [] if column is None else _decode(column)


def segments(message: Message, number: int = OptionNumber.URI_PATH) -> tuple[bytes, ...]:
    """Return the segments of a message's path, or of its Location."""
    return tuple(value for n, value in message.options if n == number)


def path_for_device(location: tuple[bytes, ...], others: Iterable[Registration]) -> tuple[bytes, ...]:
    """Return the path that a device gets for a server's `location`: one that the device does not know yet."""
    taken = {other.told for other in others}
    told, count = location, 1
    while told in taken or (told and told[-1] in RESERVED):
        count += 1
        last = location[-1] if location else b""
        told = (*location[:-1], last + TOLD_APART + str(count).encode())
    return told


def with_path(message: Message, number: int, path: Sequence[bytes]) -> bytes:
    """Return a message's body with another path instead of that of its options `number`."""
    options: list[Option] = [one for one in message.options if one[0] != number]
    return encode_body([*((number, segment) for segment in path), *options], message.payload)
