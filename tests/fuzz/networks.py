"""What networks post and answer: T8 notifications and answers, ChirpStack's events and calls, and HTTP around them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bindings.http.connection import BUFFER, Connection, Reply, SharedState
from bindings.http.exchange import Exchange
from bindings.http.heads import KnownHeads
from bindings.http.messages import NO_CONTENT, Answer, Request, Writer, problem
from bindings.lorawan.chirpstack import events
from bindings.nidd.models import Delivery, read_notification
from bindings.t8 import links
from bindings.t8.problems import read_problem
from bindings.t8.reading import read_tolerant, read_tolerant_list
from bindings.t8.times import http_date, parse_time
from bridge.errors import NotificationError
from tests.fuzz.target import Target, joined, pieces, refusal

# T8


def notification(data: bytes) -> None:
    """Any body is a notification, or NotificationError."""
    assert refusal(lambda: read_notification(data), NotificationError) != ""


def answer(data: bytes) -> None:
    """The parts of a SCEF's answer: a body, links and times. Nothing of them raises."""
    read_problem(data)
    read_tolerant(data, Delivery)
    read_tolerant_list(data, Delivery)
    text = data.decode("utf-8", "replace")
    for read in (links.configuration_id, links.delivery_handle, links.bare_name, http_date, parse_time):
        read(text)


UPLINK = {"niddConfiguration": "http://scef/3gpp-nidd/v1/a/configurations/1", "externalId": "a@b", "data": "AQ=="}
DELIVERY = {
    "niddDownlinkDataTransfer": "/configurations/1/downlink-data-deliveries/2",
    "deliveryStatus": "FAILURE_TEMPORARILY_NOT_REACHABLE",
    "requestedRetransmissionTime": "2026-03-01T12:00:00Z",
}
PROBLEM = {"status": 403, "cause": "QUOTA_EXCEEDED", "detail": "none left"}
JSON = [json.dumps(one).encode() for one in (UPLINK, DELIVERY, {"subscription": "/1"}, PROBLEM, [DELIVERY])]
TIMES = [b"Sun, 06 Nov 1994 08:49:37 GMT", b"2026-03-01T12:00:00.5+02:00"]
LINKS = [b"http://scef/3gpp-nidd/v1/a/configurations/1", b"/configurations/1/downlink-data-deliveries/2"]

# ChirpStack

KINDS = ("up", "join", "ack", "txack", "log", "status", "location", "integration", "new")


def event(data: bytes) -> None:
    """Any body is an event of the kind that its URL or topic says, or NotificationError."""
    kind = KINDS[data[0] % len(KINDS)] if data else "up"
    assert refusal(lambda: events.read(kind, data[1:]), NotificationError) != ""


def _events() -> list[bytes]:
    info = {"tenantId": "t", "applicationId": "a", "devEui": "70b3d57ed0000001", "deviceClassEnabled": "CLASS_C"}
    common = {"deviceInfo": info, "time": "2026-03-01T12:00:00Z"}
    up = {**common, "deduplicationId": "d", "fCnt": 1, "fPort": 10, "data": "AQ=="}
    log = {**common, "level": "ERROR", "code": "EXPIRED", "context": {"a": "b"}}
    ack = {"queueItemId": "q", "deviceInfo": info, "acknowledged": True, "fCntDown": 3}
    protobuf = b"\n\1d\x12\4\x08\1\x10\1\x1a\x12\n\1t\x12\1T2\x10" + b"70b3d57ed0000001"
    made = [bytes((0,)) + json.dumps(up).encode(), bytes((4,)) + json.dumps(log).encode()]
    return [*made, bytes((2,)) + json.dumps(ack).encode(), *(bytes((kind,)) + protobuf for kind in range(len(KINDS)))]


# HTTP

LOOP = asyncio.new_event_loop()
MAX_BODY = 4096


class _Transport(asyncio.Transport):
    """A socket that takes everything at once, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written += data

    def abort(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Site:
    """Takes every request but those to /no, and answers at once."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bytes]] = []

    def refuse(self, request: Request) -> Answer | None:
        return problem(404, "no") if request.path == "/no" else None

    def answer(self, request: Request, reply: Reply) -> None:
        self.taken.append((request.method, request.target, request.body))
        reply(NO_CONTENT)

    def connection_refused(self, why: str, remote: str) -> None:
        pass


def requests(data: bytes) -> None:
    """Callers send what they like, in pieces of any size: the same requests are taken, and nothing raises."""
    cut = data[0] if data else 1
    whole, in_pieces = _served(data[1:], BUFFER), _served(data[1:], cut + 1)
    assert in_pieces[: len(whole)] == whole[: len(in_pieces)]
    assert _served(data[1:], BUFFER, heads := KnownHeads()) == _served(data[1:], BUFFER, heads) == whole


def _served(data: bytes, size: int, heads: KnownHeads | None = None) -> list[tuple[str, str, bytes]]:
    """Return what a server takes that has read the `heads` before."""
    site, transport = _Site(), _Transport()
    shared = SharedState(
        site, MAX_BODY, 20.0, lambda: 0.0, lambda _: True, lambda _: None, lambda _: None, bytearray(BUFFER), Writer(),
        heads or KnownHeads(),
    )  # fmt: skip

    async def serve() -> None:
        connection = Connection(shared)
        connection.connection_made(transport)
        for at in range(0, len(data), size):
            if transport.closed:
                break
            piece = data[at : at + size]
            connection.get_buffer(-1)[: len(piece)] = piece
            connection.buffer_updated(len(piece))
            await asyncio.sleep(0)
        connection.eof_received()
        await asyncio.sleep(0)
        connection.connection_lost(None)

    LOOP.run_until_complete(serve())
    return site.taken


def responses(data: bytes) -> None:
    """A server answers what it likes, in any pieces: a response, or the errors that a client of HTTP has."""

    async def ask() -> None:
        with _exchange() as exchange:
            asking = asyncio.ensure_future(exchange.ask(b"GET / HTTP/1.1\r\n\r\n", MAX_BODY, 5.0))
            await asyncio.sleep(0)
            for piece in pieces(data):
                exchange.get_buffer(-1)[: len(piece)] = piece
                exchange.buffer_updated(len(piece))
                await asyncio.sleep(0)
            exchange.connection_lost(None)
            try:
                response = await asking
            except ConnectionError:
                return
            assert len(response.body) <= MAX_BODY

    LOOP.run_until_complete(ask())


@contextmanager
def _exchange() -> Iterator[Exchange]:
    exchange = Exchange(bytearray(BUFFER), lambda _: None, lambda _: None)
    exchange.connection_made(_Transport())
    yield exchange


POST = b"POST /t8 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
CHUNKS = b"2\r\nab\r\n0\r\n\r\n"
CHUNKED = b"POST /no HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n" + CHUNKS
UPGRADE = b"POST /t8 HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\nx" + POST
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PARTS = [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"]

NOTIFICATION = Target("t8-notification", notification, lambda: JSON)
ANSWER = Target("t8-answer", answer, lambda: JSON + TIMES + LINKS)
EVENT = Target("chirpstack-event", event, _events)
REQUESTS = Target("http-requests", requests, lambda: [b"\xff" + POST, b"\7" + CHUNKED + POST, b"\1" + UPGRADE])
RESPONSES = Target("http-responses", responses, lambda: [joined(OK), joined(*PARTS)])
