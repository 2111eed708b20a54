"""Devices that have nothing but SMS, from end to end: verdicts come from the server, the SCEF and the air."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.interop.raw_device import decode
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLEEPER = {"t3324": 2.0, "t3412": 3600.0, "pdn": True}
ONE_SMS = 133  # octets: 140 less the header for two ports


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("sms"),
        sms={"sms": "nidd"},
        devices=("--block-size", "64", "--max-retransmit", "0"),
        service='default_servers = ["lab"]',
    ) as found:
        yield found


async def add(world: SetUp, name: str, **ue: Any) -> None:
    """Add a device that has SMS alone, and wait until the server knows it."""
    await world.add_ue(name, **{"sms_udp_port": 0, "pdn": False, **ue})
    await world.add_endpoint(name=name, network="sms", address=f"{name}@iot")
    pipe = await world.sms_modem(name)
    device = {"endpoint": name, "connect": "coap://bridge.example", "pipe": pipe, "binding": "S"}
    await world.devices.post("/devices", device)
    await world.registered(name)
    await until(lambda: world._knows(name), why=f"{name} does not know that it is registered")


async def triggers(world: SetUp, name: str) -> list[dict[str, Any]]:
    return [one for one in await world.scef().get("/triggers") if one["ue"] == name]


async def downlinks(world: SetUp, name: str) -> list[dict[str, Any]]:
    found = await world.bridge.ask("downlink.list", endpoint=name)
    return [one for one in found["items"] if one["kind"] == "request"]


async def state(world: SetUp, name: str, wanted: str) -> dict[str, Any]:
    """Wait until the only request to a device has a state."""

    async def look() -> dict[str, Any] | None:
        return next((one for one in await downlinks(world, name) if one["state"] == wanted), None)

    return await until(look, why=f"no {wanted} request")


async def asleep(world: SetUp, name: str) -> None:
    await world.scef().post(f"/ues/{name}/sleep")


@pytest.mark.requirement("LightweightM2M-LPW-3")
async def test_a_device_with_an_external_identifier_is_managed_by_sms_alone(world: SetUp):
    await add(world, "alone")
    answer = await world.ask("alone", "read", "/3/0/0")
    assert (answer["code"], answer["values"]) == ("2.05", {"/3/0/0": "LwM2M Non-IP bridge"})
    await world.ask("alone", "write", "/3/0/15", value="Europe/Berlin")
    assert (await world.devices.get("/devices/alone/resources/3/0/15"))["value"] == "Europe/Berlin"
    for one in await triggers(world, "alone"):
        assert one["externalId"] == "alone@iot"
        assert "msisdn" not in one
        assert one["deliveryResult"] == "SUCCESS"
    assert await world.air("alone", "uplink") == await world.air("alone", "downlink") == []  # nothing but SMS
    assert len(await world.air("alone", "mo-sms")) >= 3


async def test_what_is_larger_than_one_sms_goes_in_blocks_of_64_bytes_both_ways(world: SetUp):
    await add(world, "blocks")
    text = "0123456789abcdef" * 20
    await world.ask("blocks", "write", "/3/0/15", value=text, format="TEXT")
    answer = await world.ask("blocks", "read", "/3/0/15", accept="TEXT")
    assert answer["values"] == {"/3/0/15": text}
    sent = [bytes.fromhex(one["data"]) for one in await world.air("blocks", "sms")]
    heard = [bytes.fromhex(one["data"]) for one in await world.air("blocks", "mo-sms")]
    assert max(map(len, sent)) <= ONE_SMS
    assert max(map(len, heard)) <= ONE_SMS
    blocks = [decode(one).payload for one in sent if decode(one).payload]
    assert max(map(len, blocks)) == 64
    assert text == b"".join(one for one in blocks if one in text.encode()).decode()


async def test_nothing_is_sent_again_over_sms_while_no_answer_comes(world: SetUp):
    await add(world, "silent")
    await world.devices.post("/devices/silent/mute")
    before = len(await world.air("silent", "sms"))
    asked = asyncio.create_task(world.ask("silent", "read", "/3/0/0", timeout=90))
    await state(world, "silent", "DELIVERED")  # by the modem, and no more than that
    for _ in range(5):
        await world.lab.step(20.0)
        await asyncio.sleep(0.05)
    await asyncio.wait_for(asked, 30)
    assert len(await world.air("silent", "sms")) == before + 1


async def test_a_sleeping_device_gets_it_when_it_wakes(world: SetUp):
    await add(world, "sleeper", **SLEEPER)
    await asleep(world, "sleeper")
    asked = asyncio.create_task(world.ask("sleeper", "read", "/3/0/0", timeout=100))
    found = await state(world, "sleeper", "BUFFERED")
    assert found["deliver_by"] is not None
    await world.scef().post("/ues/sleeper/wake")
    assert (await asyncio.wait_for(asked, 20))["code"] == "2.05"
    assert (await downlinks(world, "sleeper"))[-1]["state"] == "RESPONDED"


async def test_an_sms_whose_time_is_over_is_recalled_and_nothing_claimed(world: SetUp):
    """Nobody can say that no copy was on the air; but none goes out after the deadline."""
    await add(world, "over", **SLEEPER)
    await asleep(world, "over")
    asked = asyncio.create_task(world.ask("over", "read", "/3/0/0", timeout=200))
    await state(world, "over", "BUFFERED")
    await world.lab.step(130.0)
    await until(lambda: _none_waits(world, "over"), why="the trigger is not recalled")
    await world.lab.step(61.0)
    await state(world, "over", "UNKNOWN")
    assert (await asyncio.wait_for(asked, 20))["code"] == "5.04"
    before = await world.air("over", "sms")
    await world.scef().post("/ues/over/wake")
    await world.lab.step(5.0)
    assert await world.air("over", "sms") == before


async def _none_waits(world: SetUp, name: str) -> bool:
    return not (await world.ue(name))["sms_queue"]


async def test_a_device_without_sms_is_refused_and_that_is_said(world: SetUp):
    await add(world, "deaf")
    await world.scef().ask("PATCH", "/ues/deaf", {"sms": False})
    answer = await world.ask("deaf", "read", "/3/0/0", timeout=100)
    assert answer["code"] == "5.02"
    found = await state(world, "deaf", "REJECTED")
    assert "OPERATION_PROHIBITED" in found["reason"]


async def test_a_report_that_comes_before_the_201_is_believed(world: SetUp):
    await add(world, "early")
    await world.fault("status_before_answer", where={"api": "triggering", "ue": "early"}, count=1)
    answer = await world.ask("early", "read", "/3/0/0", timeout=60)
    assert answer["code"] == "2.05"
    await state(world, "early", "RESPONDED")


async def test_an_answer_that_was_lost_is_found_and_nothing_is_sent_twice(world: SetUp):
    await add(world, "lost", **SLEEPER)
    await asleep(world, "lost")
    await world.fault("cut_after_processing", where={"api": "triggering", "method": "POST"}, count=1)
    asked = asyncio.create_task(world.ask("lost", "execute", "/1/0/8", timeout=100))
    await state(world, "lost", "BUFFERED")
    assert len(await triggers(world, "lost")) == 1 + len(
        [one for one in await triggers(world, "lost") if one["deliveryResult"] == "SUCCESS"]
    )
    await world.scef().post("/ues/lost/wake")
    assert (await asyncio.wait_for(asked, 20))["code"] == "2.04"


async def test_an_sms_of_a_device_that_nobody_has_is_refused_and_counted(world: SetUp):
    await world.add_ue("stranger", sms_udp_port=0, pdn=False)
    await world.scef().post("/ues/stranger/sms", {"data": "40020001"})

    async def refused() -> list[int]:
        return [one["status"] for one in await world.notifications("stranger", "mo-sms") if one["status"]]

    assert (await until(refused))[0] == 404
    assert await world.count("unknown_devices", network="sms") >= 1
    await world.logged("stranger@iot")


async def test_doctor_finds_the_network_well(world: SetUp):
    done = await world.command("doctor", "--network", "sms", "--json")
    assert '"delivery reports arrive"' in done.out, done.out + done.err


async def test_an_application_asks_a_device_by_sms_without_a_server(world: SetUp):
    await add(world, "direct")
    asked = {"endpoint": "direct", "operation": "write", "path": "/3/0/15", "wait": 60}
    long = "Europe/" + "x" * 300
    written = await world.bridge.ask("downlink.send", value=long, **asked)
    assert (written["downlink"]["state"], written["response"]["code"]) == ("RESPONDED", "2.04")
    assert written["messages"] == 5  # blocks of 64 bytes
    read = await world.bridge.ask("downlink.send", endpoint="direct", operation="read", path="/3/0/15", wait=60)
    assert read["response"]["values"][0]["value"] == long
    assert await world.air("direct", "downlink") == []  # nothing but SMS
