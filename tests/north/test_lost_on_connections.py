"""Nobody repeats what is lost over a connection (RFC 8323 §3.1): it is closed, so that its server knows."""

from typing import cast

import pytest

from bridge.coap import stream, udp
from bridge.coap.message import ACK, CON, decode_body
from bridge.coap.numbers import Code
from bridge.north.contract import LinkState, Sending
from bridge.north.sessions import link as links
from bridge.north.sessions.channel import Channel
from bridge.north.tcp.transport import StreamNorth
from tests.north.session_servers import StreamServer, confirmable
from tests.north.test_session_faults import SOURCE, opened, received, running, server_of, state
from tests.north.transport_contract import content, request
from tests.waiting import until

OBSERVED = b"\x61\x05"  # the option Observe
ANSWER = b"\xff" + bytes(100)


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_a_connection_is_closed_when_a_message_was_not_recorded_and_opened_again(kind, monkeypatch):
    monkeypatch.setattr(links, "FIRST_RETRY", 0.05)
    server = server_of(kind)
    assert isinstance(server, StreamServer)
    async with running(kind, server) as (north, noted):
        await opened(north, noted, server)
        north.send(SOURCE, "one", request(1))
        await server.receive()
        north.unrecorded(SOURCE, "one")
        assert north.link(SOURCE, "one").state is LinkState.CLOSED
        assert north.link(SOURCE, "one").retry_in is not None
        await until(server.connections[0].writer.transport.is_closing, why="the server does not notice")
        await state(noted, LinkState.OPEN)
        assert len(server.connections) == 2
        counters = north.counters()
        assert (counters.closed_unrecorded, counters.ended_by_server, counters.opened) == (1, 0, 2)


async def test_a_session_stays_when_a_message_was_not_recorded():
    server = server_of("dtls")
    async with running("dtls", server) as (north, noted):
        await opened(north, noted, server)
        north.unrecorded(SOURCE, "one")
        assert north.link(SOURCE, "one").state is LinkState.OPEN
        assert north.counters().closed_unrecorded == 0


async def test_a_link_that_is_not_open_has_lost_nothing():
    server = StreamServer()
    async with running("tcp", server) as (north, noted):
        north.unrecorded(SOURCE, "one")
        await opened(north, noted, server)
        north.release(SOURCE)
        north.unrecorded(SOURCE, "one")
        assert north.counters().closed_unrecorded == 0


@pytest.mark.parametrize(("size", "closed"), [(None, False), (0, True)])
async def test_a_connection_is_closed_when_an_answer_is_dropped(size, closed, monkeypatch):
    """Of a request the caller learns that it was dropped, and sends it again."""
    monkeypatch.setattr(links, "WAITING", 0)
    server = StreamServer()
    async with running("tcp", server) as (north, noted):
        await opened(north, noted, server)
        channel = cast("Channel", cast("StreamNorth", north._streams).links[SOURCE, "one"].channel)
        channel.pause_writing()  # type: ignore[attr-defined]
        message = request(1) if size is None else udp.frame(ACK, Code.CONTENT, 5, b"\x05", b"")
        assert north.send(SOURCE, "one", message) is Sending.DROPPED
        assert (north.link(SOURCE, "one").state is LinkState.CLOSED) is closed


@pytest.mark.parametrize("mtype", [ACK, CON])
async def test_a_server_gets_an_error_instead_of_an_answer_that_is_too_large(mtype, caplog):
    server = StreamServer()
    server.greeting = stream.csm(64)
    async with running("tcp", server) as (north, noted):
        await opened(north, noted, server)
        north.send(SOURCE, "one", confirmable(1, b"\x01"))
        await server.receive()
        assert north.send(SOURCE, "one", udp.frame(mtype, Code.CONTENT, 5, b"\x05", ANSWER)) is Sending.LEFT
        code, token, body = content(await received(server))
        assert (code, token) == (Code.INTERNAL_SERVER_ERROR, b"\x05")
        assert b"Max-Message-Size" in decode_body(body)[1]
        assert "larger than the server accepts" in caplog.text


async def test_a_notification_that_is_too_large_is_dropped_and_its_observation_goes_on():
    server = StreamServer()
    server.greeting = stream.csm(64)
    async with running("tcp", server) as (north, noted):
        await opened(north, noted, server)
        notification = udp.frame(CON, Code.CONTENT, 5, b"\x05", OBSERVED + ANSWER)
        assert north.send(SOURCE, "one", notification) is Sending.DROPPED
        assert north.link(SOURCE, "one").state is LinkState.OPEN
