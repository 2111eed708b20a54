"""A device on NIDD that sleeps is woken up by SMS: verdicts come from the server, the SCEF and the air."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.interop.raw_device import decode
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    directory = tmp_path_factory.mktemp("waking")
    async with set_up(directory, sms={"sms": "nidd"}, service='default_servers = ["lab"]') as found:
        yield found


async def add(world: SetUp, name: str, **options: str) -> None:
    """Add a device on NIDD whose SMS is an endpoint of its own; both are one UE."""
    await world.add_ue(name, sms_udp_port=0)
    await world.add_endpoint(name=f"{name}-sms", network="sms", address=f"{name}@iot")
    short_messages = f"binding=S,pipe={await world.sms_modem(name)}"
    wake = {"wake_endpoint": f"{name}-sms", "wake_accepts": "true", **options}
    await world.add_device(name, endpoint={"options": wake}, device={"bearers": [short_messages]})


async def unreachable(world: SetUp, name: str) -> None:
    """Release the PDN connection: NIDD waits for the UE, SMS reach it."""
    await world.scef().post(f"/ues/{name}/pdn-release")


async def held(world: SetUp, name: str) -> None:
    async def look() -> Any:
        found = await world.bridge.ask("downlink.list", endpoint=name, over=False)
        return [one for one in found["items"] if one["state"] == "BUFFERED"]

    await until(look, why="the SCEF does not hold the request")


async def test_a_request_for_a_device_that_is_not_connected_wakes_it_up_and_arrives(world: SetUp):
    await add(world, "sleeper")
    await unreachable(world, "sleeper")
    asked = asyncio.create_task(world.ask("sleeper", "read", "/3/0/0", timeout=100))
    await held(world, "sleeper")
    assert not await world.air("sleeper", "sms")
    await world.lab.step(6.0)
    await until(lambda: _dropped(world, "sleeper"), why="the device does not update its registration")
    await world.scef().post("/ues/sleeper/pdn-connect")  # as the modem does when its application sends
    assert (await asyncio.wait_for(asked, 30))["code"] == "2.05"
    (message,) = [decode(bytes.fromhex(one["data"])) for one in await world.air("sleeper", "sms")]
    assert (message.path(), message.type, message.token) == ("/1/0/8", 1, b"")
    assert not await world.air("sleeper", "mo-sms")  # a trigger is not answered
    found = await world.bridge.ask("downlink.list", endpoint="sleeper-sms")
    assert [(one["kind"], one["state"]) for one in found["items"]] == [("trigger", "DELIVERED")]


async def _dropped(world: SetUp, name: str) -> bool:
    return bool(await world.air(name, "uplink-dropped"))


async def test_a_trigger_that_the_server_asked_for_is_the_only_one(world: SetUp):
    await add(world, "own")
    await unreachable(world, "own")
    asked = asyncio.create_task(world.ask("own", "execute", "/1/0/8", timeout=60))
    await held(world, "own")
    await world.lab.step(20.0)
    await asyncio.sleep(0.2)
    assert not await world.air("own", "sms")
    await world.scef().post("/ues/own/pdn-connect")
    await asyncio.wait_for(asked, 20)


async def test_an_endpoint_that_is_not_there_is_told_and_nothing_else_suffers(world: SetUp):
    await add(world, "astray", wake_endpoint="nobody")
    await unreachable(world, "astray")
    asked = asyncio.create_task(world.ask("astray", "read", "/3/0/0", timeout=100))
    await held(world, "astray")
    await world.lab.step(6.0)
    await world.logged("cannot be woken", "nobody")
    await world.scef().post("/ues/astray/pdn-connect")
    assert (await asyncio.wait_for(asked, 20))["code"] == "2.05"
