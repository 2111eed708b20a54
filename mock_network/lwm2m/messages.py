"""CoAP requests and responses as the emulators see them, what may become of a request, and where a URI leads."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from aiocoap.numbers.codes import Code
from aiocoap.numbers.constants import TransportTuning

from mock_network.lwm2m.blockwise import LARGEST_EXPONENT, Block
from mock_network.lwm2m.transport import Address

_PORTS = {"coap": 5683, "coaps": 5684}  # RFC 7252 §12.6, §12.7
MAX_LATENCY = 100.0  # seconds from the start of a transmission to its reception (RFC 7252 §4.8.2)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Transmission parameters (RFC 7252 §4.8), seconds. A slow network needs a long ACK_TIMEOUT."""

    ack_timeout: float = 2.0
    ack_random_factor: float = 1.5
    max_retransmit: int = 4
    empty_ack_delay: float = 0.1
    """How long a response may take before an Empty ACK is sent."""
    block_exponent: int = LARGEST_EXPONENT
    """Of the largest block that is sent (RFC 7959 §2.2): 0 is 16 bytes, 6 is 1024."""
    max_request: int | None = None
    """Bytes; a larger request in one piece is answered 4.13 with a block size, None takes any."""
    piggybacked_blocks: bool = False
    """Goes on with Block1 only after a 2.31 in the acknowledgement; gives up after any other."""

    @property
    def max_transmit_span(self) -> float:
        """Return the seconds from the first transmission of a CON to the last, at most (RFC 7252 §4.8.2)."""
        return self.ack_timeout * ((1 << self.max_retransmit) - 1) * self.ack_random_factor

    @property
    def exchange_lifetime(self) -> float:
        """Return the seconds after which no message of an exchange is outstanding (RFC 7252 §4.8.2)."""
        return self.max_transmit_span + 2 * MAX_LATENCY + self.ack_timeout

    def for_aiocoap(self, *, confirmable: bool | None = None) -> TransportTuning:
        """Return the same for aiocoap; `confirmable` decides CON or NON, None leaves it to aiocoap."""
        tuning = TransportTuning()
        tuning.ACK_TIMEOUT = self.ack_timeout
        tuning.ACK_RANDOM_FACTOR = self.ack_random_factor
        tuning.MAX_RETRANSMIT = self.max_retransmit
        tuning.EMPTY_ACK_DELAY = self.empty_ack_delay
        tuning.reliability = confirmable
        return tuning


@dataclass(frozen=True, slots=True)
class Request:
    """A CoAP request, to be sent or as it arrived (its body whole). `code` is 1..7 as `0.0x`: GET is `0.01`."""

    code: str
    path: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    payload: bytes = b""
    content_format: int | None = None
    accept: int | None = None
    observe: int | None = None
    confirmable: bool = True
    options: tuple[tuple[int, bytes], ...] = ()
    """Further options, to be sent only."""
    host: str | None = None
    """Uri-Host, of a request that arrived."""
    echo: bytes | None = None
    """Echo (RFC 9175 §2); one that a peer asks for is sent by itself."""
    security: Any = None
    """OSCORE context that protects the request, or that verified it; None: unprotected."""
    peer: Address = ("", 0)
    mid: int = 0
    token: bytes = b""


GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = (f"0.0{number}" for number in range(1, 8))


class Subscription(Protocol):
    """What makes the notifications of an observation that the handler accepted."""

    def notifications(self) -> AsyncIterator["Response"]:
        """Yield responses: each becomes a notification; one that is no success ends the observation."""

    def closed(self) -> None:
        """End: the observation was cancelled, replaced, answered by RST, given up or shut down."""


@dataclass(frozen=True, slots=True)
class Response:
    """A CoAP response or notification. `time` is seconds of the loop's clock, set on arrival."""

    code: str
    payload: bytes = b""
    content_format: int | None = None
    location: tuple[str, ...] = ()
    observe: int | None = None
    confirmable: bool = True
    """Of a notification: CON or NON."""
    subscription: Subscription | None = None
    mid: int = 0
    token: bytes = b""
    type: str = ""
    time: float = 0.0
    max_age: int | None = None
    echo: bytes | None = None
    peer: Address = ("", 0)

    @property
    def ok(self) -> bool:
        """Return whether the response is a success (2.xx)."""
        return self.code.startswith("2.")


class NoAnswer(Exception):
    """The time of a request has passed."""


class NotAcknowledged(NoAnswer):
    """A CON request was retransmitted as often as allowed, and no ACK came."""


class Reset(Exception):
    """The peer answered RST."""


class Closed(Exception):
    """The endpoint was shut down under the request."""


Handler = Callable[[Request], Awaitable[Response]]


def dotted(code: str) -> Code:
    return Code((int(code[0]) << 5) + int(code[2:]))


def block_of(option: Any) -> Block | None:
    return None if option is None else Block(option.block_number, bool(option.more), option.size_exponent)


async def resolve(uri: str) -> Address:
    """Return address and port of a `coap://` or `coaps://` URI; ValueError for others, OSError for an unknown name."""
    parts = urlsplit(uri)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"not a coap:// URI, nor a coaps:// one: {uri!r}")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(parts.hostname)), port
    found: Sequence[Any] = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port)
    host, port = found[0][4][:2]
    return host, port
