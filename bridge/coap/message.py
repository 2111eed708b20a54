"""CoAP messages without their frame (RFC 7252 §3): code, token, options and payload.

`body` is the part that is the same in every message layer: encoded options, payload marker, payload. A hop's
message layer adds the frame (`bridge.coap.udp`). Every valid body has one encoding, and `decode_body` does not
change option values, not even non-minimal integers: `encode_body(*decode_body(body)) == body`. Bytes that are not CoAP
raise MessageFormatError and nothing else.
"""

from enum import IntEnum

import msgspec

from bridge.errors import MessageFormatError

MAX_UINT = 4  # bytes; no registered uint option is longer (RFC 7252 §5.10, RFC 7641, RFC 7959)
PAYLOAD_MARKER = 0xFF
_MAX_OPTION = 65535  # option numbers are 16-bit (RFC 7252 §12.2)


class Type(IntEnum):
    """Message types, RFC 7252 §3."""

    CON = 0
    NON = 1
    ACK = 2
    RST = 3


CON, NON, ACK, RST = tuple(Type)

Option = tuple[int, bytes]


class Message(msgspec.Struct, frozen=True):
    """One CoAP message, parsed. `options` and `payload` are decoded from `body`; `mid` is the message ID on its hop."""

    type: Type
    code: int  # class << 5 | detail
    mid: int
    token: bytes
    options: tuple[Option, ...]  # (number, value), in wire order
    payload: bytes
    body: bytes

    @property
    def is_empty(self) -> bool:
        """Return whether this is an Empty message: a poll or ping, a bare acknowledgement, or a Reset."""
        return self.code == 0

    @property
    def is_request(self) -> bool:
        return 0 < self.code < 32  # noqa: PLR2004  # class 0

    @property
    def is_response(self) -> bool:
        return self.code >= 64  # noqa: PLR2004  # class 2 and up

    def option(self, number: int) -> bytes | None:
        """Return the value of the first option with this number."""
        for n, value in self.options:
            if n >= number:  # options are in order
                return value if n == number else None
        return None

    def has_option_from(self, number: int) -> bool:
        """Return whether there may be an option with this number or a higher one; options are in order."""
        return bool(self.options) and self.options[-1][0] >= number

    def uint(self, number: int) -> int | None:
        """Return the value of an option of uint format (RFC 7252 §3.2); None also if it is longer than any uint option.

        An option whose length is out of range counts as an unknown option (RFC 7252 §5.4.3).
        """
        value = self.option(number)
        return None if value is None or len(value) > MAX_UINT else int.from_bytes(value, "big")

    def strings(self, number: int) -> list[str]:
        """Return all values of a repeatable string option; bytes that are not UTF-8 are escaped."""
        return [value.decode("utf-8", "backslashreplace") for n, value in self.options if n == number]


def parse(code: int, body: bytes, token: bytes = b"") -> Message:
    """Return the message with this code and body, parsed; its type and message ID have no meaning.

    Raises MessageFormatError.
    """
    options, payload = decode_body(body)
    return Message(CON, code, 0, token, options, payload, body)


def uint_value(value: int) -> bytes:
    """Return the shortest uint option value (RFC 7252 §3.2)."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode_body(options: tuple[Option, ...] | list[Option], payload: bytes) -> bytes:
    """Return options (sorted by number here, repeated ones kept in order) and payload as a body."""
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


def decode_body(data: bytes, at: int = 0) -> tuple[tuple[Option, ...], bytes]:
    """Return the options and payload of the body that begins at `at`. Raises MessageFormatError."""
    options: list[Option] = []
    number = 0
    size = len(data)
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
                raise MessageFormatError("option number above 65535")
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
