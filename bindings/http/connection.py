"""One connection of the HTTP server: bytes in, whole requests out, answers in their order (RFC 9112).

The parser is llhttp (httptools); it calls back for each part of a request. Everything that a caller could make large or
slow is bounded here.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

import httptools

from bindings.http.heads import KnownHeads, RequestHead
from bindings.http.messages import Answer, Request, Writer, add_header, problem

BUFFER = 65536  # bytes read at once
HEAD_LIMIT = 16384  # bytes of an unfinished request that are not its body: request line, headers, chunk sizes, trailers
CHUNK = 6  # bytes that one byte of a body takes in its own chunk (RFC 9112 §7.1)
LINGER = 5.0  # seconds in which the rest of a refused request is read and dropped, so that its caller sees the answer

_HOST = re.compile(r"[^\s,/?#@\\]*")

Reply = Callable[[Answer], None]


class Application(Protocol):
    """The application of a server."""

    def refuse(self, request: Request) -> Answer | None:
        """Check the head of a request; an answer refuses the request, and its body is dropped as it comes."""

    def answer(self, request: Request, reply: Reply) -> None:
        """Process a whole request; `reply` must be called once, now or later. Never raises."""

    def connection_refused(self, why: str, remote: str) -> None:
        """Count a refused connection (malformed, too_large, too_many, too_slow, no_tls) or a closed one (cut_off)."""


@dataclass(slots=True)
class SharedState:
    """What all connections of a server share. Times are seconds."""

    site: Application
    max_body: int  # bytes
    patience: float  # for a head, and for a body
    clock: Callable[[], float]
    arrived: Callable[["Connection"], bool]  # False: there are too many connections
    known: Callable[["Connection"], None]  # its first request was not refused
    left: Callable[["Connection"], None]
    buffer: bytearray  # one buffer: bytes are parsed before anything else is read
    writer: Writer
    heads: KnownHeads = field(default_factory=KnownHeads)
    stopping: bool = False


class Connection(asyncio.BufferedProtocol):
    """Reads requests, and answers them one at a time, in their order.

    `due` is the time limit of its caller for a request or to read its answers; None while there
    is none. `since` is when it became idle.
    """

    def __init__(self, shared: SharedState) -> None:
        self._shared = shared
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._body: list[bytes] = []
        self._beside_body = 0  # bytes of the request that are not its body, without those of the read in which it began
        self._body_size = self._head_size = 0
        self._begins = False  # in the bytes being parsed
        self._whole: bytes | None = None  # the bytes being parsed, if no request was under way before them
        self._is_known = False  # a request of it was not refused
        self._in_head = False
        self._in_body = False
        self._refusal: Answer | None = None
        self._answering: Request | None = None
        self._pipelined: deque[Request] = deque()
        self._unread = False  # the caller does not read its answers: until it does, no request is read or answered
        self._half_closed = False  # the caller sends no more, and still reads
        self._deaf = False  # further bytes are dropped: the last answer is decided
        self._ending = False  # the last answer is written
        self.remote = ""
        self.since = shared.clock()
        self.due: float | None = self.since + shared.patience

    @property
    def idle(self) -> bool:
        """Return whether the connection had a request before, and none is being read or answered."""
        return self.due is None and self._answering is None

    @property
    def has_asked(self) -> bool:
        """Return whether a request, or a part of one, is being read or waits for its answer."""
        return self._in_head or self._in_body or self._answering is not None or bool(self._pipelined)

    # -- asyncio -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.remote = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._shared.arrived(self):
            self._shared.site.connection_refused("too_many", self.remote)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the interface of asyncio
        self._shared.left(self)
        if (self._in_head or self._in_body) and not self._deaf:
            self._shared.site.connection_refused("cut_off", self.remote)
        self._deaf = self._ending = True
        self._pipelined.clear()

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  # as above
        return self._shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(memoryview(self._shared.buffer)[:nbytes])
        is_between = not (self.has_asked or self._deaf or self._unread)
        if is_between and (found := self._shared.heads.find(data)) is not None:
            self._take_known(*found)
            return
        self._whole = data if is_between else None
        body_before = self._body_size
        self._begins = False
        while data and not self._deaf:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._parser = httptools.HttpRequestParser(self)
                self._whole = None
                data = self._without_offer() + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._give_up(400, "malformed")
            else:
                break
        if (self._in_head or self._in_body) and not self._begins:
            self._beside_body += max(0, nbytes - CHUNK * (self._body_size - body_before))
            if self._beside_body > HEAD_LIMIT:
                self._give_up(431, "too_large")

    def eof_received(self) -> bool:
        """Keep the connection open for the answers to come; with TLS it closes."""
        self._half_closed = self._answering is not None and self._transport.can_write_eof()
        return self._half_closed

    def pause_writing(self) -> None:
        """Stop reading requests of a caller that does not read its answers, which would pile up."""
        self._unread = True
        self.due = self._shared.clock() + self._shared.patience
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue: the caller has read its answers."""
        self._unread = False
        if not self._ending:
            unfinished = self._in_head or self._in_body
            self.due = self._shared.clock() + self._shared.patience if unfinished and not self._deaf else None
            self._next()

    def _take_known(self, head: RequestHead, body: bytes) -> None:
        """Take a whole request whose head is known, as if the parser had called back for it."""
        request = head.request(body, self.remote)
        request.refusal = self._judged(request)
        if head.length > self._shared.max_body:  # it is less than when the head was learned
            self._give_up(413, "too_large")
            return
        self.due = None
        self._begin(request)

    def _judged(self, request: Request) -> Answer | None:
        """Return the site's refusal of a request; a caller whose request is not refused is no stranger any more."""
        refusal = self._shared.site.refuse(request)
        if refusal is None and not self._is_known:
            self._is_known = True
            self._shared.known(self)
        return refusal

    # -- called by the parser ------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._deaf:
            return
        self._request = Request(remote=self.remote)
        self._body = []
        self._beside_body = self._body_size = self._head_size = 0
        self._begins = self._in_head = True
        self.due = self._shared.clock() + self._shared.patience

    def on_url(self, url: bytes) -> None:
        self._head_size += len(url)
        self._request.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else a trailer: no header that is needed may come so late (RFC 9110 §6.5.1)
            self._head_size += len(name) + len(value)
            add_header(self._request.headers, name, value)

    def on_headers_complete(self) -> None:
        if self._deaf:
            return
        self._in_head = False
        self._in_body = True
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        if refusal := self._flaw(request):
            self._give_up(*refusal)
        if self._deaf or self._parser.should_upgrade():
            return
        self._refusal = self._judged(request)
        if int(request.headers.get("content-length", 0)) > self._shared.max_body:
            self._give_up(413, "too_large")
        elif "expect" in request.headers and not self._is_old:  # RFC 9110 §10.1.1: it asks before it sends the body
            if self._refusal is None:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            else:
                self._end_with(self._refusal)

    @property
    def _is_old(self) -> bool:
        return self._parser.get_http_version() == "1.0"

    def _flaw(self, request: Request) -> tuple[int, str] | None:
        """Return why a head is refused, as status and counter, in addition to the parser's checks."""
        headers = request.headers
        if self._head_size > HEAD_LIMIT:
            return 431, "too_large"
        if request.method == "CONNECT":
            return 405, "malformed"
        host = headers.get("host")
        if not (self._is_old if host is None else _HOST.fullmatch(host)):  # RFC 9112 §3.2
            return 400, "malformed"
        if (coding := headers.get("transfer-encoding")) is not None:
            if self._is_old:  # RFC 9112 §6.1: its meaning is unclear
                return 400, "malformed"
            if coding.lower() != "chunked":
                return 501, "malformed"
        if (expectation := headers.get("expect")) is not None and expectation.lower() != "100-continue":
            return 417, "malformed"
        return None

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._shared.max_body:
            self._give_up(413, "too_large")
        elif self._refusal is None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._deaf or self._parser.should_upgrade():
            return
        self._in_body = False
        if not self._unread:
            self.due = None
        request = self._request
        request.body = b"".join(self._body)
        request.refusal = self._refusal
        request.last = not self._parser.should_keep_alive()
        if self._whole is not None and self._refusal is None and not request.last:
            self._shared.heads.learn(self._whole, request)
        if self._answering is None and not self._pipelined and not self._unread:
            self._begin(request)
        else:
            self._pipelined.append(request)
            self._transport.pause_reading()

    def _without_offer(self) -> bytes:
        """Return the head of a request that offers another protocol (such as h2c) without the offer, for the parser.

        The offer is not accepted, but the parser would continue as if it were, and not read the body.
        """
        request = self._request
        request.headers.pop("upgrade", None)
        lines = [f"{request.method} {request.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    # -- answering -----------------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> None:
        self._answering = request
        if request.refusal is None:
            self._shared.site.answer(request, self._reply)
        else:
            self._reply(request.refusal)

    def _reply(self, answer: Answer) -> None:
        request, self._answering = self._answering, None
        if request is None or self._ending:
            return  # the caller has closed it meanwhile
        nothing_follows = self._half_closed and not self._pipelined
        if answer.close or request.last or nothing_follows or self._shared.stopping:
            self._end(answer, head_only=request.method == "HEAD")
            return
        self._transport.write(self._shared.writer.write(answer, head_only=request.method == "HEAD"))
        self.since = self._shared.clock()
        if self._pipelined:
            # In its own turn of the loop: answers without a wait would otherwise nest arbitrarily deep.
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        if self._answering is None and self._pipelined and not self._unread and not self._ending:
            self._begin(self._pipelined.popleft())
        if not self._pipelined and not self._unread and not self._ending:
            self._transport.resume_reading()

    # -- ending --------------------------------------------------------------------------------------------------

    def _give_up(self, status: int, why: str) -> None:
        """Answer a request without reading the rest, and end the connection."""
        if not self._deaf:
            self._shared.site.connection_refused(why, self.remote)
            self._end_with(problem(status, why.replace("_", " ")))

    def _end_with(self, answer: Answer) -> None:
        """Make this the last answer.

        The answer is sent after those to earlier requests, for which it would be mistaken.
        """
        self._deaf = True
        if self._answering is None and not self._pipelined:
            self._end(answer)
            return
        if not self._unread:
            self.due = None
        self._pipelined.append(Request(refusal=answer, last=True))

    def _end(self, answer: Answer, *, head_only: bool = False) -> None:
        """Write the last answer. Closed with unread bytes, it would be reset before the caller sees it."""
        self._deaf = self._ending = True
        self._pipelined.clear()
        self._transport.write(self._shared.writer.write(answer, close=True, head_only=head_only))
        self.due = self._shared.clock() + LINGER
        if self._shared.stopping or not self._transport.can_write_eof():
            if not (self._in_head or self._in_body):
                self._transport.close()
                return
        else:
            try:
                self._transport.write_eof()  # RFC 9112 §9.6: in stages, so that further bytes do not reset it
            except OSError:  # the caller has closed it meanwhile
                self._transport.abort()
                return
        self._transport.resume_reading()

    def overdue(self) -> None:
        """End the connection of a caller that takes too long."""
        if self._ending:
            self.abort()
        elif self._pipelined and not self._unread:  # the server itself does not read on
            self.due = self._shared.clock() + self._shared.patience
        elif not self.has_asked and not self._unread:
            self.close()  # clients open connections that they then do not need, as ChirpStack's does
        elif (self._in_body or self._answering is not None) and not self._unread:
            self._give_up(408, "too_slow")
        else:
            self._shared.site.connection_refused("too_slow", self.remote)
            self.abort()

    def abort(self) -> None:
        """Abort the connection."""
        self._deaf = self._ending = True
        self._transport.abort()

    def close(self) -> None:
        """Close an idle connection; abort it if its caller has unread answers, since it would never end."""
        self._deaf = self._ending = True
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()
