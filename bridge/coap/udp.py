"""The message layer of a hop over UDP (RFC 7252 §3 and §4): the frame around a body, and message IDs.

The rest of the bridge has a message as type, code, message ID, token and body. A message is framed here when it is
sent, so that a repetition has the same bytes. `bridge.coap.transmission` has the retransmissions of this layer;
`bridge.coap.stream` is the message layer over a stream (RFC 8323: a length, no type, no message ID).
"""

import struct
from collections.abc import Container

from bridge.coap.message import ACK, CON, NON, RST, Message, Type, decode_body
from bridge.errors import MessageFormatError

VERSION = 1  # RFC 7252 §3
HEADER = 4  # bytes before the token
MAX_TOKEN = 8  # bytes; 9–15 are a message format error (RFC 7252 §3; RFC 8974 is not supported)
_RESERVED_CLASSES = (1, 6, 7)  # RFC 7252 §12.1
_FIRST_RESPONSE = 32  # codes below are requests, and 0 is the Empty message
_header = struct.Struct("!BBH").pack  # version, type and token length; code; message ID (RFC 7252 §3)
_TYPES = (CON, NON, ACK, RST)  # by number


def frame(mtype: int, code: int, mid: int, token: bytes, body: bytes) -> bytes:
    """Return a message as a datagram."""
    return _header(VERSION << 6 | mtype << 4 | len(token), code, mid) + token + body


def empty(mtype: int, mid: int) -> bytes:
    """Return an Empty message as a datagram: acknowledgement, Reset or ping (RFC 7252 §4.1)."""
    return _header(VERSION << 6 | mtype << 4, 0, mid)


def size(token: bytes, body: bytes) -> int:
    """Return how many bytes a message takes as a datagram."""
    return HEADER + len(token) + len(body)


def decode(data: bytes) -> Message:
    """Return a datagram as a message. Raises MessageFormatError if RFC 7252 §3 does not allow it."""
    length = len(data)
    if length < HEADER:
        raise MessageFormatError(f"{length} bytes are not a CoAP message")
    first = data[0]
    if first >> 6 != VERSION:
        raise MessageFormatError(f"CoAP version {first >> 6}")
    code = data[1]
    mtype = _TYPES[first >> 4 & 3]
    token_length = first & 0x0F
    if code == 0:
        if length != HEADER or token_length:
            raise MessageFormatError("an Empty message with content")  # RFC 7252 §4.1
        # An Empty NON has no meaning in RFC 7252 §4.3, but OMA Transport App. C polls with it.
        return Message(mtype, code, data[2] << 8 | data[3], b"", (), b"", b"")
    if token_length > MAX_TOKEN:
        raise MessageFormatError(f"token length {token_length}")
    if code >> 5 in _RESERVED_CLASSES:
        raise MessageFormatError(f"reserved code class {code >> 5}")
    if mtype is RST or (mtype is ACK and code < _FIRST_RESPONSE):  # RFC 7252 §4.2, table 1
        raise MessageFormatError(f"{mtype.name} with code {code >> 5}.{code & 31:02}")
    start = HEADER + token_length
    if length < start:
        raise MessageFormatError("the token is cut off")
    options, payload = decode_body(data, start)
    return Message(mtype, code, data[2] << 8 | data[3], data[HEADER:start], options, payload, data[start:])


def take_apart(datagram: bytes) -> tuple[Type, int, int, bytes, bytes]:
    """Return type, code, message ID, token and body of a datagram that `frame` or `empty` made."""
    start = HEADER + (datagram[0] & 0x0F)
    mid = datagram[2] << 8 | datagram[3]
    return _TYPES[datagram[0] >> 4 & 3], datagram[1], mid, datagram[HEADER:start], datagram[start:]


class MessageIds:
    """The message IDs that one endpoint uses on one hop, in order (RFC 7252 §4.4)."""

    __slots__ = ("last",)

    def __init__(self, last: int) -> None:
        self.last = last

    def allocate(self, taken: Container[int | None]) -> int:
        """Return the next message ID that is not in use."""
        mid = (self.last + 1) & 0xFFFF
        while mid in taken:
            mid = (mid + 1) & 0xFFFF
        self.last = mid
        return mid

    def continue_after(self, mid: int) -> None:
        """Continue after `mid` if it is newer than the last one, that is, ahead by less than half of all IDs."""
        if mid - self.last & 0xFFFF < 0x8000:  # noqa: PLR2004  # half of all message IDs
            self.last = mid
