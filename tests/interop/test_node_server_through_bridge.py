"""A second independent LwM2M server, lwm2m-node-lib on node-coap: the whole life of a registration through the bridge.

Device → emulated SCEF → bridge → server, each a process of its own; the verdict is what the server said.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mock_network.lab import free_ports
from tests.components import NODE_SERVER
from tests.conftest import need_component
from tests.e2e.kit import SetUp, set_up
from tests.interop.node_server import NodeServer, node_server
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIFETIME = 600
VALUE = "/3303/0/5700"
PROFILE = 'profile = "lwm2m-node-lib"'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    need_component(NODE_SERVER)
    (port,) = free_ports(1)
    directory = tmp_path_factory.mktemp("node")
    servers = {"node": f"coap://127.0.0.1:{port}"}
    async with set_up(directory, servers=servers, server_lines=PROFILE, clock=False) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def server(world: SetUp) -> AsyncIterator[NodeServer]:
    """Yield a server that knows no device yet."""
    port = int((world.lab.directory / "bridge.toml").read_text().split('uri = "coap://127.0.0.1:')[1].split('"')[0])
    async with node_server(port) as found:
        yield found


async def add(world: SetUp, server: NodeServer, name: str) -> None:
    """Add a device and wait until the server has it, and the device knows."""
    await world.add_device(name, endpoint={}, device={"lifetime": LIFETIME}, registered=())
    await knows(world, server, name)


async def knows(world: SetUp, server: NodeServer, name: str) -> None:
    async def both() -> bool:
        device = await world.devices.get(f"/devices/{name}")
        return bool(server.seen("registration", name)) and bool(device["registered"])

    await until(both, why=f"{name} is not registered")


async def test_a_registration_begins_is_renewed_and_ends(world: SetUp, server: NodeServer):
    await add(world, server, "lives")
    (registration,) = server.seen("registration", "lives")
    assert (registration["lifetime"], registration["binding"]) == (str(LIFETIME), "U")
    assert "</3303/0>" in registration["links"]

    assert (await world.act("lives", "update"))["code"] == "2.04"
    assert len(server.seen("update", "lives")) == 1
    assert await server.ask("write", "lives", "/1/0/1", "900") is not None
    await until(lambda: [one["lifetime"] for one in server.seen("update", "lives")][1:] == ["900"])

    assert (await world.act("lives", "deregister"))["code"] == "2.02"
    assert len(server.seen("unregistration", "lives")) == 1
    with pytest.raises(LookupError, match="DEVICE_NOT_FOUND"):
        await server.ask("read", "lives", "/3/0/1")
    (known,) = (await world.bridge.ask("endpoint.explain", name="lives"))["registrations"] or [None]
    assert known is None


async def test_every_operation_of_the_server_reaches_the_device(world: SetUp, server: NodeServer):
    await add(world, server, "managed")
    assert await server.ask("read", "managed", "/3/0/1") == "Emulated device"
    await server.ask("write", "managed", "/3/0/14", "+02:00")
    assert await server.ask("read", "managed", "/3/0/14") == "+02:00"
    await server.ask("execute", "managed", "/3/0/12")
    assert "</3303/0/5700>" in await server.ask("discover", "managed", VALUE)
    with pytest.raises(LookupError, match=r"RESOURCE_NOT_FOUND|not found"):
        await server.ask("read", "managed", "/3/0/99")


async def test_this_server_acknowledges_no_notification_and_gets_each_one_by_its_profile(
    world: SetUp, server: NodeServer
):
    """RFC 7252 §4.2 asks for acknowledgements. A device that notifies this server confirmably meets the same."""
    await add(world, server, "observed")
    assert await server.ask("observe", "observed", VALUE) == "20"
    values = ["31.5", "32.5", "33.5"]
    for number, value in enumerate(values, 1):
        await world.set_value("observed", VALUE, float(value))
        await until(
            lambda n=number: [one["value"] for one in server.events if one["event"] == "notification"] == values[:n]
        )
    found = (await world.bridge.ask("uplink.list", endpoint="observed"))["items"]
    assert [one["state"] for one in found if one["operation"] == "Notify"] == ["FORWARDED"] * 3


async def test_a_server_that_forgot_is_registered_with_anew(world: SetUp, server: NodeServer):
    await world.add_device("forgotten", endpoint={}, device={"lifetime": LIFETIME}, registered=())
    await knows(world, server, "forgotten")
    await server.stop()
    async with node_server(server.port) as fresh:
        await world.act("forgotten", "update")
        await until(lambda: fresh.seen("registration", "forgotten"), why="the device does not register again")
        await knows(world, fresh, "forgotten")
        assert await fresh.ask("read", "forgotten", "/3/0/1") == "Emulated device"
