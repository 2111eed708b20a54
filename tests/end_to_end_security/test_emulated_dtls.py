"""DTLS between the emulated device and the emulated server, through a bridge that attacks, over NIDD."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mock_network.lab import free_port
from tests.e2e.kit import set_up
from tests.end_to_end_security.conftest import KEY, Hostile
from tests.end_to_end_security.hostile import HOSTILE
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

ZONE, SENSOR, RESET, ALERT = "/3/0/14", "/3303/0/5700", "/3303/0/5605", "/1/0/11"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hostile]:
    folder = tmp_path_factory.mktemp("emulated")
    north = f"port = {free_port()}"
    async with set_up(folder, north=north, server_lines="secure_port = 1", prefix=HOSTILE) as world:
        port = world.lab.servers["lab"].ready["coap"].rpartition(":")[2]
        configuration = folder / "bridge.toml"
        configuration.write_text(configuration.read_text().replace("secure_port = 1", f"secure_port = {port}"))
        await world.bridge.restart()
        yield Hostile(world)


@pytest.mark.requirement("LightweightM2M-E2E -2")
async def test_an_emulated_device_is_managed_over_a_session_of_its_own_and_a_kill_of_the_bridge(hostile: Hostile):
    await hostile.in_session("own-session")
    world = hostile.world
    assert (await world.ask("own-session", "read", ZONE))["values"] == {ZONE: "+00:00"}
    await world.bridge.restart()
    await world.configured("own-session")
    assert (await world.ask("own-session", "write", ZONE, value="+13:37"))["code"] == "2.04"
    passed = [
        bytes.fromhex(one["data"]) for way in ("uplink", "downlink") for one in await world.air("own-session", way)
    ]
    assert passed
    assert all(20 <= data[0] <= 63 for data in passed)
    assert not any(b"+13:37" in data for data in passed)


@pytest.mark.requirement("LightweightM2M-E2E-1")
@pytest.mark.parametrize("what", ["alter", "truncate"])
async def test_a_record_that_is_changed_on_its_way_is_not_carried_out(hostile: Hostile, what: str):
    name = f"changed-{what}"
    await hostile.in_session(name)
    hostile.attack(name, "down", what)
    assert (await hostile.world.ask(name, "execute", RESET))["code"] == "2.04"  # by a record that came again
    await hostile.attacked(name, what)
    assert await hostile.executed(name, RESET) == 1
    assert (await hostile.world.ask(name, "read", ZONE))["values"] == {ZONE: "+00:00"}


@pytest.mark.requirement("LightweightM2M-E2E-3")
async def test_an_operation_whose_record_is_replayed_is_carried_out_once(hostile: Hostile):
    await hostile.in_session("replayed")
    hostile.attack("replayed", "down", "replay")
    assert (await hostile.world.ask("replayed", "execute", RESET))["code"] == "2.04"
    await hostile.attacked("replayed", "replay")
    assert (await hostile.world.ask("replayed", "read", ZONE))["code"] == "2.05"
    assert await hostile.executed("replayed", RESET) == 1
    sent = [one["data"] for one in await hostile.world.air("replayed", "downlink")]
    assert len(sent) > len(set(sent))


@pytest.mark.requirement("LightweightM2M-E2E-5")
async def test_the_response_to_one_request_is_not_taken_for_that_to_another(hostile: Hostile):
    """Two layers stand in the way: a record that comes again is none, and a response has its request's token."""
    await hostile.in_session("bound")
    hostile.attack("bound", "up", "keep", longer_than=8)
    assert (await hostile.world.ask("bound", "read", SENSOR))["values"] == {SENSOR: 20.0}
    await hostile.attacked("bound", "keep")
    await hostile.world.set_value("bound", SENSOR, 35.5)
    hostile.attack("bound", "up", "again", longer_than=8)
    answer = await hostile.world.ask("bound", "read", SENSOR)
    await hostile.attacked("bound", "again")
    assert answer.get("values") in (None, {SENSOR: 35.5})
    assert (await hostile.world.ask("bound", "read", SENSOR))["values"] == {SENSOR: 35.5}


@pytest.mark.requirement("LightweightM2M-E2E-6")
async def test_a_request_that_is_held_back_is_asked_for_again_and_not_carried_out_late(hostile: Hostile):
    """The device asks for an Echo value within the session (RFC 9175): DTLS alone knows no time."""
    await hostile.in_session("fresh", fresh_within=20.0)
    assert (await hostile.world.ask("fresh", "write", ZONE, value="+01:00"))["code"] == "2.04"
    hostile.attack("fresh", "down", "delay", seconds=30.0, longer_than=ECHOED)
    late = asyncio.create_task(hostile.world.ask("fresh", "write", ZONE, value="+13:37", timeout=60))
    await hostile.attacked("fresh", "delay")
    await hostile.world.lab.step(31)
    answer = await late
    assert not str(answer.get("code", "")).startswith("2."), answer
    assert await hostile.value("fresh", ZONE) == "+01:00"
    assert (await hostile.world.ask("fresh", "write", ZONE, value="+13:37"))["code"] == "2.04"


@pytest.mark.requirement("LightweightM2M-E2E -4")
async def test_who_has_not_the_key_is_nobody_and_who_has_one_is_nobody_else(hostile: Hostile):
    world = hostile.world
    await hostile.in_session("honest")
    await world.server().ask("PUT", "/psk/robbed", {"identity": "robbed", "key": KEY})
    thief = {"identity": "robbed", "key": "ff" * 16}
    await world.add_device("robbed", endpoint={}, device={"psk": thief}, registered="")
    await world.add_device("posing", endpoint={}, device={"psk": {"identity": "honest", "key": KEY}}, registered="")
    for name in ("robbed", "posing"):  # the latter speaks, and is refused as who it says it is

        async def has_tried(name: str = name) -> bool:
            await world.lab.step(10)
            return len(await world.air(name, "uplink")) >= 4

        await until(has_tried, 20, f"{name} did not try")
    known = {client["endpoint"] for client in await world.server().get("/clients")}
    assert "honest" in known
    assert not {"robbed", "posing"} & known


@pytest.mark.requirement("LightweightM2 M-TLS-002")
async def test_an_alert_is_kept_where_the_server_reads_it_and_the_device_registers_again_by_its_own_procedure(
    hostile: Hostile,
):
    """/1/x/11, and the retries of /1/x/17 and /1/x/18. An identity that the server does not know ends in an alert."""
    world, keys = hostile.world, {"identity": "late", "key": KEY}
    await world.add_device("late", endpoint={}, device={"psk": keys}, registered="")

    async def failed() -> bool:
        await world.lab.step(20)
        return bool((await world.devices.get("/devices/late"))["failures"])

    await until(failed, 30, "no registration has failed", every=0.2)
    alert = await hostile.value("late", ALERT)
    assert alert in {40, 51, 115}  # handshake_failure, decrypt_error, unknown_psk_identity (RFC 4279 §2)
    await world.server().ask("PUT", "/psk/late", keys)

    async def registered() -> bool:
        await world.lab.step(20)
        return bool((await world.devices.get("/devices/late"))["registered"])

    await until(registered, 30, "the device does not try again", every=0.2)
    assert (await world.ask("late", "read", ALERT))["values"] == {ALERT: alert}


ECHOED = 13 + 8 + 8 + 30  # bytes: a record whose message has an Echo value of eight bytes beside path and value
