"""The HTTP server of the bindings, met as callers meet it: bytes on a socket (RFC 9110, RFC 9112)."""

import asyncio
import contextlib
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from bindings.http import handshakes
from bindings.http.connection import HEAD_LIMIT, Reply
from bindings.http.messages import NO_CONTENT, Answer, Request, problem
from bindings.http.server import HttpServer, Limits


class Site:
    """Answers each request with what it brought; those to /later when `release` is called."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.counts: Counter[str] = Counter()
        self.held: list[Callable[[], None]] = []

    def refuse(self, request: Request) -> Answer | None:
        return problem(404, "nothing here") if request.path == "/nothing" else None

    def answer(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        answer = NO_CONTENT if request.path == "/none" else Answer(200, request.target.encode() + b" " + request.body)
        if request.path == "/later":
            self.held.append(lambda: reply(answer))
        else:
            reply(answer)

    def connection_refused(self, why: str, remote: str) -> None:
        assert remote == "127.0.0.1"
        self.counts[why] += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)


class Caller:
    """One connection of a caller."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            length = 0 if head_only else int(headers.get("content-length", 0))
            return int(lines[0].split()[1]), headers, await self.reader.readexactly(length)

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
async def server(site: Site) -> AsyncIterator[HttpServer]:
    one = HttpServer(site, Limits(max_body=1000, connections=3, patience=0.4))
    await one.start("127.0.0.1", 0, None)
    yield one
    await one.stop()


@pytest.fixture
async def call(server: HttpServer) -> AsyncIterator[Callable]:
    opened: list[Caller] = []

    async def connect() -> Caller:
        assert server.address is not None
        caller = Caller(*await asyncio.open_connection(*server.address))
        opened.append(caller)
        return caller

    yield connect
    for caller in opened:
        caller.writer.close()


def post(path: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: bridge\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


# -- requests that are in order -----------------------------------------------------------------------------------


async def test_a_connection_is_kept_for_the_next_request(call, site):
    caller = await call()
    for number in range(3):
        caller.send(post(f"/a?n={number}", b"body"))
        assert await caller.answer() == (
            200,
            {"date": site_date(), "content-length": "11"},
            f"/a?n={number} body".encode(),
        )
    assert [r.query for r in site.requests] == ["n=0", "n=1", "n=2"]


def site_date():
    class Any:
        def __eq__(self, other):
            return other.endswith(" gmt")

        def __hash__(self):
            return 0

    return Any()


async def test_204_has_no_length(call):
    caller = await call()
    caller.send(post("/none", b"x"))
    status, headers, _ = await caller.answer()
    assert status == 204
    assert "content-length" not in headers  # RFC 9110 §8.6


async def test_header_names_know_no_case_and_repeated_ones_are_joined(call, site):
    caller = await call()
    caller.send(b"POST / HTTP/1.1\r\nhOST: x\r\nX-Two: a\r\nx-two: b\r\nContent-Length: 0\r\n\r\n")
    await caller.answer()
    assert site.requests[0].headers == {"host": "x", "x-two": "a, b", "content-length": "0"}


async def test_a_chunked_body_is_one_body(call, site):
    caller = await call()
    caller.send(
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    )
    assert (await caller.answer())[2] == b"/a abcde"


async def test_pipelined_requests_are_answered_in_their_order(call, site):
    caller = await call()
    caller.send(post("/later", b"1") + post("/a", b"2") + post("/later", b"3") + post("/b", b"4"))
    await site.until(lambda: len(site.held) == 1)
    assert len(site.requests) == 1  # one at a time
    site.held[0]()
    await site.until(lambda: len(site.held) == 2)
    site.held[1]()
    assert [(await caller.answer())[2] for _ in range(4)] == [b"/later 1", b"/a 2", b"/later 3", b"/b 4"]


async def test_as_many_pipelined_requests_as_a_read_holds_do_not_nest(call, site):
    caller = await call()
    caller.send(b"GET /later HTTP/1.1\r\nHost: b\r\n\r\n" + b"GET / HTTP/1.1\r\nHost: b\r\n\r\n" * 3000)
    await site.until(lambda: bool(site.held))
    site.held[0]()
    for _ in range(3001):
        assert (await caller.answer())[0] == 200


async def test_a_request_that_waits_behind_others_is_not_too_slow(call, site):
    """Its rest may have come long ago: it is not read while earlier ones wait for their answers."""
    caller = await call()
    caller.send(post("/later") + post("/a") + post("/b")[:20])
    await site.until(lambda: bool(site.held))
    caller.send(post("/b")[20:])
    await asyncio.sleep(1.0)  # more than twice the patience
    site.held[0]()
    assert [(await caller.answer())[0] for _ in range(3)] == [200, 200, 200]
    assert not site.counts


async def test_it_makes_no_difference_where_the_bytes_are_cut(call, site):
    """Property: however a stream of requests is cut into pieces, the same requests come out."""
    stream = post("/a?x=1", b"hello") + b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    stream += b"POST /c HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n" + post(
        "/nothing", b"gone"
    )
    draw = random.Random(7)
    for _ in range(20):
        caller = await call()
        cuts = sorted(draw.sample(range(1, len(stream)), 6))
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            caller.send(stream[begin:end])
            await asyncio.sleep(0)
        answers = [await caller.answer() for _ in range(4)]
        assert [(status, body) for status, _, body in answers[:3]] == [
            (200, b"/a?x=1 hello"), (200, b"/b "), (200, b"/c world")
        ]  # fmt: skip
        assert answers[3][0] == 404
        caller.writer.close()


async def test_a_caller_that_asks_first_is_told_to_go_on(call):
    caller = await call()
    caller.send(b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert (await caller.answer())[0] == 100
    caller.send(b"ok")
    assert (await caller.answer())[2] == b"/a ok"


async def test_a_caller_that_asks_first_and_is_refused_sends_no_body(call):
    caller = await call()
    caller.send(b"POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert (await caller.answer())[0] == 404


async def test_an_offer_of_http_2_is_not_taken_up_and_http_1_goes_on(call):
    """Java's HttpClient offers h2c with its first request on plain HTTP."""
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    caller = await call()
    caller.send(post("/a", b"1", offer))
    assert (await caller.answer())[2] == b"/a 1"
    caller.send(post("/b", b"2"))
    assert (await caller.answer())[2] == b"/b 2"
    caller.send(post("/c", b"3", offer) + post("/d", b"4"))
    caller.send(f"POST /e HTTP/1.1\r\nHost: b\r\n{offer}Transfer-Encoding: chunked\r\n\r\n1\r\n5\r\n0\r\n\r\n".encode())
    assert [(await caller.answer())[2] for _ in range(3)] == [b"/c 3", b"/d 4", b"/e 5"]


async def test_http_1_0_and_connection_close_end_the_connection(call):
    for request in (b"GET /a HTTP/1.0\r\n\r\n", post("/a", headers="Connection: close\r\n")):
        caller = await call()
        caller.send(request)
        status, headers, _ = await caller.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await caller.ended()


async def test_a_head_request_gets_no_body(call):
    caller = await call()
    caller.send(b"HEAD /a HTTP/1.1\r\nHost: b\r\n\r\n" + post("/b"))
    status, headers, _ = await caller.answer(head_only=True)
    assert (status, headers["content-length"]) == (200, "3")
    assert (await caller.answer())[2] == b"/b "


async def test_a_caller_that_has_sent_all_still_gets_its_answer(call, site):
    caller = await call()
    caller.send(post("/later"))
    caller.writer.write_eof()
    await site.until(lambda: bool(site.held))
    site.held[0]()
    assert (await caller.answer())[0] == 200
    assert await caller.ended()


# -- callers that are held to something ---------------------------------------------------------------------------


async def test_a_refused_request_is_answered_and_its_connection_goes_on(call, site):
    caller = await call()
    caller.send(post("/nothing", b"x" * 900) + post("/a"))
    assert [(await caller.answer())[0] for _ in range(2)] == [404, 200]
    assert [r.path for r in site.requests] == ["/a"]


@pytest.mark.parametrize(
    "request_",
    [
        post("/a", b"x" * 1001),
        b"POST /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100\r\n" + b"x" * 256 + b"\r\n" * 1,
        b"POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 9999999999\r\nExpect: 100-continue\r\n\r\n",
    ],
    ids=["length", "chunks", "beyond 64 bits", "asked first"],
)
async def test_a_body_that_is_too_large_is_answered_413_or_400_and_never_kept(call, site, request_):
    caller = await call()
    caller.send(request_)
    if b"chunked" in request_:
        caller.send((b"100\r\n" + b"x" * 256 + b"\r\n") * 4)
    assert (await caller.answer())[0] in (413, 400)
    assert not site.requests
    assert site.counts["too_large"] + site.counts["malformed"] == 1
    caller.writer.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello to a plain port
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",  # request smuggling
        b"POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: -1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: b\r\nHead er: x\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"CONNECT else.where:443 HTTP/1.1\r\nHost: b\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_400_counted_and_ends(call, site, garbage):
    caller = await call()
    caller.send(garbage)
    assert (await caller.answer())[0] in (400, 405)
    caller.writer.close()
    assert site.counts == {"malformed": 1}
    assert not site.requests


async def test_random_bytes_never_raise(call, site, caplog):
    draw = random.Random(11)
    for _ in range(50):
        caller = await call()
        base = bytearray(post("/a", b"body", "Expect: 100-continue\r\n"))
        for _ in range(draw.randrange(1, 6)):
            base[draw.randrange(len(base))] = draw.randrange(256)
        caller.send(bytes(base))
        caller.writer.write_eof()
        assert await caller.reader.read() is not None
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_head_without_end_is_cut_off(call, site):
    caller = await call()
    caller.send(b"POST /a HTTP/1.1\r\nHost: b\r\nX: ")
    for _ in range(HEAD_LIMIT // 1024 + 80):
        caller.send(b"x" * 1024)
        await asyncio.sleep(0)
    assert (await caller.answer())[0] == 431
    assert site.counts == {"too_large": 1}
    caller.writer.close()


async def test_a_connection_that_was_opened_for_nothing_is_closed_without_a_word(call, site):
    silent = await call()
    assert await silent.ended()
    assert site.counts == {}


async def test_callers_that_take_too_long_are_sent_away(call, site):
    head, body = await call(), await call()
    head.send(b"POST /a HTTP/1.1\r\nHost:")
    body.send(post("/a", b"1234")[:-1])
    assert (await body.answer())[0] == 408
    assert await head.ended()
    assert site.counts == {"too_slow": 2}


async def test_a_request_that_is_long_in_work_is_not_the_callers_fault(call, site):
    caller = await call()
    caller.send(post("/later"))
    await asyncio.sleep(0.8)  # twice the patience
    site.held[0]()
    assert (await caller.answer())[0] == 200
    assert not site.counts


async def test_beyond_the_number_of_connections_an_idle_one_makes_room(call, site, server):
    first, second, third = await call(), await call(), await call()
    for caller in (second, first):
        caller.send(post("/a"))
        await caller.answer()
    third.send(post("/later"))
    await site.until(lambda: bool(site.held))
    fourth = await call()
    assert await second.ended()  # idle for longest
    fourth.send(post("/later"))
    first.send(post("/later"))
    await site.until(lambda: len(site.held) == 3)
    fifth = await call()
    assert await fifth.ended()
    assert site.counts == {"too_many": 1}
    for release in site.held:
        release()
    for caller in (first, third, fourth):
        assert (await caller.answer())[0] == 200


async def test_a_connection_that_breaks_in_mid_body_is_counted(call, site):
    caller = await call()
    caller.send(post("/a", b"1234")[:-1])
    await site.until(lambda: True)
    await asyncio.sleep(0.05)
    caller.writer.transport.abort()
    await site.until(lambda: site.counts == {"cut_off": 1})


async def test_an_answer_for_a_caller_that_has_gone_goes_nowhere(call, site, caplog):
    caller = await call()
    caller.send(post("/later"))
    await site.until(lambda: bool(site.held))
    caller.writer.transport.abort()
    await asyncio.sleep(0.05)
    site.held[0]()
    assert not caplog.records


async def test_stop_answers_what_is_under_way_and_takes_nothing_more(call, site, server):
    idle, busy = await call(), await call()
    idle.send(post("/a"))
    await idle.answer()
    busy.send(post("/later"))
    await site.until(lambda: bool(site.held))
    stopping = asyncio.create_task(server.stop())
    assert await idle.ended()
    assert not stopping.done()
    site.held[0]()
    status, headers, _ = await busy.answer()
    assert (status, headers["connection"]) == (200, "close")
    await stopping


async def test_trailers_without_end_are_cut_off(call, site):
    caller = await call()
    caller.send(b"POST /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
    for _ in range(400):
        caller.send(b"x" * 1024)
        await asyncio.sleep(0)
    assert (await caller.answer())[0] == 431
    assert site.counts == {"too_large": 1}


async def test_a_head_behind_a_large_body_is_not_taken_for_a_long_one(site):
    server = HttpServer(site, Limits(max_body=60_000))
    await server.start("127.0.0.1", 0, None)
    caller = Caller(*await asyncio.open_connection(*server.address))
    second = post("/b")
    caller.send(post("/a", b"x" * 40_000) + second[:20])
    assert (await caller.answer())[0] == 200
    caller.send(second[20:])
    assert (await caller.answer())[0] == 200
    caller.writer.close()
    await server.stop()


@pytest.mark.parametrize(
    "behind",
    [
        b"\x16\x03\x01",
        post("/b", b"x" * 2000),
        post("/nothing", b"", "Expect: 100-continue\r\n"),
        post("/b", b"x")[:-1],
    ],
    ids=["no HTTP", "too large", "refused", "too slow"],
)
async def test_what_is_wrong_with_a_later_request_is_no_answer_to_an_earlier_one(call, site, behind):
    caller = await call()
    caller.send(post("/later", b"1") + behind)
    await site.until(lambda: bool(site.held))
    await asyncio.sleep(0.8)  # twice the patience
    site.held[0]()
    assert (await caller.answer())[2] == b"/later 1"
    status, headers, _ = await caller.answer()
    assert status in {400, 404, 408, 413}
    assert headers["connection"] == "close"


async def test_a_caller_that_reads_no_answers_is_not_read_from(site):
    server = HttpServer(site, Limits(max_body=1000))
    await server.start("127.0.0.1", 0, None)
    caller = Caller(*await asyncio.open_connection(*server.address))
    request = b"GET /nothing HTTP/1.1\r\nHost: b\r\n\r\n" * 1000
    caller.writer.transport.pause_reading()
    for _ in range(500):
        caller.send(request)
        await asyncio.sleep(0.001)
    (connection,) = server.connections
    assert connection._transport.get_write_buffer_size() < 1 << 20
    caller.writer.transport.abort()
    await server.stop()


async def test_a_caller_that_never_reads_its_answers_is_sent_away(call, site, server):
    caller = await call()
    caller.writer.transport.pause_reading()
    for _ in range(200):
        caller.send(b"GET /nothing HTTP/1.1\r\nHost: b\r\n\r\n" * 1000)
    await site.until(lambda: bool(server.connections))
    await site.until(lambda: not server.connections)
    assert site.counts == {"too_slow": 1}


async def test_a_caller_that_reads_late_gets_all_its_answers(site):
    server = HttpServer(site, Limits(max_body=1000))
    await server.start("127.0.0.1", 0, None)
    caller = Caller(*await asyncio.open_connection(*server.address))
    caller.writer.transport.pause_reading()
    await site.until(lambda: bool(server.connections))
    (connection,) = server.connections
    many = 0
    while not connection._unread:  # what the system keeps of unread answers differs
        caller.send(b"GET /nothing HTTP/1.1\r\nHost: b\r\n\r\n" * 1000)
        many += 1000
        await asyncio.sleep(0)
    caller.writer.transport.resume_reading()
    for _ in range(many):
        assert (await caller.answer())[0] == 404
    assert not site.counts
    caller.writer.close()
    await server.stop()


async def test_stop_does_not_wait_for_callers_that_have_asked_nothing(call, site, server):
    await call()
    await site.until(lambda: bool(server.connections))
    async with asyncio.timeout(0.3):
        await server.stop()


async def test_a_caller_that_never_says_hello_to_tls_is_sent_away(site, certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = HttpServer(site, Limits(max_body=1000, patience=0.4))
    await server.start("127.0.0.1", 0, context)
    caller = Caller(*await asyncio.open_connection(*server.address))
    assert await caller.ended()
    caller.writer.close()
    await caller.writer.wait_closed()
    await server.stop()


async def test_callers_that_ask_nothing_keep_nobody_out(call, site, server):
    """The oldest of them makes way, and none that has asked what is not refused."""
    known = await call()
    known.send(post("/a"))
    await known.answer()
    known.send(post("/a", b"12")[:-1])
    flood = [await call() for _ in range(10)]
    caller = await call()
    caller.send(post("/a", b"b"))
    assert (await caller.answer())[0] == 200
    known.send(b"2")
    assert (await known.answer())[2] == b"/a 12"
    assert await flood[0].ended()
    assert site.counts == {"too_many": 9}
    assert len(server.connections) <= 3


async def test_callers_that_never_say_hello_to_tls_keep_nobody_out(site, certificate, monkeypatch):
    monkeypatch.setattr(handshakes, "MOST", 5)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = HttpServer(site, Limits(max_body=1000))
    await server.start("127.0.0.1", 0, context)
    assert server.address is not None
    silent = [Caller(*await asyncio.open_connection(*server.address)) for _ in range(20)]
    for one in silent[:15]:
        assert await one.ended()
    assert len(server._handshakes) == 5
    trusting = ssl.create_default_context(cafile=certificate)
    caller = Caller(*await asyncio.open_connection(*server.address, ssl=trusting))
    caller.send(post("/a", b"b"))
    assert (await caller.answer())[0] == 200
    assert site.counts == {"too_many": 16}
    assert len(server._handshakes) == 4
    for one in (*silent, caller):
        one.writer.transport.abort()
    await server.stop()
    assert len(server._handshakes) == 0


async def test_callers_without_the_tls_that_is_asked_for_are_counted(site, certificate):
    told = []
    site.connection_refused = lambda why, remote: told.append((why, remote))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    server = HttpServer(site, Limits(max_body=1000))
    await server.start("127.0.0.1", 0, context)
    assert server.address is not None
    plain = Caller(*await asyncio.open_connection(*server.address))
    plain.send(post("/a"))
    assert await plain.ended()
    nobody = Caller(*await asyncio.open_connection(*server.address, ssl=ssl.create_default_context(cafile=certificate)))
    with contextlib.suppress(ssl.SSLError):  # TLS 1.3 tells the client after its own handshake
        assert await nobody.ended()
    for caller in (plain, nobody):
        caller.writer.transport.abort()
    assert [why for why, _ in told] == ["no_tls", "no_tls"]
    assert "HTTP_REQUEST" in told[0][1]
    assert "CERTIFICATE" in told[1][1]
    await server.stop()
