"""A server that takes CoAP over TCP: a device is managed over a connection, and over the next one when it breaks."""

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.coap import stream
from bridge.coap.message import encode_body
from bridge.coap.numbers import Code, OptionNumber as Opt
from tests.e2e.full_disk import WRITTEN, is_long, limit
from tests.e2e.kit import SetUp, set_up
from tests.north.session_servers import Connection, StreamServer
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

CREATED = encode_body([(Opt.LOCATION_PATH, b"rd"), (Opt.LOCATION_PATH, b"r1")], b"")
ZONE = encode_body([(Opt.URI_PATH, b"3"), (Opt.URI_PATH, b"0"), (Opt.URI_PATH, b"14")], b"")


class Server(StreamServer):
    """Registers whoever asks, and knows clients by their connections, as RFC 8323 has it."""

    def requests(self) -> list[tuple[Connection, stream.Frame]]:
        """Return what clients asked, with the connection."""
        return [(one, frame) for one in self.connections for frame in one.frames if 0 < frame.code < 32]

    def responses(self) -> list[stream.Frame]:
        """Return what clients answered."""
        return [frame for one in self.connections for frame in one.frames if 64 <= frame.code < 192]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    where: Path = tmp_path_factory.mktemp("connections")
    async with set_up(where, servers={"tcp": f"coap+tcp://127.0.0.1:{server.port}"}) as found:
        yield found


async def asked(server: Server, number: int) -> tuple[Connection, stream.Frame]:
    """Wait for the request with this number, from 1."""
    await until(lambda: len(server.requests()) >= number, 20.0, why=f"no request number {number}")
    return server.requests()[number - 1]


async def reads(server: Server, connection: Connection, token: bytes) -> bytes:
    """Read the time zone over a connection; return the body of the answer."""
    connection.write(stream.frame(Code.GET, token, ZONE))

    def answer() -> stream.Frame | None:
        return next((frame for frame in server.responses() if frame.token == token), None)

    found = await until(answer, 20.0, why="no answer")
    assert found is not None
    assert found.code == Code.CONTENT
    return found.body


@pytest.mark.requirement("LightweightM2M-MBT-001")
async def test_a_device_is_managed_over_tcp_and_its_registration_follows_the_connection(world: SetUp, server: Server):
    await world.add_device("wired", endpoint={}, device={}, registered="")
    first, register = await asked(server, 1)
    first.write(stream.frame(Code.CREATED, register.token, CREATED))
    assert b"+00:00" in await reads(server, first, b"\x01")

    first.writer.close()
    second, update = await asked(server, 2)
    assert second is not first
    assert (update.code, update.body) == (Code.POST, encode_body([(Opt.URI_PATH, b"rd"), (Opt.URI_PATH, b"r1")], b""))
    second.write(stream.frame(Code.CHANGED, update.token, b""))
    assert b"+00:00" in await reads(server, second, b"\x02")

    await world.bridge.restart()  # SIGKILL
    third, update = await asked(server, 3)
    assert third not in {first, second}
    third.write(stream.frame(Code.CHANGED, update.token, b""))
    assert b"+00:00" in await reads(server, third, b"\x03")

    server.answers_pings = False  # it may or may not have read what comes now
    send = asyncio.create_task(world.act("wired", "send", paths=["/3303/0/5700"]))
    _, sent = await asked(server, 4)
    server.answers_pings = True
    third.writer.close()
    await asked(server, 6)
    again = server.requests()[4:6]
    assert [frame.body for _, frame in again] == [update.body, sent.body]
    for one, frame in again:
        one.write(stream.frame(Code.CHANGED, frame.token, b""))
    assert (await send)["code"] == "2.04"


async def test_a_new_connection_begins_with_the_update_whatever_waits_for_it(world: SetUp, server: Server):
    """A server that knows clients by their connections alone refuses a Send that comes before."""
    known = len(server.requests())
    await world.add_device("waiting", endpoint={}, device={}, registered="")
    first, register = await asked(server, known + 1)
    first.write(stream.frame(Code.CREATED, register.token, CREATED))
    assert b"+00:00" in await reads(server, first, b"\x04")
    first.writer.close()
    send = asyncio.create_task(world.act("waiting", "send", paths=["/3303/0/5700"]))
    (second, update), (_, sent) = [await asked(server, known + number) for number in (2, 3)]
    assert [frame.body[:3] for frame in (update, sent)] == [b"\xb2rd", b"\xb2dp"]
    for frame in (update, sent):
        second.write(stream.frame(Code.CHANGED, frame.token, b""))
    assert (await send)["code"] == "2.04"


async def test_a_request_that_cannot_be_recorded_ends_its_connection(world: SetUp, server: Server):
    """Nobody repeats it over a connection: without a sign the server would wait for an answer for ever."""
    known = len(server.requests())
    await world.add_device("full", endpoint={}, device={}, registered="")
    first, register = await asked(server, known + 1)
    first.write(stream.frame(Code.CREATED, register.token, CREATED))
    number = 0
    while number == 0 or not is_long(world):
        number += 1
        await reads(server, first, b"\x05" + number.to_bytes(2))
    limit(world, WRITTEN)
    first.write(stream.frame(Code.GET, b"\x06", ZONE))
    await until(first.writer.transport.is_closing, 20.0, why="the connection stays")
    assert not [frame for frame in server.responses() if frame.token == b"\x06"]
    limit(world, resource.RLIM_INFINITY)
    await world.lab.step(10.0)  # the pause before the next connection
    second, update = await asked(server, known + 2)
    second.write(stream.frame(Code.CHANGED, update.token, b""))
    assert b"+00:00" in await reads(server, second, b"\x07")
    assert await world.count("north_links_closed_unrecorded") >= 1
