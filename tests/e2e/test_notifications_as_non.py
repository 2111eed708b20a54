"""A server that acknowledges no notification, over a connection: what cannot leave for it is not called FORWARDED."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bridge.coap import stream
from bridge.coap.message import encode_body
from bridge.coap.numbers import Code, OptionNumber as Opt
from tests.e2e.kit import SetUp, set_up
from tests.e2e.test_tcp_server import CREATED, Server, asked
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SENSOR = "/3303/0/5700"
OBSERVE = encode_body([(Opt.OBSERVE, b""), *((Opt.URI_PATH, part.encode()) for part in SENSOR[1:].split("/"))], b"")
TOKEN = b"\x07"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Server]:
    made = Server()
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    uri = f"coap+tcp://127.0.0.1:{server.port}"
    lines = "acknowledges_notifications = false"
    async with set_up(tmp_path_factory.mktemp("as_non"), servers={"tcp": uri}, server_lines=lines) as found:
        yield found


async def states(world: SetUp, *wanted: str) -> None:
    """Wait until the notifications of the ledger, the oldest first, have these states."""

    async def are_so() -> bool:
        found: list[dict[str, Any]] = (await world.bridge.ask("uplink.list", endpoint="observed"))["items"]
        rows = sorted((row for row in found if row["kind"] == "notification"), key=lambda row: row["id"])
        return [row["state"] for row in rows] == list(wanted)

    await until(are_so, 20.0, why=f"the notifications are not {', '.join(wanted)}")


async def test_notifications_wait_for_a_server_that_is_away_and_reach_it_in_order(world: SetUp, server: Server):
    await world.add_device("observed", endpoint={}, device={}, registered="")
    first, register = await asked(server, 1)
    first.write(stream.frame(Code.CREATED, register.token, CREATED))
    first.write(stream.frame(Code.GET, TOKEN, OBSERVE))

    def values() -> list[bytes]:
        return [frame.body for frame in server.responses() if frame.token == TOKEN]

    await until(lambda: len(values()) == 1, 20.0, why="the observation did not begin")
    await world.set_value("observed", SENSOR, 21.5)
    await until(lambda: len(values()) == 2, 20.0, why="the first notification did not come")
    await states(world, "FORWARDED")

    await server.stop()
    for number, value in enumerate((22.5, 23.5), 1):
        await world.set_value("observed", SENSOR, value)
        await states(world, "FORWARDED", *["RECEIVED"] * number)
    await world.bridge.restart()  # SIGKILL
    await states(world, "FORWARDED", "RECEIVED", "RECEIVED")

    await server.start()
    second, update = await asked(server, 2)
    assert second is not first
    second.write(stream.frame(Code.CHANGED, update.token, b""))
    await until(lambda: len(values()) == 4, 60.0, why="the notifications did not come")
    assert [float(body.rpartition(b"\xff")[2]) for body in values()[2:]] == [22.5, 23.5]
    await states(world, *["FORWARDED"] * 3)
