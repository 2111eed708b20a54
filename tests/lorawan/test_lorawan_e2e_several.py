"""Several servers over LoRaWAN: each has a registration of its own, and what the device says goes to the right one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.ets.lorawan_several import several_servers
from tests.ets.servers import EmulatedServer
from tests.ets.worlds import LorawanWorld
from tests.lorawan.lorawan_kit import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

NAME = "case-0"  # of the set-up's endpoints, which the enabler test cases use otherwise
ACCOUNTS = [
    {"id": 1, "uri": "coap://lab.example", "lifetime": 86400, "values": {"23": False}},
    {"id": 2, "uri": "coap://gone.example", "lifetime": 172800},
]
SERVERS = ("lab", "gone")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanWorld]:
    directory: Path = tmp_path_factory.mktemp("several")
    async with several_servers(directory) as lorawan:
        ends = {"lab": EmulatedServer(lorawan.server), "gone": EmulatedServer(lorawan.lab.servers["gone"].api)}
        found = LorawanWorld(ends, lorawan, NAME)
        async with found.polled():
            yield found


async def test_a_class_a_device_is_bootstrapped_and_managed_by_two_servers(world: LorawanWorld):
    await world.server("boot").ask("PUT", f"/bootstrap/{NAME}", {"servers": ACCOUNTS})
    made = await world.add_device(NAME)
    pipe = "{}:{}".format(*made["modem"])
    await world.devices.post("/devices", {"endpoint": NAME, "bootstrap_uri": "coap://boot.example", "pipe": pipe})
    registered = [await world.registered(NAME, server) for server in SERVERS]
    assert [client["lifetime"] for client in registered] == [86400, 172800]
    assert await world.server("boot").get("/clients") == []
    for server in SERVERS:
        assert (await world.ask(NAME, "read", "/3/0/1", server=server))["values"] == {"/3/0/1": "Emulated device"}

    assert (await world.act(NAME, "send", paths=["/3/0/9"], server=1))["code"] == "2.04"
    assert [await world.ends[server].sends(NAME) for server in SERVERS] == [[{"/3/0/9": 100}], []]
    await world.lorawan.bridge.restart()
    assert (await world.act(NAME, "update"))["code"] == "2.04"
    assert (await world.act(NAME, "deregister", server=1))["code"] == "2.02"

    async def left_one() -> bool:
        return [await world.ends[server].client(NAME) is None for server in SERVERS] == [True, False]

    await until(left_one, why="the registrations are not kept apart")
    assert (await world.ask(NAME, "read", "/3/0/0", server="gone"))["code"] == "2.05"
