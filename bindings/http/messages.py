"""Requests and answers of the HTTP server, and the bytes of an answer (RFC 9110, RFC 9112)."""

import time
from email.utils import formatdate
from http import HTTPStatus

import msgspec

Headers = tuple[tuple[str, str], ...]

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Answer(msgspec.Struct, frozen=True):
    """The answer to a request. `close`: nothing more is read from the connection."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    close: bool = False


class Request(msgspec.Struct, eq=False):
    """One request. Headers are by lower-case name; repeated ones are joined by a comma."""

    method: str = ""
    target: str = ""  # as in the request line
    headers: dict[str, str] = {}
    body: bytes = b""
    remote: str = ""  # the caller's address
    sub_path: str = ""  # the part of the path behind the secret of the listener
    before: str = ""  # the part of the path before the listener's own, if the listener reads it
    last: bool = False  # the connection ends after it
    refusal: Answer | None = None

    @property
    def path(self) -> str:
        """Return the target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """Return what follows the question mark."""
        return self.target.partition("?")[2]


NO_CONTENT = Answer(204)


def add_header(headers: dict[str, str], name: bytes, value: bytes) -> None:
    """Add a header: by lower-case name, joined to earlier ones of the name (RFC 9110 §5.3)."""
    key = name.decode("latin-1").lower()
    text = value.decode("latin-1")
    headers[key] = f"{headers[key]}, {text}" if key in headers else text


def problem(status: int, title: str, headers: Headers = (), *, close: bool = False) -> Answer:
    """Make an error answer (RFC 9457)."""
    body = msgspec.json.encode({"title": title, "status": status})
    return Answer(status, body, (("Content-Type", "application/problem+json"), *headers), close)


class Writer:
    """Encodes answers. The Date header and frequent answers are made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._date = ""
        self._latest: Answer | None = None
        self._made = b""

    def write(self, answer: Answer, *, close: bool = False, head_only: bool = False) -> bytes:
        """Return the bytes of an answer. `close`: the connection ends; `head_only`: it answers a HEAD."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = f"Date: {formatdate(second, usegmt=True)}\r\n"
            self._latest = None
        plain = not close and not head_only
        if answer is self._latest and plain:
            return self._made
        head = f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}\r\n{self._date}"
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        if answer.status != NO_CONTENT.status:  # RFC 9110 §8.6
            head += f"Content-Length: {len(answer.body)}\r\n"
        if close:
            head += "Connection: close\r\n"
        made = f"{head}\r\n".encode() + (b"" if head_only else answer.body)
        if plain:
            self._latest, self._made = answer, made
        return made
