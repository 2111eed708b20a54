"""The HTTP client of the bindings: what was certainly not sent, and what nobody knows (R9)."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bindings.http.client import ClientLimits, HttpClient, NoAnswer, NotSent, Origin, split
from bridge.errors import ConfigurationError

LIMITS = ClientLimits(connect=0.5, request=1.0, keepalive=5.0)

Script = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Scripted:
    """A server that does with each request what `script` says; `heads` are the requests' heads."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.script: Script = self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    @staticmethod
    def answer(*parts: bytes, close: bool = False) -> Script:
        async def script(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.005)
            if close:
                writer.close()

        return script

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.scheme = "https" if context else "http"
        self.port = self.server.sockets[0].getsockname()[1]
        self.origin = Origin(self.scheme, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head.decode())
                lower = head.lower()
                length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0]) if b"content-length" in lower else 0
                self.bodies.append(await reader.readexactly(length))
                await self.script(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    one = Scripted()
    await one.start()
    yield one
    one.server.close()


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    one = HttpClient(LIMITS, None, headers={"X-Key": "gate"})
    yield one
    await one.close()


# -- what is asked ------------------------------------------------------------------------------------------------


async def test_a_request_is_as_it_was_asked_and_its_connection_is_kept(client, server):
    for number in range(3):
        response = await client.request("POST", server.origin, f"/a?n={number}", {"Accept": "x/y"}, b"body")
        assert (response.status, response.body, response.headers) == (200, b"ok", {"content-length": "2"})
    assert server.connections == 1
    lines = server.heads[0].split("\r\n")
    assert lines[0] == "POST /a?n=0 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert {"Accept: x/y", "X-Key: gate", "Content-Length: 4"} <= set(lines)
    assert server.bodies == [b"body"] * 3


async def test_requests_at_the_same_time_have_connections_of_their_own(client, server):
    await asyncio.gather(*(client.request("GET", server.origin, "/", {}) for _ in range(5)))
    assert server.connections == 5
    await asyncio.gather(*(client.request("GET", server.origin, "/", {}) for _ in range(5)))
    assert server.connections == 5


async def test_a_kept_connection_that_is_too_old_is_not_used(server):
    client = HttpClient(ClientLimits(0.5, 1.0, 0.0), None)
    await client.request("GET", server.origin, "/", {})
    await client.request("GET", server.origin, "/", {})
    assert server.connections == 2
    await client.close()


async def test_a_kept_connection_that_the_server_closed_is_not_used(client, server):
    server.script = server.answer(b"HTTP/1.1 204 No Content\r\n\r\n", close=True)
    assert (await client.request("GET", server.origin, "/", {})).status == 204
    await asyncio.sleep(0.05)
    assert (await client.request("GET", server.origin, "/", {})).status == 204
    assert server.connections == 2


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/ä", "/\x00"])
async def test_a_target_that_would_break_the_request_is_not_sent(client, server, target):
    with pytest.raises(NotSent):
        await client.request("GET", server.origin, target, {})
    assert not server.connections


async def test_a_header_that_would_break_the_request_is_not_sent(client, server):
    with pytest.raises(NotSent):
        await client.request("GET", server.origin, "/", {"Authorization": "Bearer a\r\nX: y"})
    assert not server.connections
    with pytest.raises(ConfigurationError, match=r"http\.headers"):
        HttpClient(LIMITS, None, headers={"X": "a\r\nb"})


@pytest.mark.parametrize(
    ("url", "origin", "target", "authority"),
    [
        ("http://scef.example", ("http", "scef.example", 80), "/", "scef.example"),
        ("HTTPS://Scef.Example:8443/x/y?z=1#f", ("https", "scef.example", 8443), "/x/y?z=1", "scef.example:8443"),
        ("https://[2001:db8::1]/x", ("https", "2001:db8::1", 443), "/x", "[2001:db8::1]"),
        ("http://münchen.example", ("http", "xn--mnchen-3ya.example", 80), "/", "xn--mnchen-3ya.example"),
    ],
)
def test_urls(url, origin, target, authority):
    assert split(url) == (origin, target)
    assert Origin(*origin).authority == authority


@pytest.mark.parametrize("url", ["ftp://x", "http://", "/x", "", "http://x:99999", "http://x:y", "http://[::1"])
def test_what_is_no_url(url):
    with pytest.raises(ValueError):  # noqa: PT011
        split(url)


# -- what is answered ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\no", b"k\r\n0\r\n\r\n"), b"ok"),
        ((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Len",
          b"gth: 2\r\n\r\nok"), b"ok"),
        ((b"HTTP/1.1 201 Created\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",), b""),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
    ],
    ids=["chunked", "interim", "empty", "no content"],
)  # fmt: skip
async def test_responses_of_any_form(client, server, parts, body):
    server.script = server.answer(*parts)
    for _ in range(2):
        assert (await client.request("GET", server.origin, "/", {})).body == body
    assert server.connections == 1


async def test_a_response_without_length_ends_with_its_connection(client, server):
    server.script = server.answer(b"HTTP/1.1 200 OK\r\n\r\n", b"to the ", b"end", close=True)
    assert (await client.request("GET", server.origin, "/", {})).body == b"to the end"
    assert (await client.request("GET", server.origin, "/", {})).body == b"to the end"
    assert server.connections == 2


async def test_connection_close_is_obeyed(client, server):
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    await client.request("GET", server.origin, "/", {})
    await client.request("GET", server.origin, "/", {})
    assert server.connections == 2


async def test_a_body_that_is_too_long_is_not_kept(client, server):
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000)
    response = await client.request("GET", server.origin, "/", {}, limit=999)
    assert (response.status, response.whole, response.body) == (200, False, b"")
    response = await client.request("GET", server.origin, "/", {}, limit=1000)
    assert (response.whole, len(response.body)) == (True, 1000)


# -- what goes wrong ----------------------------------------------------------------------------------------------


async def test_nobody_listening_is_certain(client, server):
    server.server.close()
    await server.server.wait_closed()
    with pytest.raises(NotSent):
        await client.request("POST", server.origin, "/", {}, b"x")


async def test_a_host_that_nobody_knows_is_certain(client):
    for host in ("nowhere.invalid", "x" * 300, "a..b"):
        with pytest.raises(NotSent):
            await client.request("POST", Origin("http", host, 80), "/", {}, b"x")


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"HTTP/1.1 200 OK\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",),
        (b"\x15\x03\x01\x00\x02\x02\x46",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",),
        (b"HTTP/1.1 100 Continue\r\n\r\n",),
    ],
    ids=["nothing", "half a head", "half a body", "half the chunks", "no HTTP", "two lengths", "interim only"],
)
async def test_a_connection_that_breaks_before_the_whole_answer_leaves_it_unknown(client, server, parts):
    server.script = server.answer(*parts, close=True)
    with pytest.raises(NoAnswer):
        await client.request("POST", server.origin, "/", {}, b"x")
    assert len(server.heads) == 1  # sent once, never again


async def test_a_kept_connection_that_breaks_is_not_repeated_behind_our_back(client, server):
    await client.request("GET", server.origin, "/", {})
    server.script = server.answer(close=True)
    with pytest.raises(NoAnswer):
        await client.request("DELETE", server.origin, "/", {})
    assert len(server.heads) == 2


async def test_an_answer_that_takes_too_long_leaves_it_unknown(client, server):
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    with pytest.raises(NoAnswer, match="within 1 s"):
        await client.request("POST", server.origin, "/", {}, b"x")
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (await client.request("GET", server.origin, "/", {})).body == b"ok"  # not on the connection of before
    assert server.connections == 2


async def test_a_head_without_end_is_given_up(client, server):
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nX: ", *[b"x" * 40000] * 3)
    with pytest.raises(NoAnswer, match="too long"):
        await client.request("GET", server.origin, "/", {})


async def test_what_comes_unasked_ends_the_connection(client, server):
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 OK\r\n\r\n")
    assert (await client.request("GET", server.origin, "/", {})).body == b"ok"
    await asyncio.sleep(0.05)
    assert (await client.request("GET", server.origin, "/", {})).body == b"ok"
    assert server.connections == 2


async def test_a_request_that_is_cancelled_gives_its_connection_to_nobody(client, server):
    server.script = server.answer()
    asking = asyncio.create_task(client.request("GET", server.origin, "/", {}))
    while not server.heads:
        await asyncio.sleep(0.005)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await client.request("GET", server.origin, "/", {})
    assert server.connections == 2


async def test_a_server_that_redirects_everywhere_leaves_few_connections_open(client):
    servers = [Scripted() for _ in range(12)]
    for one in servers:
        await one.start()
        await client.request("GET", one.origin, "/", {})
    assert len(client._idle) == 8
    for one in servers:
        one.server.close()


# -- TLS and proxies ----------------------------------------------------------------------------------------------


def contexts(certificate: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate)
    return served, ssl.create_default_context(cafile=certificate)


async def test_tls_and_a_certificate_that_nobody_vouches_for(client, certificate):
    served, trusting = contexts(certificate)
    server = Scripted()
    await server.start(served)
    with pytest.raises(NotSent, match=r"(?i)certificate"):
        await client.request("POST", server.origin, "/", {}, b"x")
    known = HttpClient(LIMITS, trusting)
    for _ in range(2):
        assert (await known.request("POST", server.origin, "/", {}, b"x")).body == b"ok"
    assert server.heads[0].startswith("POST / HTTP/1.1")
    await known.close()
    server.server.close()


async def test_without_a_context_it_trusts_whom_the_system_trusts(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    server, client = Scripted(), HttpClient(LIMITS, None)
    await server.start(contexts(certificate)[0])
    assert (await client.request("POST", server.origin, "/", {}, b"x")).body == b"ok"
    await client.close()
    server.server.close()


async def tunnel(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a proxy for one CONNECT."""
    host, _, port = head.split()[1].decode().rpartition(":")
    inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer), return_exceptions=True)


@pytest.mark.parametrize("secure_proxy", [False, True])
async def test_an_https_origin_behind_a_proxy_is_met_through_a_tunnel(certificate, secure_proxy):
    served, trusting = contexts(certificate)
    server, proxy = Scripted(), Scripted()
    await server.start(served)
    await proxy.start(served if secure_proxy else None)
    proxy.script = tunnel
    client = HttpClient(LIMITS, trusting, f"{proxy.scheme}://us%40er:s3cret@127.0.0.1:{proxy.port}")
    for _ in range(2):
        assert (await client.request("POST", server.origin, "/x", {"A": "b"}, b"x")).body == b"ok"
    assert server.connections == 1
    assert server.bodies == [b"x", b"x"]
    assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'us@er:s3cret').decode()}" in proxy.heads[0]
    assert "Proxy-Authorization" not in server.heads[0]
    await client.close()
    for one in (server, proxy):
        one.server.close()


async def test_an_http_origin_behind_a_proxy_is_named_in_the_request(server):
    client = HttpClient(LIMITS, None, f"http://user:s3cret@127.0.0.1:{server.port}")
    assert (await client.request("GET", Origin("http", "scef.example", 80), "/x", {})).body == b"ok"
    assert server.heads[0].startswith("GET http://scef.example/x HTTP/1.1\r\nHost: scef.example\r\n")
    assert "Proxy-Authorization: Basic" in server.heads[0]
    await client.close()


async def test_a_proxy_that_refuses_is_certain_and_its_password_stays_out(server):
    server.script = server.answer(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nno!")
    client = HttpClient(LIMITS, None, f"http://user:s3cret@127.0.0.1:{server.port}")
    with pytest.raises(NotSent, match="407") as caught:
        await client.request("POST", Origin("https", "scef.example", 443), "/x", {}, b"x")
    assert "s3cret" not in str(caught.value)
    await client.close()
    with pytest.raises(ConfigurationError) as wrong:
        HttpClient(LIMITS, None, "socks5://user:s3cret@x")
    assert "s3cret" not in str(wrong.value)


async def test_a_proxy_that_says_nothing_is_certain(server):
    server.script = server.answer()
    client = HttpClient(LIMITS, None, f"http://127.0.0.1:{server.port}")
    with pytest.raises(NotSent):
        await client.request("POST", Origin("https", "scef.example", 443), "/x", {}, b"x")
    await client.close()


async def test_a_tunnel_in_which_tls_does_not_begin_leaves_nothing_behind(server):
    server.script = server.answer(b"HTTP/1.1 200 OK\r\n\r\n")
    client = HttpClient(LIMITS, None, f"http://127.0.0.1:{server.port}")
    with pytest.raises(NotSent, match="within"):
        await client.request("POST", Origin("https", "scef.example", 443), "/x", {}, b"x")
    async with asyncio.timeout(2):
        await client.close()
    assert not client._all


@pytest.mark.parametrize("turns", range(1, 5))
async def test_a_connection_that_is_being_closed_is_not_used(client, turns):
    """In any turn of the event loop after the server's end was read; asyncio tells of the connection's end later."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        origin = Origin("http", "127.0.0.1", listening.getsockname()[1])

        async def ask() -> None:
            request = asyncio.create_task(client.request("GET", origin, "/", {}))
            accepted = asyncio.create_task(loop.sock_accept(listening))
            await asyncio.wait({request, accepted}, return_when=asyncio.FIRST_COMPLETED)
            if request.done():
                accepted.cancel()
                request.result()
            connection, _ = await accepted
            with connection:
                await loop.sock_recv(connection, 1000)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                assert (await request).status == 204

        await ask()
        for _ in range(turns):
            await asyncio.sleep(0)
        await ask()


@pytest.mark.parametrize("turns", range(6))
async def test_nothing_is_sent_once_the_client_is_closed(client, server, turns):
    """In any turn of the event loop since a connection was asked for."""
    early = asyncio.create_task(client.request("GET", server.origin, "/", {}))
    for _ in range(turns):
        await asyncio.sleep(0)
    before = len(client._all)
    await client.close()
    with pytest.raises((NotSent, NoAnswer)) as failed:
        await early
    assert failed.type is NotSent or before
    with pytest.raises(NotSent):
        await client.request("GET", server.origin, "/", {})
    assert not client._all


async def test_a_connection_that_is_over_before_it_is_used_is_certain(client, server, monkeypatch):
    connect = client._connect

    async def and_lose(origin):
        connection = await connect(origin)
        connection.abort()
        return connection

    monkeypatch.setattr(client, "_connect", and_lose)
    with pytest.raises(NotSent):
        await client.request("GET", server.origin, "/", {})


# -- servers that mean harm ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "second", [b"HTTP/1.1 201 Created\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", b"HTTP/1"]
)
async def test_a_second_response_to_one_request_is_no_part_of_the_first_and_ends_the_connection(client, server, second):
    """Left where it is, it would be taken for the response to the next request."""
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + second)
    for _ in range(2):
        response = await client.request("GET", server.origin, "/", {})
        assert (response.status, response.headers, response.body) == (200, {"content-length": "2"}, b"ok")
    assert server.connections == 2


@pytest.mark.parametrize(
    "endless", [b"0\r\nX: " + b"x" * 300000, b"0\r\n" + b"X: y\r\n" * 50000, b"1;" + b"x" * 300000]
)
async def test_trailers_and_chunk_extensions_without_end_are_given_up(client, server, endless):
    server.script = server.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n" + endless)
    with pytest.raises(NoAnswer, match="too long"):
        await client.request("GET", server.origin, "/", {})


async def test_trailers_are_no_headers(client, server):
    server.script = server.answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nLocation: /other\r\n\r\n"
    )
    response = await client.request("GET", server.origin, "/", {})
    assert (response.body, response.headers) == (b"ok", {"transfer-encoding": "chunked"})


async def test_a_large_body_in_small_chunks_is_taken(client, server):
    server.script = server.answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"00000001\r\nx\r\n" * 50000 + b"0\r\n\r\n"
    )
    assert (await client.request("GET", server.origin, "/", {})).body == b"x" * 50000


async def test_a_connection_on_which_the_request_was_answered_before_it_was_sent_is_not_used_again():
    """What the server has not read it may never read, and the next request would stand behind it."""

    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport, too
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin = Origin("http", "127.0.0.1", listening.sockets[0].getsockname()[1])
    patient = ClientLimits(connect=60.0, request=60.0, keepalive=5.0)  # a busy machine takes its time
    client = HttpClient(patient, None)
    try:
        for _ in range(2):
            assert (await client.request("POST", origin, "/", {}, b"x" * 20_000_000)).status == 401
        assert len(writers) == 2
    finally:
        await client.close()
        for writer in writers:
            writer.transport.abort()
        listening.close()


async def test_a_response_cut_at_any_byte_is_whole_or_unknown(client, server):
    whole = b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    for cut in range(len(whole)):
        server.script = server.answer(whole[:cut], close=True)
        with pytest.raises(NoAnswer):
            await client.request("POST", server.origin, "/", {}, b"x")
    assert server.connections == len(whole)
