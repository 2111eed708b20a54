"""TLS handshakes of callers: limited in time and in number. Beyond the limit the oldest one is ended.

asyncio's own servers limit only the time, so that silent callers could take every file descriptor.
"""

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from functools import partial
from typing import cast

MOST = 256  # handshakes at the same time; a regular one takes some milliseconds


class Handshakes:
    """`accept` makes the protocol of a new connection; after the handshake it is replaced by that of `make`."""

    def __init__(
        self,
        context: ssl.SSLContext,
        seconds: float,
        make: Callable[[], asyncio.Protocol | asyncio.BufferedProtocol],
        connection_refused: Callable[[str, str], None],
    ) -> None:
        self._context = context
        self._seconds = seconds
        self._make = make
        self._connection_refused = connection_refused
        self._under_way: dict[asyncio.Transport, None] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def accept(self) -> asyncio.Protocol:
        """Return the protocol of a connection that was accepted."""
        return _Accepted(self)

    def begin(self, transport: asyncio.Transport) -> None:
        """Begin a handshake."""
        if len(self._under_way) >= MOST:
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            self._connection_refused("too_many", _remote(oldest))
            oldest.abort()
        self._under_way[transport] = None
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        over.add_done_callback(partial(self._over, transport))
        seconds = cast("int", self._seconds)  # any number, in spite of the stub
        tls = SSLProtocol(loop, self._make(), self._context, over, server_side=True, ssl_handshake_timeout=seconds)
        transport.set_protocol(tls)
        tls.connection_made(transport)

    def stop(self) -> None:
        """End all running handshakes."""
        for transport in list(self._under_way):
            transport.abort()

    def _over(self, transport: asyncio.Transport, over: "asyncio.Future[None]") -> None:
        self._under_way.pop(transport, None)
        if not over.cancelled():
            over.exception()  # it was recorded where it was raised


class _Accepted(asyncio.Protocol):
    def __init__(self, handshakes: Handshakes) -> None:
        self._handshakes = handshakes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._handshakes.begin(cast("asyncio.Transport", transport))


def _remote(transport: asyncio.Transport) -> str:
    name = transport.get_extra_info("peername")
    return str(name[0]) if name else ""
