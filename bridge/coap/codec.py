"""CoAP messages as bytes (RFC 7252 §3): strict in what it takes, faithful in what it gives.

Every valid message has one encoding, and `decode` keeps option values as they came, non-minimal integers included, so
`encode(decode(data)) == data`. What is not a CoAP message raises MessageFormatError and nothing else.
"""

import struct
from enum import IntEnum

import msgspec

from bridge.errors import MessageFormatError

VERSION = 1  # RFC 7252 §3
HEADER = 4  # bytes before the token
MAX_TOKEN = 8  # bytes; 9–15 are a message format error (RFC 7252 §3; RFC 8974 is not supported)
MAX_UINT = 4  # bytes; no registered uint option is longer (RFC 7252 §5.10, RFC 7641, RFC 7959)
PAYLOAD_MARKER = 0xFF
_MAX_OPTION = 65535  # option numbers are 16-bit (RFC 7252 §12.2)
_RESERVED_CLASSES = (1, 6, 7)  # RFC 7252 §12.1


class Type(IntEnum):
    """Message types, RFC 7252 §3."""

    CON = 0
    NON = 1
    ACK = 2
    RST = 3


_header = struct.Struct("!BBH").pack  # version, type and token length; code; message ID (RFC 7252 §3)
_TYPES = CON, NON, ACK, RST = tuple(Type)  # by number

Option = tuple[int, bytes]


class Message(msgspec.Struct, frozen=True):
    """One CoAP message. `body` is all that follows the token, as it is on the wire: options and payload."""

    type: Type
    code: int  # class << 5 | detail
    mid: int
    token: bytes
    options: tuple[Option, ...]  # (number, value), in wire order
    payload: bytes
    body: bytes

    @property
    def is_empty(self) -> bool:
        """Whether this is an Empty message: a poll or ping, a bare acknowledgement, or a Reset."""
        return self.code == 0

    @property
    def is_request(self) -> bool:
        return 0 < self.code < 32  # noqa: PLR2004  # class 0

    @property
    def is_response(self) -> bool:
        return self.code >= 64  # noqa: PLR2004  # class 2 and up

    def option(self, number: int) -> bytes | None:
        """Give the value of the first option with this number."""
        for n, value in self.options:
            if n >= number:  # they come in order
                return value if n == number else None
        return None

    def goes_up_to(self, number: int) -> bool:
        """Whether there may be an option with this number or a higher one: they come in order."""
        return bool(self.options) and self.options[-1][0] >= number

    def uint(self, number: int) -> int | None:
        """Give the value of an option of uint format (RFC 7252 §3.2); None also where it is longer than any of those.

        A length outside an option's range makes it an option that is not known (RFC 7252 §5.4.3).
        """
        value = self.option(number)
        return None if value is None or len(value) > MAX_UINT else int.from_bytes(value, "big")

    def strings(self, number: int) -> list[str]:
        """Give all values of a repeatable string option; what is not UTF-8 is shown escaped."""
        return [value.decode("utf-8", "backslashreplace") for n, value in self.options if n == number]

    def encode(self) -> bytes:
        return frame(self.type, self.code, self.mid, self.token, self.body)


def frame(mtype: int, code: int, mid: int, token: bytes, body: bytes) -> bytes:
    """Put a header and token before a body that is already on-the-wire bytes."""
    return _header(VERSION << 6 | mtype << 4 | len(token), code, mid) + token + body


def empty(mtype: int, mid: int) -> bytes:
    """Give an Empty message: acknowledgement, Reset or ping (RFC 7252 §4.1)."""
    return _header(VERSION << 6 | mtype << 4, 0, mid)


def uint_value(value: int) -> bytes:
    """Give the shortest uint option value (RFC 7252 §3.2)."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode_body(options: tuple[Option, ...] | list[Option], payload: bytes) -> bytes:
    """Give options (sorted by number here, repeated ones kept in order) and payload as wire bytes."""
    out = bytearray()
    last = 0
    for number, value in sorted(options, key=lambda o: o[0]):
        delta, last = number - last, number
        first, extension = _nibble(delta)
        second, length_extension = _nibble(len(value))
        out.append(first << 4 | second)
        out += extension + length_extension + value
    if payload:
        out.append(PAYLOAD_MARKER)
        out += payload
    return bytes(out)


def _nibble(value: int) -> tuple[int, bytes]:
    """Split an option delta or length into its nibble and extension (RFC 7252 §3.1)."""
    if value < 13:  # noqa: PLR2004
        return value, b""
    if value < 269:  # noqa: PLR2004
        return 13, bytes((value - 13,))
    return 14, (value - 269).to_bytes(2, "big")


def decode(data: bytes) -> Message:
    """Give the message that `data` is. Raises MessageFormatError for anything that RFC 7252 §3 does not allow."""
    size = len(data)
    if size < HEADER:
        raise MessageFormatError(f"{size} bytes are no CoAP message")
    first = data[0]
    if first >> 6 != VERSION:
        raise MessageFormatError(f"CoAP version {first >> 6}")
    token_length = first & 0x0F
    code = data[1]
    mtype = _TYPES[first >> 4 & 3]
    start = HEADER + token_length
    if code == 0:
        if size != HEADER or token_length:
            raise MessageFormatError("an Empty message with content")  # RFC 7252 §4.1
        # An Empty NON has no meaning in RFC 7252 §4.3, but OMA Transport App. C polls with it.
        return Message(mtype, code, data[2] << 8 | data[3], b"", (), b"", b"")
    if token_length > MAX_TOKEN:
        raise MessageFormatError(f"token length {token_length}")
    if code >> 5 in _RESERVED_CLASSES:
        raise MessageFormatError(f"reserved code class {code >> 5}")
    if mtype is RST or (mtype is ACK and code < 32):  # noqa: PLR2004  # RFC 7252 §4.2, table 1
        raise MessageFormatError(f"{mtype.name} with code {code >> 5}.{code & 31:02}")
    if size < start:
        raise MessageFormatError("the token is cut off")
    options, payload = _decode_body(data, start, size)
    return Message(mtype, code, data[2] << 8 | data[3], data[HEADER:start], options, payload, data[start:])


def _decode_body(data: bytes, at: int, size: int) -> tuple[tuple[Option, ...], bytes]:
    options: list[Option] = []
    number = 0
    try:
        while at < size:
            head = data[at]
            at += 1
            if head == PAYLOAD_MARKER:
                if at == size:
                    raise MessageFormatError("a payload marker without payload")
                return tuple(options), data[at:]
            delta, length = head >> 4, head & 0x0F
            if delta >= 13:  # noqa: PLR2004
                delta, at = _extended(delta, data, at)
            if length >= 13:  # noqa: PLR2004
                length, at = _extended(length, data, at)
            number += delta
            if number > _MAX_OPTION:
                raise MessageFormatError("option number beyond 65535")
            end = at + length
            if end > size:
                raise MessageFormatError(f"option {number} is cut off")
            options.append((number, data[at:end]))
            at = end
    except IndexError:
        raise MessageFormatError("an option is cut off") from None
    return tuple(options), b""


def _extended(nibble: int, data: bytes, at: int) -> tuple[int, int]:
    if nibble == 13:  # noqa: PLR2004
        return data[at] + 13, at + 1
    if nibble == 14:  # noqa: PLR2004
        return (data[at] << 8 | data[at + 1]) + 269, at + 2
    raise MessageFormatError("option nibble 15")
