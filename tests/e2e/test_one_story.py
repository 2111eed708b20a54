"""One story of a device, word for word the same over NIDD, SMS and LoRaWAN: LwM2M does not know what carries it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.e2e.kit import SetUp, set_up
from tests.ets.ends import Ends, LorawanEnds, NiddEnds
from tests.ets.servers import EmulatedServer
from tests.lorawan.lorawan_kit import DEV_EUI, lorawan_set_up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

NAME = "story"
TEMPERATURE = "/3303/0/5700"


async def add(world: SetUp, network: str, pipe: str, binding: str) -> Ends:
    """Start the LwM2M client of a UE, which reaches the bridge by `pipe`; return both ends when it is registered."""
    await world.add_endpoint(name=NAME, network=network, address=f"{NAME}@iot")
    if network == "nidd":
        await world.configured(NAME)
    body = {"endpoint": NAME, "connect": "coap://bridge.example", "pipe": pipe, "binding": binding}
    await world.devices.post("/devices", body)
    found = NiddEnds(world, EmulatedServer(world.server()), NAME)
    await found.registered()
    return found


@contextlib.asynccontextmanager
async def over_nidd(directory: Path) -> AsyncIterator[Ends]:
    async with set_up(directory, service='default_servers = ["lab"]') as world:
        made = await world.add_ue(NAME)
        yield await add(world, "nidd", "{}:{}".format(*made["modem"]), "N")


@contextlib.asynccontextmanager
async def over_sms(directory: Path) -> AsyncIterator[Ends]:
    small = ("--block-size", "64", "--max-retransmit", "0")
    async with set_up(directory, sms={"sms": "nidd"}, devices=small, service='default_servers = ["lab"]') as world:
        await world.add_ue(NAME, sms_udp_port=0, pdn=False)
        yield await add(world, "sms", await world.sms_modem(NAME), "S")


@contextlib.asynccontextmanager
async def over_lorawan(directory: Path) -> AsyncIterator[Ends]:
    endpoint = {"name": NAME, "network": "lorawan", "address": DEV_EUI}
    async with lorawan_set_up(directory, endpoints=[endpoint]) as world:
        await world.joined()
        await world.client(NAME)
        yield LorawanEnds(world, EmulatedServer(world.server), NAME)


async def story(ends: Ends) -> None:
    """Registration, Read, Write, Execute, Observe, Send, Update, Deregister."""
    client = await ends.registered()
    assert {"/1/0", "/3/0", "/3303/0"} <= set(client["links"])
    assert (await ends.ask("read", "/3/0/1"))["values"] == {"/3/0/1": "Emulated device"}
    assert (await ends.ask("write", "/3/0/14", value="+02:00"))["code"] == "2.04"
    assert await ends.value("/3/0/14") == "+02:00"
    assert (await ends.ask("execute", "/3303/0/5605"))["code"] == "2.04"
    assert (await ends.executed())[-1] == "Execute"
    assert (await ends.ask("observe", TEMPERATURE))["values"] == {TEMPERATURE: 20.0}
    await ends.set_value(TEMPERATURE, 31.5)
    await ends.notification(r3303_0_5700=31.5)
    assert (await ends.ask("cancel", TEMPERATURE))["code"] == "2.05"
    assert (await ends.act("send", paths=["/3/0/9"]))["code"] == "2.04"
    assert await ends.sends() == [{"/3/0/9": 100}]
    assert (await ends.act("update"))["code"] == "2.04"
    assert (await ends.act("deregister"))["code"] == "2.02"
    assert await ends.client() is None


@pytest.mark.requirement("LightweightM2M-MBT-002")
@pytest.mark.parametrize("over", [over_nidd, over_sms, over_lorawan], ids=["NIDD", "SMS", "LoRaWAN"])
async def test_the_story_of_a_device_is_the_same_over_each_network(
    over: Callable[[Path], AbstractAsyncContextManager[Ends]], tmp_path: Path
):
    async with over(tmp_path) as ends:
        await story(ends)
