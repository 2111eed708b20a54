"""HTTP/1.1 as RFC 9112 has it, seen from the client: what a server may answer, and what is made of it.

Each case is the bytes of a server, then what the caller gets: a status and a body, or that nobody knows (NoAnswer).
Whether a connection may go on shows in whether the next request uses it.
"""

import asyncio
from dataclasses import dataclass

import pytest

from bindings.http.client import ClientLimits, HttpClient, NoAnswer, Origin

UNKNOWN = None
KEPT, NOT_KEPT = True, False
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Case:
    clause: str
    what: str
    sent: bytes
    got: tuple[int, bytes] | None
    kept: bool = KEPT
    then_closes: bool = False
    answers: bool = True  # at all: the client need not wait long for what never comes


WHOLE = (200, b"ok")

CASES = [
    # 2.3, 4 Status line
    Case("4", "no reason phrase", OK.replace(b" OK", b" "), WHOLE),
    Case("4", "no space behind the status", OK.replace(b" OK", b""), WHOLE),
    Case("4", "a status that nobody knows", OK.replace(b"200", b"299"), (299, b"ok")),
    Case("4", "a status of two digits", OK.replace(b"200", b"20"), UNKNOWN, NOT_KEPT),
    Case("4", "a status of four digits", OK.replace(b"200", b"2000"), UNKNOWN, NOT_KEPT),
    Case("2.3", "HTTP/1.0 ends with its body", OK.replace(b"1.1", b"1.0"), WHOLE, NOT_KEPT),
    Case(
        "9.3", "HTTP/1.0 that says it goes on",
        OK.replace(b"1.1", b"1.0").replace(b"\r\nContent", b"\r\nConnection: keep-alive\r\nContent"), WHOLE, KEPT,
    ),
    Case("2.3", "another major version", OK.replace(b"1.1", b"3.1"), UNKNOWN, NOT_KEPT),
    Case("2.2", "no HTTP at all", b"SSH-2.0-OpenSSH_9.6\r\n", UNKNOWN, NOT_KEPT),
    Case("2.2", "a mail server", b"220 mail ESMTP\r\n", UNKNOWN, NOT_KEPT),
    # 5 Fields
    Case("5.1", "white space before the colon", OK.replace(b"Length:", b"Length :"), UNKNOWN, NOT_KEPT),
    Case("5.1", "NUL in a value", OK.replace(b"\r\nContent", b"\r\nX: a\x00\r\nContent"), UNKNOWN, NOT_KEPT),
    Case("5.2", "a folded line", OK.replace(b"\r\nContent", b"\r\nX: a\r\n b\r\nContent"), UNKNOWN, NOT_KEPT),
    Case(
        "5.1", "headers beyond all bounds",
        OK.replace(b"\r\nContent", b"\r\nX: " + b"a" * 300_000 + b"\r\nContent"), UNKNOWN, NOT_KEPT,
    ),
    # 6 Body
    Case("6.3", "204 has no body", b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    Case("6.3", "204 whatever its headers say", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", (204, b"")),
    Case("6.3", "304 has no body", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (304, b"")),
    Case(
        "6.3", "no length: to the end of the connection",
        b"HTTP/1.1 200 OK\r\n\r\nok", WHOLE, NOT_KEPT, then_closes=True,
    ),
    Case(
        "6.3", "a length that is not kept",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", UNKNOWN, NOT_KEPT, then_closes=True,
    ),
    Case(
        "6.3", "two lengths that differ",
        OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n"), UNKNOWN, NOT_KEPT,
    ),
    Case("6.3", "a length that is not a number", OK.replace(b" 2\r\n", b" x\r\n"), UNKNOWN, NOT_KEPT),
    Case("6.3", "a negative length", OK.replace(b" 2\r\n", b" -2\r\n"), UNKNOWN, NOT_KEPT),
    Case(
        "6.3", "length and chunks",
        CHUNKS.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") + b"2\r\nok\r\n0\r\n\r\n", UNKNOWN, NOT_KEPT,
    ),
    Case(
        "6.1", "a coding that was not asked for",
        CHUNKS.replace(b"chunked", b"gzip, chunked") + b"2\r\nok\r\n0\r\n\r\n", UNKNOWN, NOT_KEPT,
    ),
    Case(
        "6.1", "chunked not last",
        CHUNKS.replace(b"chunked", b"chunked, gzip") + b"2\r\nok\r\n0\r\n\r\n", UNKNOWN, NOT_KEPT, then_closes=True,
    ),
    # 7 Chunks
    Case("7.1", "chunks", CHUNKS + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n", WHOLE),
    Case("7.1.1", "chunk extensions", CHUNKS + b"2;a=b\r\nok\r\n0;c\r\n\r\n", WHOLE),
    Case("7.1.2", "trailers", CHUNKS + b"2\r\nok\r\n0\r\nContent-Type: x\r\n\r\n", WHOLE),
    Case("7.1", "a chunk size that is none", CHUNKS + b"zz\r\nok\r\n0\r\n\r\n", UNKNOWN, NOT_KEPT),
    Case("8", "chunks that end too early", CHUNKS + b"2\r\nok\r\n", UNKNOWN, NOT_KEPT, then_closes=True),
    # 9 Connections
    Case("9110 15.2", "100 before the answer", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, WHOLE),
    Case(
        "9110 15.2", "early hints before the answer",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + OK, WHOLE,
    ),
    Case(
        "9110 7.8", "another protocol that nobody asked for",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", UNKNOWN, NOT_KEPT,
        answers=False,
    ),
    Case("9.2", "a second answer to one request", OK + OK, WHOLE, NOT_KEPT),
    Case("9.2", "bytes behind the answer", OK + b"\x00", WHOLE, NOT_KEPT),
    Case("9.6", "close", OK.replace(b"\r\nContent", b"\r\nConnection: close\r\nContent"), WHOLE, NOT_KEPT),
    Case(
        "9.6", "close in any case, among others",
        OK.replace(b"\r\nContent", b"\r\nconnection: x, CLOSE\r\nContent"), WHOLE, NOT_KEPT,
    ),
]  # fmt: skip


@pytest.mark.parametrize("size", [1 << 20, 1, 7], ids=["whole", "byte by byte", "in sevens"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.clause} {case.what}")
async def test_a_case(case, size):
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                pieces = size if len(case.sent) < 2000 else 1 << 20
                for at in range(0, len(case.sent), pieces):
                    writer.write(case.sent[at : at + pieces])
                    await writer.drain()
                    await asyncio.sleep(0)
                if case.then_closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def asked():
        try:
            response = await client.request("POST", origin, "/", {}, b"")
        except NoAnswer:
            return UNKNOWN
        return response.status, response.body

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin = Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])
    limits = ClientLimits(connect=2.0, request=2.0 if case.answers else 0.2, keepalive=5.0)
    client = HttpClient(limits, None)
    try:
        assert await asked() == case.got
        await asyncio.sleep(0.02)  # what comes behind an answer comes a little later
        assert await asked() == case.got
        assert len(connections) == (1 if case.kept else 2)
    finally:
        await client.close()
        server.close()
        for writer in connections:
            writer.close()
