"""Heads that were read before (`bindings.http.heads`): a request is the same, whoever has sent its head before."""

import asyncio
import random
from collections.abc import Callable

import pytest

from bindings.http.connection import BUFFER, Connection, Reply, SharedState
from bindings.http.heads import LONGEST, MOST, KnownHeads
from bindings.http.messages import NO_CONTENT, Answer, Request, Writer, problem


class Transport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return "127.0.0.1", 1

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Site:
    """Answers each request at once; refuses those that `refuses`."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, dict[str, str], bytes]] = []
        self.refused = 0
        self.refuses: Callable[[Request], bool] = lambda request: request.path == "/no"
        self.away: list[str] = []

    def refuse(self, request: Request) -> Answer | None:
        if not self.refuses(request):
            return None
        self.refused += 1
        return problem(401, "refused")

    def answer(self, request: Request, reply: Reply) -> None:
        self.taken.append((request.method, request.target, dict(request.headers), request.body))
        request.headers["changed"] = "by the site"
        reply(NO_CONTENT)

    def connection_refused(self, why: str, _remote: str) -> None:
        self.away.append(why)


class Server:
    """Connections of one server; `forgets`: no head is known to it."""

    def __init__(self, *, forgets: bool = False) -> None:
        self.site = Site()
        self.known: list[Connection] = []
        self.heads = KnownHeads()
        if forgets:
            self.heads.find = lambda _data: None  # type: ignore[method-assign]
        self.shared = SharedState(
            self.site,
            1000,
            20.0,
            lambda: 0.0,
            lambda _: True,
            self.known.append,
            lambda _: None,
            bytearray(BUFFER),
            Writer(),
            self.heads,
        )

    def connection(self) -> tuple[Connection, Transport]:
        connection, transport = Connection(self.shared), Transport()
        connection.connection_made(transport)  # type: ignore[arg-type]
        return connection, transport

    def read(self, connection: Connection, data: bytes) -> None:
        connection.get_buffer(-1)[: len(data)] = data
        connection.buffer_updated(len(data))


def post(body: bytes, headers: str = "", target: str = "/a?n=1") -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: b\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the parser called back for."""
    urls: list[bytes] = []
    on_url = Connection.on_url
    monkeypatch.setattr(Connection, "on_url", lambda self, url: (urls.append(url), on_url(self, url))[1])
    return urls


async def test_a_head_that_was_read_before_is_not_parsed_again_on_any_connection(server, parsed):
    for body in (b"one", b"two", b"six"):
        connection, transport = server.connection()
        server.read(connection, post(body, "X-A: b\r\n"))
        assert transport.written.startswith(b"HTTP/1.1 204 ")
    headers = {"host": "b", "x-a": "b", "content-length": "3"}
    assert server.site.taken == [("POST", "/a?n=1", headers, body) for body in (b"one", b"two", b"six")]
    assert parsed == [b"/a?n=1"]


async def test_its_caller_is_checked_each_time(server):
    connection, _ = server.connection()
    server.read(connection, post(b"body"))
    server.site.refuses = lambda _request: True
    again, transport = server.connection()
    server.read(again, post(b"body"))
    assert transport.written.startswith(b"HTTP/1.1 401 ")
    assert len(server.site.taken) == 1
    assert server.known == [connection]  # the other one is still a stranger


async def test_a_caller_whose_head_is_known_is_no_stranger(server):
    first, second = server.connection()[0], server.connection()[0]
    server.read(first, post(b"body"))
    server.read(second, post(b"body"))
    assert server.known == [first, second]
    assert second.due is None
    assert second.idle


async def test_a_body_that_is_too_large_since_a_reload_is_refused(server):
    connection, transport = server.connection()
    server.read(connection, post(b"body"))
    server.shared.max_body = 3
    server.read(connection, post(b"body"))
    assert b"HTTP/1.1 413 " in transport.written
    assert len(server.site.taken) == 1
    assert server.site.away == ["too_large"]


@pytest.mark.parametrize(
    "data",
    [
        post(b"body", target="/no"),
        post(b"body", "Connection: close\r\n"),
        post(b"body", "Expect: 100-continue\r\n"),
        post(b"body", "Upgrade: h2c\r\nConnection: Upgrade\r\n"),
        post(b"body").replace(b"HTTP/1.1", b"HTTP/1.0"),
        b"POST /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n",
        post(b"body") + post(b"body"),
        post(b"body") + b"POST",
        post(b"body", f"X: {'x' * LONGEST}\r\n"),
    ],
    ids=["refused", "last", "asks first", "upgrade", "1.0", "chunked", "no length", "two", "one and a part", "long"],
)
async def test_only_a_plain_accepted_request_is_remembered(server, data):
    server.read(server.connection()[0], data)
    assert not server.heads._known


async def test_a_request_in_two_reads_is_not_mistaken_for_a_known_one(server):
    connection, _ = server.connection()
    server.read(connection, post(b"body"))
    inner = post(b"body")
    whole = post(inner)  # its body looks like a request with a known head
    server.read(connection, whole[: -len(inner)])
    server.read(connection, inner)
    assert [body for *_, body in server.site.taken] == [b"body", inner]


async def test_no_more_than_a_number_of_heads_is_kept(server):
    for n in range(3 * MOST):
        server.read(server.connection()[0], post(b"body", target=f"/{n}"))
    assert len(server.heads._known) == MOST
    assert len(server.site.taken) == 3 * MOST


PARTS = [
    post(b"body"),
    post(b"dog!"),
    post(b""),
    post(b"x" * 999),
    post(b"x" * 1001),
    post(b"body", "Connection: close\r\n"),
    post(b"body", "Connection: keep-alive\r\n"),
    post(b"body", "content-length: 4\r\n"),
    post(b"body", target="/no"),
    post(post(b"body")),
    b"\r\n" + post(b"body"),
    b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    b"\r\n\r\n",
    b"nonsense\r\n\r\n",
]


async def test_a_server_that_knows_heads_does_what_one_does_that_parses_each_head():
    draw = random.Random(7)
    knows, forgets = Server(), Server(forgets=True)
    for _ in range(400):
        reads: list[bytes] = []
        for part in draw.choices(PARTS, k=draw.randint(1, 6)):
            cut = draw.choice([len(part), len(part), draw.randint(0, len(part))])
            reads += [piece for piece in (part[:cut], part[cut:]) if piece]
        answers = []
        for server in (knows, forgets):
            connection, transport = server.connection()
            for data in reads:
                if not transport.closed:
                    server.read(connection, data)
                    await asyncio.sleep(0)
            answers.append(transport.written)
            connection.connection_lost(None)
        assert answers[0].count(b"HTTP/1.1") == answers[1].count(b"HTTP/1.1")
        assert knows.site.taken == forgets.site.taken
        assert (knows.site.refused, knows.site.away) == (forgets.site.refused, forgets.site.away)
    assert len(knows.site.taken) > 400
