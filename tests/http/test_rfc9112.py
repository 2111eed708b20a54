"""HTTP/1.1 as RFC 9112 and RFC 9110 have it, case by case: what a caller sends, and what it must be answered.

Each case is bytes on a connection, the statuses of the answers in their order, whether the connection may continue, and
the bodies that were taken. A reader who knows the clause can check the line.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest

from bindings.http.messages import NO_CONTENT, Answer
from bindings.http.server import HttpServer, Limits

HOST = b"Host: bridge\r\n"
GOES_ON, ENDS = True, False
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@dataclass
class Case:
    clause: str
    what: str
    sent: bytes
    statuses: list[int]
    goes_on: bool = GOES_ON
    bodies: list[bytes] = field(default_factory=list)


def post(headers=b"", body=b"", line=b"POST /a HTTP/1.1"):
    return line + b"\r\n" + HOST + headers + b"\r\n" + body


def chunked(*chunks, end=b"0\r\n\r\n"):
    return post(CHUNKED, b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end)


OK = post(b"Content-Length: 2\r\n", b"ok")
B = [b"ok"]

CASES = [
    # 2.2 Message parsing
    Case("2.2", "an empty line before the request line is ignored", b"\r\n" + OK, [204], GOES_ON, B),
    Case(
        "2.2", "white space before the first header ends it",
        b"POST /a HTTP/1.1\r\n Host: bridge\r\n\r\n", [400], ENDS,
    ),
    Case("2.2", "a bare CR in a header", post(b"X: a\rb\r\n"), [400], ENDS),
    Case("2.2", "NUL in a header", post(b"X: a\x00b\r\n"), [400], ENDS),
    Case(
        "2.2", "bytes beyond ASCII in a value are opaque",
        post(b"X: \xe4\xff\r\nContent-Length: 2\r\n", b"ok"), [204], GOES_ON, B,
    ),
    # 2.3 Version
    Case("2.3", "a later minor version is read as 1.1", OK.replace(b"1.1", b"1.2"), [400], ENDS),
    Case("2.3", "a major version that is not spoken", OK.replace(b"1.1", b"3.0"), [400], ENDS),
    Case("2.3", "lower case is no version", OK.replace(b"HTTP/1.1", b"http/1.1"), [400], ENDS),
    Case("2.3", "the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400], ENDS),
    Case("2.3", "HTTP/1.0 ends with its answer", b"POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\nok", [204], ENDS, B),
    Case(
        "9.3", "HTTP/1.0 goes on where it asks for that",
        b"POST /a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", [204], GOES_ON, B,
    ),
    # 3 Request line
    Case(
        "3", "words of the request line may be parted by more white space",
        post(line=b"POST  /a HTTP/1.1"), [204], GOES_ON, [b""],
    ),
    Case("3", "no target", post(line=b"POST HTTP/1.1"), [400], ENDS),
    Case("3", "a space in the target", post(line=b"POST /a b HTTP/1.1"), [400], ENDS),
    Case("3.1", "methods know case", post(line=b"post /a HTTP/1.1"), [400], ENDS),
    Case("3.1", "a method that nobody knows", post(line=b"FROB /a HTTP/1.1"), [400], ENDS),
    Case("3.2.1", "a query", OK.replace(b"/a", b"/a?b=c%20d"), [204], GOES_ON, B),
    Case("3.2.2", "the absolute form", OK.replace(b"/a", b"http://bridge/a"), [204], GOES_ON, B),
    Case(
        "3.2.3", "the authority form is for CONNECT, which is not offered",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", [405], ENDS,
    ),
    Case("3.2.4", "the asterisk form", post(line=b"OPTIONS * HTTP/1.1"), [204], GOES_ON, [b""]),
    Case("3.2", "without Host", b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", [400], ENDS),
    Case("3.2", "with two Hosts", OK.replace(HOST, HOST + b"Host: other\r\n"), [400], ENDS),
    Case("3.2", "with an empty Host", OK.replace(HOST, b"Host:\r\n"), [204], GOES_ON, B),
    Case("3.2", "a Host that is none", OK.replace(b"bridge", b"a b"), [400], ENDS),
    Case("3", "a target beyond all bounds", post(line=b"POST /" + b"a" * 100_000 + b" HTTP/1.1"), [431], ENDS),
    # 5 Field syntax
    Case("5.1", "white space before the colon", post(b"Content-Length : 2\r\n", b"ok"), [400], ENDS),
    Case("5.1", "no white space behind the colon", post(b"Content-Length:2\r\n", b"ok"), [204], GOES_ON, B),
    Case("5.1", "white space around the value", post(b"Content-Length: \t 2 \t\r\n", b"ok"), [204], GOES_ON, B),
    Case("5.1", "an empty name", post(b": x\r\n"), [400], ENDS),
    Case("5.1", "a name that is no token", post(b"Na me: x\r\n"), [400], ENDS),
    Case("5.1", "a line without a colon", post(b"x\r\n"), [400], ENDS),
    Case("5.1", "an empty value", post(b"X:\r\nContent-Length: 2\r\n", b"ok"), [204], GOES_ON, B),
    Case("5.2", "a folded line", post(b"X: a\r\n b\r\n"), [400], ENDS),
    Case("5.1", "headers beyond all bounds", post(b"X: " + b"a" * 100_000 + b"\r\n"), [431], ENDS),
    Case("5.1", "ten thousand headers", post(b"X: a\r\n" * 10_000), [431], ENDS),
    # 6 Message body
    Case("6", "no body where none is announced", post(), [204], GOES_ON, [b""]),
    Case("6.1", "chunks", chunked(b"o", b"k"), [204], GOES_ON, B),
    Case("6.1", "codings know no case", chunked(b"ok").replace(b"chunked", b"Chunked"), [204], GOES_ON, B),
    Case(
        "6.1", "a coding that nobody knows",
        post(b"Transfer-Encoding: frob, chunked\r\n", b"2\r\nok\r\n0\r\n\r\n"), [501], ENDS,
    ),
    Case(
        "6.1", "a transfer coding that is not spoken",
        post(b"Transfer-Encoding: gzip, chunked\r\n", b"2\r\nok\r\n0\r\n\r\n"), [501], ENDS,
    ),
    Case(
        "6.3", "chunked not last",
        post(b"Transfer-Encoding: chunked, gzip\r\n", b"2\r\nok\r\n0\r\n\r\n"), [400], ENDS,
    ),
    Case(
        "6.1", "chunked twice",
        post(b"Transfer-Encoding: chunked, chunked\r\n", b"2\r\nok\r\n0\r\n\r\n"), [400], ENDS,
    ),
    Case("6.1", "chunks from HTTP/1.0", chunked(b"ok").replace(b"1.1", b"1.0"), [400], ENDS),
    Case(
        "6.3", "length and chunks (smuggling)",
        post(CHUNKED + b"Content-Length: 2\r\n", b"2\r\nok\r\n0\r\n\r\n"), [400], ENDS,
    ),
    Case(
        "6.3", "chunks and length (smuggling)",
        post(b"Content-Length: 2\r\n" + CHUNKED, b"2\r\nok\r\n0\r\n\r\n"), [400], ENDS,
    ),
    Case("6.3", "two lengths that differ", post(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"ok"), [400], ENDS),
    Case("6.3", "a list of lengths that differ", post(b"Content-Length: 2, 3\r\n", b"ok"), [400], ENDS),
    Case("6.2", "a length with a sign", post(b"Content-Length: +2\r\n", b"ok"), [400], ENDS),
    Case("6.2", "a negative length", post(b"Content-Length: -2\r\n", b"ok"), [400], ENDS),
    Case("6.2", "a hexadecimal length", post(b"Content-Length: 0x2\r\n", b"ok"), [400], ENDS),
    Case("6.2", "an empty length", post(b"Content-Length:\r\n", b"ok"), [400], ENDS),
    Case("6.2", "a length with a leading zero", post(b"Content-Length: 02\r\n", b"ok"), [204], GOES_ON, B),
    Case("6.2", "a length beyond 64 bits", post(b"Content-Length: 99999999999999999999\r\n"), [400], ENDS),
    Case("6.2", "a length beyond what is taken", post(b"Content-Length: 99999\r\n"), [413], ENDS),
    # 7 Transfer codings
    Case("7.1", "a chunk size that is none", post(CHUNKED, b"zz\r\nok\r\n0\r\n\r\n"), [400], ENDS),
    Case("7.1", "a negative chunk size", post(CHUNKED, b"-2\r\nok\r\n0\r\n\r\n"), [400], ENDS),
    Case("7.1", "a chunk size with 0x", post(CHUNKED, b"0x2\r\nok\r\n0\r\n\r\n"), [400], ENDS),
    Case("7.1", "a chunk size beyond 64 bits", post(CHUNKED, b"fffffffffffffffff\r\nok\r\n0\r\n\r\n"), [400], ENDS),
    Case("7.1", "a chunk longer than it says", post(CHUNKED, b"1\r\nok\r\n0\r\n\r\n"), [400], ENDS),
    Case(
        "7.1", "chunk sizes know no case",
        post(CHUNKED, b"A\r\n0123456789\r\n0\r\n\r\n"), [204], GOES_ON, [b"0123456789"],
    ),
    Case(
        "7.1.1", "chunk extensions are ignored",
        post(CHUNKED, b'2;a=b;c="d"\r\nok\r\n0;e\r\n\r\n'), [204], GOES_ON, B,
    ),
    Case(
        "7.1.2", "trailers are no headers",
        chunked(b"ok", end=b"0\r\nHost: other\r\nExpect: frob\r\n\r\n"), [204], GOES_ON, B,
    ),
    Case("7.1", "chunks beyond what is taken", chunked(*[b"x" * 400] * 5), [413], ENDS),
    # 9 Connections
    Case(
        "9.3.2", "pipelined requests are answered in their order",
        OK + post() + OK, [204, 204, 204], GOES_ON, [b"ok", b"", b"ok"],
    ),
    Case("9.3.2", "behind what is no HTTP nothing is read", OK + b"\x00\r\n\r\n" + OK, [204, 400], ENDS, B),
    Case("9.6", "close is obeyed", post(b"Connection: close\r\nContent-Length: 2\r\n", b"ok") + OK, [204], ENDS, B),
    Case("9.6", "close knows no case", post(b"Connection: ClOsE\r\n"), [204], ENDS, [b""]),
    Case("9.6", "close among others", post(b"Connection: x, close\r\n"), [204], ENDS, [b""]),
    # RFC 9110
    Case(
        "9110 7.8", "an offer of h2c is not taken up",
        post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n", b"ok"), [204], GOES_ON, B,
    ),
    Case(
        "9110 10.1.1", "who asks first is told to go on",
        post(b"Expect: 100-continue\r\nContent-Length: 2\r\n", b"ok"), [100, 204], GOES_ON, B,
    ),
    Case(
        "9110 10.1.1", "an expectation of HTTP/1.0 is ignored",
        b"POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok", [204], ENDS, B,
    ),
    Case(
        "9110 10.1.1", "an expectation that nobody knows",
        post(b"Expect: frob\r\nContent-Length: 2\r\n", b"ok"), [417], ENDS,
    ),
    Case("9110 9.3.2", "HEAD has no body", post(line=b"HEAD /body HTTP/1.1"), [200], GOES_ON, [b""]),
    Case(
        "9110 9.1", "any method that HTTP knows comes to the site",
        OK.replace(b"POST", b"PATCH"), [204], GOES_ON, B,
    ),
]  # fmt: skip


class Site:
    def __init__(self):
        self.bodies = []

    def refuse(self, request):
        return None

    def answer(self, request, reply):
        self.bodies.append(request.body)
        reply(Answer(200, b"body") if request.path == "/body" else NO_CONTENT)

    def connection_refused(self, why, remote):
        pass


async def answers(reader):
    """Read answers until nothing comes for a while; return their statuses, and whether the last one ends all."""
    statuses, ends = [], False
    while True:
        try:
            async with asyncio.timeout(0.1):
                head = await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            return statuses, ends
        except (asyncio.IncompleteReadError, ConnectionError):
            return statuses, True
        assert not ends, "nothing may follow an answer that ends the connection"
        lines = head.decode("latin-1").split("\r\n")
        statuses.append(int(lines[0].split()[1]))
        assert lines[0].startswith("HTTP/1.1 ")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        ends = headers.get("connection") == "close"
        if statuses[-1] >= 200:
            assert "date" in headers, "RFC 9110 §6.6.1"
        if statuses[-1] in (100, 204):
            assert not {"content-length", "transfer-encoding"} & headers.keys(), "RFC 9110 §8.6"
        elif statuses[-1] >= 400:
            await reader.readexactly(int(headers["content-length"]))


@pytest.mark.parametrize("cut", [0, 1, 5], ids=["whole", "byte by byte", "in fives"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.clause} {case.what}")
async def test_a_case(case, cut):
    site = Site()
    server = HttpServer(site, Limits(max_body=1000, patience=5.0))
    await server.start("127.0.0.1", 0, None)
    try:
        reader, writer = await asyncio.open_connection(*server.address)
        sent = case.sent
        if len(sent) > 2000:
            cut *= 5000
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(sent), cut or len(sent)):
                writer.write(sent[at : at + (cut or len(sent))])
                if cut:
                    await asyncio.sleep(0)
        statuses, ended = await answers(reader)
        assert statuses == case.statuses
        assert site.bodies == case.bodies
        assert ended is not case.goes_on
        writer.close()
    finally:
        await server.stop()
