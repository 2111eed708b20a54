"""The message layer of a hop over a stream (RFC 8323 §3, §5): frames with a length, and signaling messages.

There are no types and no message IDs. Bodies are the same as over UDP.
"""

from collections.abc import Iterator

import msgspec

from bridge.coap.message import Option, decode_body, encode_body, uint_value
from bridge.errors import MessageFormatError

MAX_TOKEN = 8  # bytes; longer ones need RFC 8974, which is not supported
BASE_MAX_MESSAGE_SIZE = 1152  # bytes that a peer accepts until its CSM allows more (RFC 8323 §5.3.1)
MAX_MESSAGE_SIZE = (
    128 * 1024
)  # bytes that the bridge accepts, code and token included; more than any device's network carries
_ONE, _TWO, _FOUR = 13, 14, 15  # nibbles of lengths that are followed by that many bytes (RFC 8323 §3.2)
_FROM = {_ONE: 13, _TWO: 269, _FOUR: 65805}


class Signal:
    """Codes of signaling messages (RFC 8323 §5.2)."""

    CSM = 225
    PING = 226
    PONG = 227
    RELEASE = 228
    ABORT = 229


class CsmOption:
    """Options of a Capabilities and Settings Message (RFC 8323 §5.3)."""

    MAX_MESSAGE_SIZE = 2
    BLOCK_WISE_TRANSFER = 4


CUSTODY = 2  # option of Ping and Pong (RFC 8323 §5.4.1)
HOLD_OFF = 4  # option of Release (RFC 8323 §5.5)
BAD_CSM_OPTION = 2  # option of Abort (RFC 8323 §5.6)


class Frame(msgspec.Struct, frozen=True):
    """One message of a stream."""

    code: int
    token: bytes
    body: bytes

    @property
    def is_signal(self) -> bool:
        return self.code >> 5 == 7  # noqa: PLR2004  # code class 7 (RFC 8323 §5.1)


def frame(code: int, token: bytes, body: bytes) -> bytes:
    """Return a message as a stream carries it."""
    length = len(body)
    if length < _FROM[_ONE]:
        head = bytes((length << 4 | len(token),))
    elif length < _FROM[_TWO]:
        head = bytes((_ONE << 4 | len(token), length - _FROM[_ONE]))
    elif length < _FROM[_FOUR]:
        head = bytes((_TWO << 4 | len(token),)) + (length - _FROM[_TWO]).to_bytes(2, "big")
    else:
        head = bytes((_FOUR << 4 | len(token),)) + (length - _FROM[_FOUR]).to_bytes(4, "big")
    return head + bytes((code,)) + token + body


def signal(code: int, options: list[Option] | None = None, text: str = "", token: bytes = b"") -> bytes:
    """Return a signaling message as a stream carries it; `text` is for people."""
    return frame(code, token, encode_body(options or [], text.encode()))


def csm(max_message_size: int = MAX_MESSAGE_SIZE) -> bytes:
    """Return our Capabilities and Settings Message: the first bytes of a connection."""
    options: list[Option] = [(CsmOption.MAX_MESSAGE_SIZE, uint_value(max_message_size))]
    return signal(Signal.CSM, [*options, (CsmOption.BLOCK_WISE_TRANSFER, b"")])


def size(token: bytes, body: bytes) -> int:
    """Return the bytes that count toward a peer's Max-Message-Size (RFC 8323 §5.3.1)."""
    return len(frame(0, token, body))


def options_of(message: Frame) -> tuple[tuple[Option, ...], str]:
    """Return options and text of a signaling message. Raises MessageFormatError."""
    options, payload = decode_body(message.body)
    return options, payload.decode("utf-8", "backslashreplace")


class Reader:
    """Takes a stream in pieces of any size, and returns its messages.

    If the stream does not consist of messages, or if one is larger than `limit`, it raises MessageFormatError: the rest
    of the stream cannot be read.
    """

    def __init__(self, limit: int = MAX_MESSAGE_SIZE) -> None:
        self._limit = limit
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, and yield the complete messages. Consume the iterator before the next call."""
        self._data += data
        at = 0
        try:
            while (found := self._next(at)) is not None:
                message, at = found
                yield message
        finally:
            del self._data[:at]

    def _next(self, at: int) -> tuple[Frame, int] | None:
        data = self._data
        if at >= len(data):
            return None
        nibble, token_length = data[at] >> 4, data[at] & 0x0F
        if token_length > MAX_TOKEN:
            raise MessageFormatError(f"token length {token_length}")
        extended = 0 if nibble < _ONE else 1 << (nibble - _ONE)
        head = at + 1 + extended
        if len(data) < head:
            return None
        length = nibble
        if extended:
            length = _FROM[nibble] + int.from_bytes(data[at + 1 : head], "big")
        code_at = head
        end = code_at + 1 + token_length + length
        if end - at > self._limit:
            raise MessageFormatError(f"a message of {end - at} bytes; the limit is {self._limit}")
        if len(data) < end:
            return None
        token_at = code_at + 1
        body_at = token_at + token_length
        return Frame(data[code_at], bytes(data[token_at:body_at]), bytes(data[body_at:end])), end
