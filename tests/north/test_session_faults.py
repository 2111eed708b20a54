"""Links over DTLS, TCP and TLS when something goes wrong: each failure has its state, and loses nothing it took."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from bridge.coap import stream, udp
from bridge.coap.message import ACK
from bridge.north.combined import CombinedNorth
from bridge.north.contract import Link, LinkState, Sending
from bridge.north.dtls import channel as dtls_channel
from bridge.north.sessions import link as links
from bridge.north.sessions.gate import OpeningRate
from bridge.north.sessions.link import SessionLink
from bridge.north.sessions.transport import LinkSettings
from bridge.north.tcp import channel as tcp_channel
from bridge.north.tcp.transport import StreamNorth
from tests.north.session_servers import DtlsServer, StreamServer, confirmable
from tests.north.test_session_transports import KEYS, combined
from tests.north.transport_contract import Noted, content, request
from tests.tls.peers import Wants
from tests.waiting import until

KINDS = ("dtls", "tcp", "tls")
SOURCE = 7
WHO = b"urn:dev:7"
OTHER_KEYS = dict.fromkeys(KEYS, bytes(16))


@asynccontextmanager
async def running(kind: str, server: DtlsServer | StreamServer) -> AsyncIterator[tuple[CombinedNorth, Noted]]:
    await server.start()
    north, noted = await combined(kind, {"one": server.port}), Noted()
    await north.start(noted)
    try:
        yield north, noted
    finally:
        await north.stop()
        await server.stop()


def server_of(kind: str, keys: dict[bytes, bytes] = KEYS) -> DtlsServer | StreamServer:
    if kind == "dtls":
        return DtlsServer(Wants(keys))
    return StreamServer(Wants(keys, stream=True) if kind == "tls" else None)


async def state(noted: Noted, wanted: LinkState) -> Link:
    """Wait until the last thing that was told of the link is this state."""
    await until(lambda: bool(noted.links) and noted.links[-1][2].state is wanted, why=f"{wanted}: {noted.links}")
    return noted.links[-1][2]


async def opened(north: CombinedNorth, noted: Noted, server: DtlsServer | StreamServer) -> None:
    north.open(SOURCE, ("one",))
    await state(noted, LinkState.OPEN)


@pytest.mark.parametrize("kind", ["dtls", "tls"])
async def test_another_key_makes_the_link_fail_with_the_reason_and_what_waited_is_counted(kind, monkeypatch):
    monkeypatch.setattr(dtls_channel, "SILENCE", 1.5)  # a DTLS server may drop what it cannot read in silence
    async with running(kind, server_of(kind, OTHER_KEYS)) as (north, noted):
        assert north.send(SOURCE, "one", request(1)) is Sending.WAITS
        failed = await state(noted, LinkState.FAILING)
        assert "key" in failed.reason
        assert north.link(SOURCE, "one").retry_in is not None
        assert north.send(SOURCE, "one", request(2)) is Sending.DROPPED
        counters = north.counters()
        assert (counters.opened, counters.open_failed, counters.send_dropped) == (0, 1, 2)


@pytest.mark.parametrize("kind", ["dtls", "tls"])
async def test_an_unknown_identity_makes_the_link_fail(kind):
    async with running(kind, server_of(kind, {b"somebody": bytes(16)})) as (north, noted):
        north.open(SOURCE, ("one",))
        assert (await state(noted, LinkState.FAILING)).reason


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_is_not_there_is_tried_again_and_the_link_says_when(kind, monkeypatch):
    monkeypatch.setattr(dtls_channel, "SILENCE", 0.3)
    monkeypatch.setattr(tcp_channel, "OPENING", 0.3)
    server = server_of(kind)
    await server.start()
    port = server.port
    await server.stop()  # its port is known, and closed
    north, noted = await combined(kind, {"one": port}), Noted()
    await north.start(noted)
    try:
        north.open(SOURCE, ("one",))
        failed = await state(noted, LinkState.FAILING)
        assert "one" in failed.reason
        assert failed.retry_in is not None
        assert failed.retry_in <= 2.0
        await server.start()
        await state(noted, LinkState.OPEN)
    finally:
        await north.stop()
        await server.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_held_goes_after_what_is_first(kind, monkeypatch):
    """A receiver holds messages when a link opens, where the server must be told first whose it is."""
    server = server_of(kind)
    async with running(kind, server) as (north, noted):

        def link_changed(source: int, name: str | None, link: Link) -> None:
            Noted.link_changed(noted, source, name, link)
            if link.state is LinkState.OPEN and name is not None:
                north.pause(source, name)

        monkeypatch.setattr(noted, "link_changed", link_changed)
        assert north.send(SOURCE, "one", request(1)) is Sending.WAITS
        await state(noted, LinkState.OPEN)
        assert north.send(SOURCE, "one", request(2)) is Sending.WAITS
        assert north.send(SOURCE, "one", request(3), may_wait=False) is Sending.DROPPED
        assert not north.carries(SOURCE, "one", request(3))
        assert north.send(SOURCE, "one", request(4), first=True) is Sending.LEFT
        north.proceed(SOURCE, "one")
        assert north.send(SOURCE, "one", request(5)) is Sending.LEFT
        arrived = [content(await received(server))[1] for _ in range(4)]
        assert arrived == [b"\x04", b"\x01", b"\x02", b"\x05"]


async def received(server: DtlsServer | StreamServer) -> bytes:
    return (await asyncio.wait_for(server.receive(), 20.0))[1]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_after_the_server_ended_the_session_goes_on_a_new_one(kind):
    server = server_of(kind)
    async with running(kind, server) as (north, noted):
        await opened(north, noted, server)
        north.send(SOURCE, "one", request(1))
        who, message = await server.receive()
        assert content(message) == content(request(1))
        if isinstance(server, DtlsServer):
            server.close_session(who)
        else:
            server.connection(who).writer.close()
        await until(lambda: north.counters().ended_by_server == 1)
        north.send(SOURCE, "one", request(2))
        async with asyncio.timeout(10):
            assert content((await server.receive())[1]) == content(request(2))


async def test_a_dtls_server_that_forgot_the_session_is_met_again_when_it_acknowledges_nothing(monkeypatch):
    monkeypatch.setattr(links, "DEAF", 0.0)
    server = DtlsServer(Wants(KEYS))
    async with running("dtls", server) as (north, noted):
        await opened(north, noted, server)
        server.forget()
        assert north.send(SOURCE, "one", request(1)) is Sending.LEFT  # UDP says nothing of its fate
        north.unanswered(SOURCE, "one")
        assert north.send(SOURCE, "one", request(2)) is Sending.WAITS
        async with asyncio.timeout(10):
            assert content((await server.receive())[1]) == content(request(2))
        assert (server.handshakes, north.counters().opened) == (2, 2)


async def test_a_session_that_the_server_was_heard_on_is_not_given_up():
    server = DtlsServer(Wants(KEYS))
    async with running("dtls", server) as (north, noted):
        await opened(north, noted, server)
        north.unanswered(SOURCE, "one")  # one message may be lost, or its own matter
        assert north.link(SOURCE, "one").state is LinkState.OPEN


async def test_records_that_are_altered_replayed_or_no_records_change_nothing():
    server = DtlsServer(Wants(KEYS))
    async with running("dtls", server) as (north, noted):
        await opened(north, noted, server)
        ((who, peer),) = server.peers.items()
        peer.send(request(1))
        (record,) = peer.outgoing()
        altered = record[:-1] + bytes((record[-1] ^ 1,))
        for datagram in (altered, record[:-3], b"\x17", bytes(40), record, record, altered, record):
            server.socket.sendto(datagram, who)
        peer.send(request(2))
        (record,) = peer.outgoing()
        server.socket.sendto(record, who)
        await until(lambda: len(noted.messages) >= 2)
        assert [content(message) for _, _, message in noted.messages] == [content(request(1)), content(request(2))]
        assert north.link(SOURCE, "one").state is LinkState.OPEN


@pytest.mark.parametrize("kind", ["tcp", "tls"])
@pytest.mark.parametrize(
    ("greeting", "why"),
    [
        (stream.frame(69, b"\1", b""), "no CSM"),
        (stream.signal(stream.Signal.PING), "no CSM"),
        (stream.signal(stream.Signal.CSM, [(1, b"")]), "critical option 1"),
        (b"\xf0\xff\xff\xff\xff\xe1", "a message of 4295033106 bytes"),
        (b"\x0f\xe1" + bytes(15), "token length 15"),
        (stream.signal(stream.Signal.ABORT, text="go away"), "go away"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ""),
    ],
)  # fmt: skip
async def test_a_server_that_does_not_begin_with_a_csm_is_aborted_and_the_reason_kept(kind, greeting, why):
    server = server_of(kind)
    assert isinstance(server, StreamServer)
    server.greeting = greeting
    async with running(kind, server) as (north, noted):
        north.open(SOURCE, ("one",))
        failed = await state(noted, LinkState.FAILING)
        assert why in failed.reason
        assert north.counters().opened == 0


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_a_pong_acknowledges_and_what_none_followed_goes_again(kind):
    server = server_of(kind)
    assert isinstance(server, StreamServer)
    server.answers_pings = False
    async with running(kind, server) as (north, noted):
        await opened(north, noted, server)
        message = confirmable(21, b"\x15", code=2)
        assert north.send(SOURCE, "one", message) is Sending.LEFT
        who, _ = await server.receive()
        assert north.send(SOURCE, "one", message) is Sending.LEFT  # the relay repeats it: it is on its way already
        assert noted.messages == []
        server.answers_pings = True
        server.connection(who).writer.close()
        await until(lambda: north.counters().ended_by_server == 1)
        north.send(SOURCE, "one", message)
        async with asyncio.timeout(10):
            assert content((await server.receive())[1]) == content(message)
        await until(lambda: bool(noted.messages))
        assert [one for _, _, one in noted.messages] == [udp.empty(ACK, 21)]


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_a_server_that_reads_no_more_is_left(kind, monkeypatch):
    monkeypatch.setattr(tcp_channel, "PONG", 0.3)
    server = server_of(kind)
    assert isinstance(server, StreamServer)
    server.answers_pings = False
    async with running(kind, server) as (north, noted):
        await opened(north, noted, server)
        north.send(SOURCE, "one", confirmable(21, b"\x15", code=2))
        await until(lambda: any("no Ping" in link.reason for _, _, link in noted.links))


async def test_a_release_is_obeyed_and_its_hold_off_kept():
    server = StreamServer()
    async with running("tcp", server) as (north, noted):
        await opened(north, noted, server)
        north.send(SOURCE, "one", request(1))
        who, _ = await server.receive()
        server.connection(who).write(stream.signal(stream.Signal.RELEASE, [(stream.HOLD_OFF, b"\x3c")]))
        server.connection(who).writer.close()
        closed = await state(noted, LinkState.CLOSED)
        assert "asked to end" in closed.reason
        retry = north.link(SOURCE, "one").retry_in
        assert retry is not None
        assert 55 < retry <= 75


async def test_a_server_that_closes_its_half_is_left_with_what_it_had_said():
    server = StreamServer()
    async with running("tcp", server) as (north, noted):
        await opened(north, noted, server)
        north.send(SOURCE, "one", request(1))
        who, _ = await server.receive()
        server.connection(who).write(stream.frame(69, b"\x01", b""))
        server.connection(who).writer.write_eof()
        await until(lambda: north.counters().ended_by_server == 1)
        assert content(noted.messages[-1][2])[1] == b"\x01"


async def test_a_message_that_is_larger_than_the_server_takes_is_dropped_and_the_next_one_goes():
    server = StreamServer()
    server.greeting = stream.csm(64)
    async with running("tcp", server) as (north, noted):
        await opened(north, noted, server)
        assert north.send(SOURCE, "one", request(1, 100)) is Sending.DROPPED
        north.send(SOURCE, "one", request(2))
        assert content((await server.receive())[1]) == content(request(2))


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_a_server_that_pings_and_never_reads_costs_bounded_memory_and_is_left(kind, monkeypatch):
    """Each Ping wants a Pong (RFC 8323 §5.4): its sender must not decide how many of them wait."""
    monkeypatch.setattr(tcp_channel, "UNREAD", 0.5)
    monkeypatch.setattr(tcp_channel, "DRAIN", 0.2)
    server = server_of(kind)
    assert isinstance(server, StreamServer)
    async with running(kind, server) as (north, noted):
        await opened(north, noted, server)
        north.send(SOURCE, "one", request(1))
        who, _ = await server.receive()
        peer = server.connection(who)
        peer.writer.transport.pause_reading()
        channel = cast("StreamNorth", north._streams).links[SOURCE, "one"].channel
        transport = cast("tcp_channel.StreamChannel", channel)._transport
        assert transport is not None
        pings = stream.frame(stream.Signal.PING, b"8 bytes!", b"") * 1000
        largest = 0
        for _ in range(2000):
            if peer.writer.transport.get_write_buffer_size() < 1_000_000:
                peer.write(pings)
            await asyncio.sleep(0)
            largest = max(largest, transport.get_write_buffer_size())
        assert largest < 1_000_000
        await until(lambda: any("has read nothing" in link.reason for _, _, link in noted.links))
        await until(lambda: transport.get_write_buffer_size() == 0, 15)


async def test_a_fault_on_this_side_of_one_link_says_nothing_of_the_server(monkeypatch):
    """EADDRNOTAVAIL, or EMFILE: the links of other endpoints open."""
    server = StreamServer()
    async with running("tcp", server) as (north, noted):
        streams = cast("StreamNorth", north._streams)
        maker = cast("Any", streams)._maker
        local = maker._local_host
        monkeypatch.setattr(
            maker, "_local_host", lambda source, family: "192.0.2.1" if source == SOURCE else local(source, family)
        )
        north.open(SOURCE, ("one",))
        failed = await state(noted, LinkState.FAILING)
        assert "192.0.2.1" in failed.reason
        north.open(SOURCE + 1, ("one",))
        await state(noted, LinkState.OPEN)
        assert not [link for source, _, link in noted.links if source != SOURCE and link.state is LinkState.FAILING]
        assert north.link(SOURCE, "one").state is LinkState.FAILING


async def test_a_mistake_while_a_link_is_made_keeps_no_place_at_the_gate(monkeypatch):
    server = StreamServer()
    async with running("tcp", server) as (north, _noted):
        maker = cast("Any", north._streams)._maker
        make = maker.make

        def mistaken(link: SessionLink, *more: object) -> object:
            if link.key[0] == SOURCE:
                raise ZeroDivisionError
            return make(link, *more)

        monkeypatch.setattr(maker, "make", mistaken)
        north.open(SOURCE, ("one",))
        north.open(SOURCE + 1, ("one",))
        await until(lambda: north.link(SOURCE + 1, "one").state is LinkState.OPEN)
        assert "see the log" in north.link(SOURCE, "one").reason


async def test_no_message_and_no_wish_opens_a_link_that_its_server_holds_off():
    server = StreamServer()
    async with running("tcp", server) as (north, noted):
        north.send(SOURCE, "one", request(1))
        who, _ = await server.receive()
        server.connection(who).write(stream.signal(stream.Signal.RELEASE, [(stream.HOLD_OFF, b"\x3c")]))
        server.connection(who).writer.close()
        await state(noted, LinkState.CLOSED)
        assert north.send(SOURCE, "one", request(2)) is Sending.WAITS
        north.open(SOURCE, ("one",))
        assert north.link(SOURCE, "one").state is LinkState.CLOSED
        retry = north.link(SOURCE, "one").retry_in
        assert retry is not None
        assert 55 < retry <= 75


async def test_forged_cookies_make_a_handshake_send_three_times_their_bytes_and_one_hello_more():
    """The class of CVE-2022-2576, from the client's side: OpenSSL repeats its ClientHello for every cookie."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        forger.bind(("127.0.0.1", 0))
        forger.setblocking(False)
        north, noted = await combined("dtls", {"one": forger.getsockname()[1]}), Noted()
        await north.start(noted)
        north.open(SOURCE, ("one",))
        hello, at = await asyncio.get_running_loop().sock_recvfrom(forger, 4096)
        sent = 0
        for number in range(200):
            before = north.counters().received
            sent += forger.sendto(hello_verify_request(number), at)
            await until(lambda before=before: north.counters().received > before)
        heard = 0
        with suppress(BlockingIOError):
            while True:
                heard += len(forger.recv(4096))
        await north.stop()
        again = 3 * (len(hello) + 255)  # flights that are sent again, if this test takes seconds
        assert sent < heard <= 3 * sent + len(hello) + 255 + again


@pytest.mark.parametrize("kind", ["dtls", "tls"])
async def test_a_handshake_that_never_ends_is_given_up_and_its_place_is_free(kind, monkeypatch):
    """The class of CVE-2022-39368: a place at the gate that is never freed, and then no link opens any more."""
    monkeypatch.setattr(dtls_channel, "HANDSHAKE", 0.5)
    monkeypatch.setattr(tcp_channel, "OPENING", 0.5)
    async with asyncio.TaskGroup() as tasks:
        port, server = await (endless_datagrams(tasks) if kind == "dtls" else endless_bytes(tasks))
        north, noted = await combined(kind, {"one": port}, link=LinkSettings(OpeningRate(at_once=1))), Noted()
        await north.start(noted)
        for source in (SOURCE, SOURCE + 1):
            north.open(source, ("one",))
        for source in (SOURCE, SOURCE + 1):
            await until(lambda source=source: any(
                who == source and link.state is LinkState.FAILING for who, _, link in noted.links
            ))  # fmt: skip
        assert north.counters().opened == 0
        await north.stop()
        server.cancel()


async def endless_datagrams(tasks: asyncio.TaskGroup) -> tuple[int, asyncio.Task[None]]:
    """Run a server that asks for another cookie with each datagram."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)

    async def answer() -> None:
        loop, number = asyncio.get_running_loop(), 0
        with sock:
            while True:
                _, who = await loop.sock_recvfrom(sock, 4096)
                await asyncio.sleep(0.02)
                sock.sendto(hello_verify_request(number % 250), who)
                number += 1

    return sock.getsockname()[1], tasks.create_task(answer())


async def endless_bytes(tasks: asyncio.TaskGroup) -> tuple[int, asyncio.Task[None]]:
    """Run a server that sends a handshake record byte by byte, and never its end."""
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)

    async def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):  # it ends with the client's connection
            await loop.sock_sendall(connection, b"\x16\x03\x03\x3f\xff")
            while True:
                await loop.sock_sendall(connection, b"x")
                await asyncio.sleep(0.02)

    async def accept() -> None:
        with listening:
            while True:
                connection, _ = await loop.sock_accept(listening)
                tasks.create_task(drip(connection))

    return listening.getsockname()[1], tasks.create_task(accept())


def hello_verify_request(number: int) -> bytes:
    """Return a HelloVerifyRequest (RFC 6347 §4.2.1) with a cookie of one byte, of one of many message numbers."""
    body = b"\xfe\xff\x01" + bytes((number,))
    message = b"\x03" + len(body).to_bytes(3) + number.to_bytes(2) + bytes(3) + len(body).to_bytes(3) + body
    return b"\x16\xfe\xff\0\0" + number.to_bytes(6) + len(message).to_bytes(2) + message
