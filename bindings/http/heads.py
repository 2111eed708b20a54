"""Heads of requests that were read before: a caller sends nearly the same bytes before each body (RFC 9112 §2.1).

The parser calls back for each part of a head. The same bytes at the beginning of a request mean the same again, so that
a head need not be parsed a second time. Only heads are remembered whose body has a Content-Length, and after which the
connection goes on.
"""

import msgspec

from bindings.http.messages import Request

MOST = 256  # heads that are remembered: each length of a body makes another one
LONGEST = 2048  # bytes of such a head
_END = b"\r\n\r\n"
_FRAMING = {"connection", "expect", "transfer-encoding", "upgrade"}
"""Headers that change where a request ends, or what follows it: the parser and the connection handle them each time."""


class RequestHead(msgspec.Struct, frozen=True):
    """What a head says."""

    method: str
    target: str
    headers: dict[str, str]
    length: int  # of the body, bytes

    def request(self, body: bytes, remote: str) -> Request:
        """Return a request of a caller with this head."""
        return Request(self.method, self.target, self.headers.copy(), body, remote)


class KnownHeads:
    """Remembers heads by their bytes: those of accepted requests only, so that nobody else can fill its room."""

    def __init__(self) -> None:
        self._known: dict[bytes, RequestHead] = {}

    def find(self, data: bytes) -> tuple[RequestHead, bytes] | None:
        """Return the head and the body if `data` is exactly one request whose head is known."""
        end = data.find(_END) + len(_END)
        head = self._known.get(data[:end])
        if head is None or len(data) - end != head.length:
            return None
        return head, data[end:]

    def learn(self, data: bytes, request: Request) -> None:
        """Remember the head of a request that the parser has made of `data`, all of it and nothing else."""
        headers = request.headers
        length = headers.get("content-length", "")
        end = data.find(_END) + len(_END)
        if not length.isdecimal() or end > LONGEST or data[end:] != request.body or not _FRAMING.isdisjoint(headers):
            return
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[data[:end]] = RequestHead(request.method, request.target, headers.copy(), int(length))
