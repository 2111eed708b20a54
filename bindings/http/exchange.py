"""One connection of the HTTP client: a request out, its response in, then the next. llhttp (httptools) parses."""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import httptools
import msgspec

from bindings.http.messages import add_header

BUFFER = 65536  # bytes read at once
_HEAD_LIMIT = 65536  # bytes of a response that are not its body, beyond the framing of its chunks
_CHUNK = 16  # bytes around the data of a chunk that are not counted (RFC 9112 §7.1)
_NO_BODY = {204, 304}  # RFC 9112 §6.3


class Unsent(ConnectionError):
    """The connection ended before anything of the request was written."""


class Response(msgspec.Struct, frozen=True):
    """What a server answered. Headers by lower-case name; `whole`: the body is not longer than the limit."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""
    whole: bool = True


class Exchange(asyncio.BufferedProtocol):
    """Carries one exchange at a time. `reusable`: another one may follow."""

    _transport: asyncio.Transport

    def __init__(
        self, buffer: bytearray, made: Callable[["Exchange"], None], lost: Callable[["Exchange"], None]
    ) -> None:
        """`buffer`: shared by all connections, since bytes are parsed before anything else is read."""
        self._loop = asyncio.get_running_loop()
        self._made = made
        self._lost = lost
        self._buffer = buffer
        self._waiting: asyncio.Future[Response] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self.reusable = True

    async def ask(
        self,
        request: bytes,
        limit: int,
        seconds: float | None,
        *,
        tunnel: bool = False,
        part: Callable[[bytes], None] | None = None,
    ) -> Response:
        """Send a request and return its response. `tunnel`: it is a CONNECT, whose success has no body.

        `part` is called with the body of a success as it comes, of any length; `seconds` None: no time limit.
        Raises TimeoutError, or ConnectionError if the connection breaks or the answer is not HTTP; Unsent
        if it broke before.
        """
        if not self.reusable:
            raise Unsent("the connection was closed before it was used")
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._beside_body = self._size = 0
        self._in_head = True
        self._limit = limit
        self._tunnel = tunnel
        self._part = part
        waiting: asyncio.Future[Response] = self._loop.create_future()
        self._waiting = waiting
        if seconds is not None:
            self._timer = self._loop.call_later(max(seconds, 0.0), self._too_late)
        self._transport.write(request)
        try:
            return await waiting
        except BaseException:
            self.abort()
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def idle_for(self) -> float:
        """Return the seconds since its last response."""
        return self._loop.time() - self._since

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS with `host`, through a tunnel."""
        try:
            transport = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        except BaseException:
            self._lost(self)  # asyncio does not report the end of a connection whose TLS handshake failed
            raise
        if transport is None:
            raise ConnectionError("the connection was closed before TLS was established")
        self._transport = transport

    def abort(self) -> None:
        """Drop the connection."""
        self.reusable = False
        self._transport.abort()

    # -- asyncio -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._since = self._loop.time()
        self._made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self)
        until_end = self._waiting is not None and not self._in_head and self._ends_with_connection()
        if until_end and exc is None:
            self._complete()
        self._fail(f"the connection broke: {exc or 'closed by the server'}")

    def eof_received(self) -> None:
        """Send nothing more: the end is reported one turn of the event loop later."""
        self.reusable = False

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  # the interface of asyncio
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._waiting is None or self._waiting.done():
            self.abort()  # nothing was asked
            return
        try:
            self._parser.feed_data(memoryview(self._buffer)[:nbytes])
        except httptools.HttpParserUpgrade:
            pass  # the tunnel is there
        except httptools.HttpParserError as error:
            self._fail(f"the answer is not HTTP: {error}")
        self._beside_body += nbytes
        if self._beside_body > _HEAD_LIMIT:
            self._fail("the head of the response, its chunk extensions or its trailers are too long")

    # -- called by the parser ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._waiting is None:
            self.abort()  # an extra response, which would be mistaken for that to the next request

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head and self._waiting is not None:  # else a trailer: no header that is needed may come so late
            add_header(self._headers, name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._headers.get("transfer-encoding", "chunked").lower() != "chunked":
            self._fail("the response has a transfer coding that was not asked for")
        elif self._tunnel:
            self._complete()

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        self._beside_body -= len(body) + _CHUNK
        if self._part is not None and self._parser.get_status_code() < 300:  # noqa: PLR2004  # RFC 9110 §15.4
            self._part(body)
        elif self._size > self._limit:
            self._body = []
            self._complete(whole=False)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # noqa: PLR2004  # RFC 9110 §15.2: the final one is to come
            self._headers = {}
            self._in_head = True
        else:
            self._complete()

    # -- ending --------------------------------------------------------------------------------------------------

    def _ends_with_connection(self) -> bool:
        headers = self._headers
        bodiless = self._parser.get_status_code() in _NO_BODY
        return not bodiless and "content-length" not in headers and "transfer-encoding" not in headers

    def _complete(self, *, whole: bool = True) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        self._since = self._loop.time()
        status = self._parser.get_status_code()
        if not self._tunnel and (
            not whole
            or self._ends_with_connection()
            or not self._parser.should_keep_alive()
            or self._transport.get_write_buffer_size()  # answered too early: the next request would not be read
        ):
            self.abort()
        waiting.set_result(Response(status, self._headers, b"".join(self._body), whole))

    def _too_late(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(TimeoutError())

    def _fail(self, why: str) -> None:
        self.reusable = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(ConnectionError(why))
