"""A real Leshan manages emulated devices that have SMS alone: device, modem, SCEF, T8 validated, the bridge, Leshan."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.interop.leshan_server import Leshan, LeshanProcess
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ONE_SMS = 133  # octets: 140 less the header for two ports
LONG = "0123456789abcdef" * 20


@dataclass(frozen=True)
class Stage:
    """The set-up, and Leshan at its end."""

    world: SetUp
    leshan: Leshan

    async def add(self, name: str) -> dict[str, Any]:
        """Add a device that is reached by External Identifier and SMS, and give its registration."""
        await self.world.add_ue(name, sms_udp_port=0, t3324=2.0, t3412=3600.0)
        await self.world.add_endpoint(name=name, network="sms", address=f"{name}@iot")
        pipe = await self.world.sms_modem(name)
        device = {"endpoint": name, "connect": "coap://bridge.example", "pipe": pipe, "binding": "S"}
        await self.world.devices.post("/devices", device)
        registered = await self.leshan.event("registered", name, wait=30)
        await until(lambda: self.world._knows(name), why=f"{name} does not know that it is registered")
        found: dict[str, Any] = registered["registration"]
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(leshan_process: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    server = f"coap://{leshan_process.host}:{leshan_process.coap_port}"
    async with (
        set_up(
            tmp_path_factory.mktemp("sms"),
            servers={"leshan": server},
            sms={"sms": "nidd"},
            devices=("--block-size", "64", "--max-retransmit", "0"),
        ) as world,
        Leshan(leshan_process) as leshan,
    ):
        yield Stage(world, leshan)


@pytest.mark.requirement("LightweightM2M-LPW-3")
async def test_leshan_manages_a_device_by_sms_with_its_external_identifier(stage: Stage):
    registration = await stage.add("by-sms")
    assert registration["binding"] == "U"  # by its profile (R21): Leshan would not send to binding S
    answer = await stage.leshan.read("by-sms", "/3/0/0", format="TEXT")
    assert answer["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}
    assert (await stage.leshan.write("by-sms", "/3/0/15", value=LONG, format="TEXT"))["code"] == "2.04"
    assert (await stage.leshan.read("by-sms", "/3/0/15", format="TEXT"))["values"] == {"/3/0/15": LONG}
    await stage.leshan.observe("by-sms", "/3303/0/5700", format="TEXT")
    await stage.world.set_value("by-sms", "/3303/0/5700", 30.25)
    assert (await stage.leshan.event("notification", "by-sms"))["values"] == {"/3303/0/5700": 30.25}
    world = stage.world
    assert await world.air("by-sms", "downlink") == await world.air("by-sms", "uplink") == []
    messages = [*await world.air("by-sms", "sms"), *await world.air("by-sms", "mo-sms")]
    assert max(len(bytes.fromhex(one["data"])) for one in messages) <= ONE_SMS
    triggers = [one for one in await world.scef().get("/triggers") if one["ue"] == "by-sms"]
    assert {(one["externalId"], one.get("msisdn")) for one in triggers} == {("by-sms@iot", None)}


@pytest.mark.requirement("LightweightM2M-LPW-3")
async def test_leshan_reads_from_a_device_that_sleeps_when_it_wakes(stage: Stage):
    await stage.add("sleepy")
    world = stage.world
    await world.scef().post("/ues/sleepy/sleep")
    before = len(await world.air("sleepy", "sms"))
    asked = asyncio.create_task(stage.leshan.read("sleepy", "/3/0/0", timeout=100, format="TEXT"))

    async def waits() -> bool:
        return bool((await world.ue("sleepy"))["sms_queue"])

    await until(waits, why="the SMS centre holds nothing")
    assert len(await world.air("sleepy", "sms")) == before
    await world.scef().post("/ues/sleepy/wake")
    assert (await asyncio.wait_for(asked, 20))["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}
