"""How messages look on the endpoint's two hops: the only place in the relay that frames them.

Rows hold type, code, message ID, token and body. Here they become datagrams toward a server, and toward the device what
its network carries: framed by the hop's message layer, then passed through the south codec.
"""

from collections.abc import Callable
from typing import Protocol

from bridge.coap import udp
from bridge.coap.message import Message
from bridge.delivery.downlinks import Answer, Downlink, ServerRequest, Trigger
from bridge.delivery.uplinks import CoapUplink, Uplink


def to_server(row: CoapUplink) -> bytes:
    """Return a message toward a server as it is sent, each time with the same bytes (R2)."""
    if row.coap_type is None or row.north_mid is None:
        raise AssertionError(f"uplink {row.id} has no message for its server")
    return udp.frame(row.coap_type, row.code, row.north_mid, row.north_token, row.body)


def north_size(row: Uplink) -> int:
    """Return how many bytes a message toward a server takes."""
    return udp.size(row.north_token, row.body) if isinstance(row, CoapUplink) else len(row.body)


class SouthCodec(Protocol):
    """What stands between CoAP messages and the bytes that a network carries; a compressing one may stand here.

    Sizes, look-ups and submissions all go through it. It must return the same bytes for the same message each time.
    """

    def encode(self, message: bytes) -> bytes:
        """Return a framed message as the network carries it."""

    def decode(self, data: bytes) -> bytes:
        """Return the framed message that the device means. Raises MessageFormatError."""

    def size(self, token: bytes, body: bytes) -> int:
        """Return how many bytes a message takes once it is framed and encoded."""


class SouthHop:
    """The hop toward one endpoint's device (`bridge.delivery.downlinks.Carrier`).

    `decode(data)` returns what the device said, and raises MessageFormatError; `size_of(token, body)` returns how many
    bytes a message with this token and body would be.
    """

    __slots__ = ("_codec", "decode", "size_of")

    def __init__(self, codec: SouthCodec | None = None) -> None:
        """`codec`: None where the network carries CoAP as it is."""
        self._codec = codec
        self.size_of: Callable[[bytes, bytes], int] = udp.size if codec is None else codec.size
        self.decode: Callable[[bytes], Message] = udp.decode if codec is None else self._decode

    def encode(self, row: Downlink) -> bytes:
        """Return what is submitted to the network; the same bytes each time. Opaque bytes go as they are."""
        if type(row) is ServerRequest or type(row) is Answer or type(row) is Trigger:
            message = udp.frame(row.coap_type, row.code, row.south_mid, row.south_token, row.body)
            return message if self._codec is None else self._codec.encode(message)
        return row.body

    def size(self, row: Downlink) -> int:
        """Return how many bytes that is."""
        return len(self.encode(row))

    def _decode(self, data: bytes) -> Message:
        return udp.decode(data if self._codec is None else self._codec.decode(data))


PLAIN = SouthHop()
