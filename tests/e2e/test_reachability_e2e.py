"""The SCEF tells of devices: of those that come by themselves, and of those that can be reached again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LINES = """\
downlinks = { buffer = "bridge" }
reachability = { events = ["UE_REACHABILITY", "LOSS_OF_CONNECTIVITY"] }
zero_touch = { allow = ["new-*@iot"] }
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(tmp_path_factory.mktemp("told"), network_lines=LINES) as found:
        url = f"{found.callbacks['nidd']}/trigger"
        await found.scef().ask("PATCH", "/settings", {"nidd_trigger_url": url})
        yield found


async def begin(told: SetUp, name: str) -> None:
    """Let a device begin to register, of which the bridge knows nothing."""
    ue = await told.add_ue(name)
    await told.devices.post("/devices", {"endpoint": name, "connect": "coap://{}:{}".format(*ue["modem"])})


async def test_a_device_that_comes_by_itself_registers_and_is_managed(told: SetUp):
    await begin(told, "new-1")
    await told.configured("new-1")
    await told.registered("new-1")
    assert (await told.ask("new-1", "read", "/3/0/0"))["code"] == "2.05"
    assert (await told.command("endpoint", "show", "new-1", "--json")).code == 0


async def test_a_device_that_no_rule_names_gets_nothing(told: SetUp):
    await begin(told, "other")

    async def refused() -> float:
        return await told.count("nidd_triggers_not_allowed")

    await until(refused)
    assert not [one for one in await told.scef().get("/configurations") if one["ue"] == "other"]
    assert await told.seen("register", "other") == []


async def test_what_waits_in_the_bridge_goes_when_the_scef_reports_the_device(told: SetUp):
    """Long before the time that the SCEF named, and without a word of the device itself."""
    await told.add_device("asleep", endpoint={}, device={}, t3412=86_400.0)
    await told.scef().post("/ues/asleep/sleep")
    before = len(await told.air("asleep", "downlink"))
    asked = asyncio.create_task(told.ask("asleep", "read", "/3/0/0", timeout=100))

    async def subscribed() -> bool:
        subscriptions = await told.scef().get("/subscriptions")
        return "UE_REACHABILITY" in [one["monitoringType"] for one in subscriptions]

    await until(subscribed)
    assert len(await told.air("asleep", "downlink")) == before
    uplinks = len(await told.air("asleep", "uplink"))
    await told.scef().post("/ues/asleep/wake")
    assert (await asyncio.wait_for(asked, 20))["code"] == "2.05"
    assert len(await told.air("asleep", "downlink")) == before + 1
    assert len(await told.air("asleep", "uplink")) == uplinks + 1  # the answer


async def test_a_lost_device_is_shown_and_so_is_why_its_messages_wait(told: SetUp):
    await told.add_device("lost", endpoint={}, device={})

    async def standing() -> bool:
        subscriptions = await told.scef().get("/subscriptions")
        kinds = {one["monitoringType"] for one in subscriptions if one.get("externalId") == "lost@iot"}
        return "LOSS_OF_CONNECTIVITY" in kinds

    await until(standing)
    await told.scef().post("/ues/lost/detach")

    async def shown() -> str:
        out = (await told.command("endpoint", "show", "lost")).out
        return next((line for line in out.splitlines() if line.startswith("not reachable")), "")

    line = await until(shown, 20.0, why="nothing is shown of the device")
    assert line.startswith("not reachable            since 20")
    assert "the network reported that it lost its connection (LOSS_OF_CONNECTIVITY" in line
    asked = asyncio.create_task(told.ask("lost", "read", "/3/0/0", timeout=100))

    async def why() -> str:
        waiting = (await told.bridge.ask("endpoint.explain", name="lost"))["waiting"]
        return next((one["why"] for one in waiting if "of the device, the network reported" in one["why"]), "")

    await until(why, 20.0, why="the message does not say why it waits")
    await told.scef().post("/ues/lost/attach")
    await told.act("lost", "update")
    assert (await asyncio.wait_for(asked, 60))["code"] == "2.05"
    assert not await shown()
