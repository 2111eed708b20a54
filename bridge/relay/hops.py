"""Frames messages for the endpoint's two hops; no other module of the relay does.

Rows have type, code, message ID, token and body. Toward a server they become datagrams. Toward the device
they are framed by the hop's message layer, then encoded by the south codec.
"""

from collections.abc import Callable
from typing import Protocol

from bridge.coap import udp
from bridge.coap.message import Message
from bridge.delivery.downlinks import Answer, Downlink, ServerRequest, Trigger
from bridge.delivery.uplinks import CoapUplink, Uplink


def to_server(row: CoapUplink) -> bytes:
    """Return a message toward a server as a datagram, each time with the same bytes (R2)."""
    if row.coap_type is None or row.north_mid is None:
        raise AssertionError(f"uplink {row.id} has no message for its server")
    return udp.frame(row.coap_type, row.code, row.north_mid, row.north_token, row.body)


def north_size(row: Uplink) -> int:
    """Return the bytes of a message toward a server as a datagram."""
    return udp.size(row.north_token, row.body) if isinstance(row, CoapUplink) else len(row.body)


class SouthCodec(Protocol):
    """Converts CoAP messages to the bytes that a network carries, and back; it may compress them.

    Sizes, lookups and submissions all use it. A codec must return the same bytes for the same message each time.
    """

    def encode(self, message: bytes) -> bytes:
        """Return the bytes that the network carries for a framed message."""

    def decode(self, data: bytes) -> bytes:
        """Return the framed message of the device's bytes. Raises MessageFormatError."""

    def size(self, token: bytes, body: bytes) -> int:
        """Return the bytes of a message after it is framed and encoded."""


class SouthHop:
    """The hop toward one endpoint's device (`bridge.delivery.downlinks.Carrier`).

    `decode(data)` returns the device's message, and raises MessageFormatError; `size_of(token, body)` returns
    the bytes of a message with this token and body.
    """

    __slots__ = ("_codec", "decode", "size_of")

    def __init__(self, codec: SouthCodec | None = None) -> None:
        """`codec`: None if the network carries CoAP unchanged."""
        self._codec = codec
        self.size_of: Callable[[bytes, bytes], int] = udp.size if codec is None else codec.size
        self.decode: Callable[[bytes], Message] = udp.decode if codec is None else self._decode

    def encode(self, row: Downlink) -> bytes:
        """Return the bytes that are submitted to the network; the same bytes each time. Opaque bytes are unchanged."""
        if type(row) is ServerRequest or type(row) is Answer or type(row) is Trigger:
            message = udp.frame(row.coap_type, row.code, row.south_mid, row.south_token, row.body)
            return message if self._codec is None else self._codec.encode(message)
        return row.body

    def size(self, row: Downlink) -> int:
        """Return the number of bytes that `encode` returns."""
        return len(self.encode(row))

    def _decode(self, data: bytes) -> Message:
        return udp.decode(data if self._codec is None else self._codec.decode(data))


PLAIN = SouthHop()
