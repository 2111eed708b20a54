"""A real Leshan manages emulated NIDD devices: every part is a process of its own, on real sockets.

Device (aiocoap), modem and SCEF, T8 through the validating proxy, the bridge, Leshan. The verdicts come from Leshan,
from the air log and from the device: never from the bridge.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from mock_network.lab import ApiError, free_ports
from tests.e2e.kit import SetUp, set_up
from tests.interop.leshan_server import Leshan, LeshanProcess
from tests.interop.raw_device import BLOCK1, CONTENT_FORMAT, POST, PUT, Message, decode, unblock
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SENML_CBOR = b"\x70"  # 112
TEMPERATURE = "/3303/0/5700"
REQUEST_CODES = range(1, 32)  # RFC 7252 §12.1.1


@dataclass(frozen=True)
class Stage:
    """The set-up, and Leshan at its end."""

    world: SetUp
    leshan: Leshan

    async def add(self, name: str, *, endpoint: dict[str, Any] | None = None, **ue: Any) -> dict[str, Any]:
        """Add a device and return its registration as soon as Leshan has it and the device knows."""
        await self.world.add_device(name, endpoint=endpoint or {}, device={}, registered="", **ue)
        registered = await self.leshan.event("registered", name, wait=30)

        async def known() -> bool:
            return bool((await self.world.devices.get(f"/devices/{name}"))["registered"])

        await until(known, why=f"{name} does not know that it is registered")
        found: dict[str, Any] = registered["registration"]
        return found

    async def sleep(self, name: str) -> None:
        """Send the UE into power saving."""
        assert (await self.world.scef().post(f"/ues/{name}/sleep"))["reachable"] is False

    async def wake(self, name: str) -> None:
        """Have it wake up, as for its periodic tracking area update."""
        await self.world.scef().post(f"/ues/{name}/wake")

    async def buffered(self, name: str) -> None:
        """Wait until the SCEF holds a downlink for a UE that sleeps."""

        async def look() -> bool:
            return bool((await self.world.ue(name))["queue"])

        await until(look, why=f"no downlink waits for {name} in the network")

    async def received(self, name: str) -> list[Message]:
        """Return requests that reached the UE over the air."""
        messages = [decode(bytes.fromhex(one["data"])) for one in await self.world.air(name, "downlink")]
        return [message for message in messages if message.code in REQUEST_CODES]

    async def sent(self, name: str, path: str) -> list[Message]:
        """Return POSTs to `path` that left the UE, those repeated for want of an answer once."""
        messages = [decode(bytes.fromhex(one["data"])) for one in await self.world.air(name, "uplink")]
        return list({m.mid: m for m in messages if m.code == POST and m.path() == path}.values())

    async def measures(self, name: str, value: float) -> None:
        """Let the sensor of an observed device measure something, and wait for Leshan's notification."""
        await self.world.set_value(name, TEMPERATURE, value)
        notification = await self.leshan.event("notification", name)
        assert notification["values"] == {TEMPERATURE: value}

    async def sends(self, name: str, value: float) -> None:
        """Let a device send what it measures, and see both ends of it."""
        answer = await self.world.act(name, "send", paths=[TEMPERATURE])
        assert (answer["outcome"], answer["code"]) == ("response", "2.04")
        assert (await self.leshan.event("send", name))["values"] == {TEMPERATURE: value}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(leshan_process: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A set-up with an address for each endpoint; its tests have devices of their own."""
    server = f"coap://{leshan_process.host}:{leshan_process.coap_port}"
    async with (
        set_up(tmp_path_factory.mktemp("stage"), servers={"leshan": server}) as world,
        Leshan(leshan_process) as leshan,
    ):
        yield Stage(world, leshan)


@pytest.mark.requirement("LightweightM2M-LPW-1", "LightweightM2M-LPW-2", "LightweightM2M-LPW-4")
async def test_a_sleeping_device_is_managed_over_a_kill_of_the_bridge_from_its_own_address(stage: Stage):
    registration = await _story(stage, "own-address")
    assert registration["address"] not in ("127.0.0.1", stage.leshan.host)


@pytest.mark.requirement("LightweightM2M-LPW-1", "LightweightM2M-LPW-2", "LightweightM2M-LPW-4")
async def test_a_sleeping_device_is_managed_over_a_kill_of_the_bridge_from_its_own_port(leshan_process, tmp_path):
    ports = free_ports(8)
    server = f"coap://{leshan_process.host}:{leshan_process.coap_port}"
    north = f'scheme = "ports"\nports = "{ports[0]}-{ports[-1]}"'
    async with (
        set_up(tmp_path, servers={"leshan": server}, north=north) as world,
        Leshan(leshan_process) as leshan,
    ):
        registration = await _story(Stage(world, leshan), "own-port")
    assert registration["address"] == "127.0.0.1"
    assert registration["port"] in ports


async def _story(stage: Stage, name: str) -> dict[str, Any]:
    """Return the registration, which is the same from the first to the last step."""
    leshan, world = stage.leshan, stage.world
    registration = await stage.add(name)
    assert {"</3/0>", "</3303/0>"} <= set(registration["object_links"])
    created = [one for one in world.proxies["nidd"].records if one["way"] == "api" and one["status"] == 201]
    assert any(one["request"].get("externalId") == f"{name}@iot" for one in created)

    assert (await leshan.read(name, "/3/0/0"))["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}
    assert (await leshan.write(name, "/3/0/14", "+02:00"))["code"] == "2.04"
    assert (await world.devices.get(f"/devices/{name}/resources/3/0/14"))["value"] == "+02:00"
    assert (await leshan.execute(name, "/3303/0/5605"))["code"] == "2.04"
    links = (await leshan.discover(name, "/3303"))["links"]
    assert any(link.startswith(f"<{TEMPERATURE}>") for link in links)
    assert (await leshan.observe(name, TEMPERATURE))["values"] == {TEMPERATURE: 20.0}
    await stage.measures(name, 21.5)
    await stage.sends(name, 21.5)

    await stage.sleep(name)
    before = len(await stage.received(name))
    read = await leshan.start("read", name, "/3/0/1", timeout=60)
    await leshan.acknowledged(read)  # accepted, with an Empty ACK: the answer is not there
    await stage.buffered(name)
    assert len(await stage.received(name)) == before
    await world.bridge.restart()  # SIGKILL
    assert (await leshan.result(read, wait=0))["state"] == "pending"
    assert len(await stage.received(name)) == before
    await stage.wake(name)
    result = await leshan.result(read)
    assert (result["code"], result["values"]) == ("2.05", {"/3/0/1": "Emulated device"})
    assert [message.path() for message in (await stage.received(name))[before:]] == ["/3/0/1"]

    await stage.measures(name, 22.5)
    await stage.sends(name, 22.5)
    assert (await leshan.write(name, "/3/0/14", "-05:00"))["code"] == "2.04"
    executed = await world.devices.get(f"/devices/{name}/operations")
    assert [one["path"] for one in executed if one["operation"] == "Write"] == ["/3/0/14", "/3/0/14"]
    assert len(await stage.sent(name, "/rd")) == 1
    assert await leshan.registration(name) == registration  # id, address, port, and no Update either
    return registration


async def _expires_while_it_sleeps(stage: Stage, name: str, **details: Any) -> None:
    """A read of a sleeping device gets 5.04 once a minute is over, long before Leshan's two; it is never on air."""
    await stage.sleep(name)
    before = len(await stage.received(name))
    read = await stage.leshan.start("read", name, "/3/0/1", **details)
    await stage.leshan.acknowledged(read)
    await stage.buffered(name)
    await stage.world.lab.step(50)
    assert (await stage.leshan.result(read, wait=0.5))["state"] == "pending"
    await stage.world.lab.step(11)
    result = await stage.leshan.result(read)
    assert (result["state"], result["code"]) == ("response", "5.04")
    await stage.wake(name)
    assert (await stage.leshan.read(name, "/3/0/0"))["code"] == "2.05"
    assert [message.path() for message in (await stage.received(name))[before:]] == ["/3/0/0"]


@pytest.mark.requirement("LightweightM2M-LPW-5")
async def test_the_time_to_live_of_a_request_ends_with_5_04_and_nothing_on_air(stage: Stage):
    await stage.add("time-to-live")
    await _expires_while_it_sleeps(stage, "time-to-live", ttl=60)


@pytest.mark.requirement("LightweightM2M-LPW-5")
async def test_the_time_to_live_of_the_endpoint_serves_a_request_without_one(stage: Stage):
    await stage.add("default-ttl", endpoint={"default_ttl": 60})
    await _expires_while_it_sleeps(stage, "default-ttl")


async def test_a_request_with_time_to_live_reaches_the_device_without_the_option(stage: Stage):
    await stage.add("in-time")
    assert (await stage.leshan.read("in-time", "/3/0/0", ttl=60))["code"] == "2.05"
    (request,) = await stage.received("in-time")
    assert request.option(65052) is None


async def test_a_write_larger_than_the_packet_size_goes_block_wise(stage: Stage):
    limit = 200
    await stage.add("small", maximum_packet_size=8 * limit, uplink_packet_size=8 * 1358)
    package = bytes(range(256)) * 2
    assert (await stage.leshan.write("small", "/5/0/0", package.hex(), format="OPAQUE"))["code"] == "2.04"
    written = await stage.world.devices.get("/devices/small/resources/5/0/0")
    assert base64.b64decode(written["value"]["base64"]) == package
    assert (await stage.leshan.read("small", "/5/0/3"))["values"] == {"/5/0/3": 2}  # downloaded
    blocks = [message for message in await stage.received("small") if message.code == PUT]
    sizes = [unblock(block.option(BLOCK1) or b"") for block in blocks]
    assert sizes == [(number, number < 3, 128) for number in range(4)]
    assert max(len(bytes.fromhex(one["data"])) for one in await stage.world.air("small", "downlink")) <= limit


async def test_two_devices_are_two_clients_and_one_that_sleeps_holds_nobody_up(stage: Stage):
    leshan, names = stage.leshan, ("first", "second")
    registrations = await asyncio.gather(*(stage.add(name) for name in names))
    assert len({(one["address"], one["port"]) for one in registrations}) == 2
    for value, name in enumerate(names):
        await stage.world.set_value(name, TEMPERATURE, 30.5 + value)
    results = await asyncio.gather(*(leshan.read(name, TEMPERATURE) for name in names for _ in range(4)))
    assert [one["values"][TEMPERATURE] for one in results] == [30.5] * 4 + [31.5] * 4
    await stage.sleep("first")
    read = await leshan.start("read", "first", "/3/0/1")
    await leshan.acknowledged(read)
    assert (await leshan.read("second", "/3/0/1"))["code"] == "2.05"
    await stage.sends("second", 31.5)
    assert (await leshan.result(read, wait=0))["state"] == "pending"
    await stage.wake("first")
    assert (await leshan.result(read))["code"] == "2.05"
    await stage.sends("first", 30.5)


@pytest.mark.requirement(
    "LightweightM2M-ENC-1", "LightweightM2M-ENC-3", "LightweightM2 M-DSE-003", "LightweightM2 M-DSE-005"
)
async def test_a_device_sends_senml_cbor_that_nobody_observes_and_is_read_in_it(stage: Stage):
    await stage.add("senml")
    answer = await stage.world.act("senml", "send", paths=["/3303/0/5700", "/3303/0/5701", "/3/0/9"])
    assert answer["code"] == "2.04"
    values = (await stage.leshan.event("send", "senml"))["values"]
    assert values == {"/3303/0/5700": 20.0, "/3303/0/5701": "Cel", "/3/0/9": 100}
    assert [message.option(CONTENT_FORMAT) for message in await stage.sent("senml", "/dp")] == [SENML_CBOR]
    assert await stage.leshan.observations("senml") == []
    read = await stage.leshan.read("senml", "/3303/0", format="SENML_CBOR")
    assert read["values"]["/3303/0/5700"] == 20.0
    assert read["values"]["/3303/0/5701"] == "Cel"


async def test_leshan_mutes_send_on_the_device(stage: Stage):
    await stage.add("muted")
    assert (await stage.leshan.write("muted", "/1/0/23", True))["code"] == "2.04"
    with pytest.raises(ApiError, match="muted"):
        await stage.world.act("muted", "send", paths=[TEMPERATURE])
    assert (await stage.leshan.write("muted", "/1/0/23", False))["code"] == "2.04"
    await stage.sends("muted", 20.0)
    assert len(await stage.sent("muted", "/dp")) == 1


@pytest.mark.requirement("LightweightM2 M-DSE-001")
async def test_leshan_reads_resources_of_several_objects_with_one_message(stage: Stage):
    await stage.add("composite")
    paths = ["/3/0/0", TEMPERATURE]
    read = await stage.leshan.run("read-composite", "composite", "/", paths=paths)
    assert read["values"] == {"/3/0/0": "LwM2M Non-IP bridge", TEMPERATURE: 20.0}
    assert len(await stage.received("composite")) == 1


async def test_leshan_reads_one_instance_of_a_multiple_resource(stage: Stage):
    await stage.add("instance")
    read = await stage.leshan.read("instance", "/3/0/7/0")
    assert (read["code"], read["values"]) == ("2.05", {"/3/0/7/0": 3600})
