"""LwM2M 1.1's data through the bridge: types, size and rate; conditions of notifications, and their causes."""

import asyncio
import time
from typing import Any

import pytest

from tests.e2e.kit import SetUp
from tests.interop.raw_device import GET, decode
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

SENSOR, BATTERY = "/3303/0/5700", "/3/0/9"
FORMATS = ["tlv", "json", "senml_json", "senml_cbor"]
DEVICES, SENDS = 6, 25
FLOOR = 1.0  # Sends in a second that are the least on a machine busy with other tests; an idle one does some 100
CAUSES = "/26250"
"""A vendor object, documented with the emulated device: in LwM2M 1.1 a notification cannot tell its causes."""


async def notified(world: SetUp, name: str) -> list[dict[str, Any]]:
    """Return the values of each notification that the server got."""
    return [
        notification["values"] or {}
        for one in await world.server().get("/observations")
        if one["endpoint"] == name
        for notification in one["notifications"]
    ]


async def notified_so(world: SetUp, name: str, count: int) -> list[dict[str, Any]]:
    """Wait for so many notifications; return them."""

    async def look() -> list[dict[str, Any]]:
        found = await notified(world, name)
        return found if len(found) >= count else []

    return await until(look, why=f"{name} has not notified {count} times")


async def after(world: SetUp, name: str, *values: float) -> None:
    """Let the sensor measure values, one a minute, and the bridge carry what is notified of each."""
    for value in values:
        await world.set_value(name, SENSOR, value)
        await world.lab.step(60)
        assert (await world.ask(name, "read", SENSOR))["values"] == {SENSOR: value}  # what went before it has arrived


@pytest.mark.requirement("LightweightM2M-ENC-4")
async def test_uris_have_a_data_type_of_their_own(world: SetUp):
    """Corelnk: links with URIs and attributes, Objlnk: an object instance, in each format."""
    await world.add_device("uris", endpoint={}, device={"objects": [3442]})
    for form in FORMATS:
        links = f'</3303/0>;pmin="5",<coap://192.0.2.1/{form}>'
        assert (await world.ask("uris", "write", "/3442/0/180", value=links, format=form))["code"] == "2.04"
        read = await world.ask("uris", "read", "/3442/0/180", accept=form)
        assert read["values"] == {"/3442/0/180": links}, form
    refused = await world.ask("uris", "write", "/3442/0/170", payload="bm93aGVyZQ==", format="text")
    assert refused["code"] == "4.00"  # that is no reference


@pytest.mark.requirement("LightweightM2M-ENC-5")
async def test_bitmaps_have_a_data_type_all_of_whose_bits_pass(world: SetUp):
    """Unsigned integers: each of 64 bits, in each format; a negative number is refused."""
    await world.add_device("bitmaps", endpoint={}, device={"objects": [3442]})
    for form in (*FORMATS, "text"):
        for bits in (1, 1 << 31, 1 << 63, (1 << 64) - 1):
            assert (await world.ask("bitmaps", "write", "/3442/0/125", value=bits, format=form))["code"] == "2.04"
            read = await world.ask("bitmaps", "read", "/3442/0/125", accept=form)
            assert read["values"] == {"/3442/0/125": bits}, form
    assert (await world.ask("bitmaps", "write", "/3442/0/125", payload="LTE=", format="text"))["code"] == "4.00"


@pytest.mark.requirement("LightweightM2 M-DSE-002")
async def test_one_instance_of_a_multiple_resource_is_set_and_retrieved(world: SetUp):
    await world.add_device("one-of-many", endpoint={}, device={"objects": [3442]})
    before = (await world.ask("one-of-many", "read", "/3442/0/1120", accept="senml_cbor"))["values"]
    written = await world.ask("one-of-many", "write", "/3442/0/1120/7", value=77, format="senml_cbor")
    assert written["code"] == "2.04"
    read = await world.ask("one-of-many", "read", "/3442/0/1120/7", accept="senml_cbor")
    assert read["values"] == {"/3442/0/1120/7": 77}
    after = (await world.ask("one-of-many", "read", "/3442/0/1120", accept="senml_cbor"))["values"]
    assert after == {**before, "/3442/0/1120/7": 77}


@pytest.mark.requirement("LightweightM2M-ENC-2")
async def test_messages_are_small_on_the_air_and_many_pass_in_a_second(
    world: SetUp, record_property: pytest.FixtureRequest
):
    """Bytes: a Read is 11, whatever token the server uses; CBOR is smaller than JSON by a fifth. Rate: FLOOR."""
    names = [f"volume-{number}" for number in range(DEVICES)]
    await asyncio.gather(*(world.add_device(name, endpoint={}, device={}) for name in names))
    assert (await world.ask(names[0], "read", BATTERY))["code"] == "2.05"
    downlinks = [bytes.fromhex(one["data"]) for one in await world.air(names[0], "downlink")]
    (read,) = [data for data in downlinks if decode(data).code == GET]
    assert len(read) == 11

    await asyncio.gather(
        *(world.act(names[0], "send", paths=[SENSOR, BATTERY], format=f) for f in ("senml_json", "senml_cbor"))
    )
    payloads = {
        len(decode(bytes.fromhex(one["data"])).payload)
        for one in await world.air(names[0], "uplink")
        if b"dp" in bytes.fromhex(one["data"])
    }
    assert min(payloads) < 0.8 * max(payloads)

    async def many(name: str) -> None:
        for _ in range(SENDS):
            assert (await world.act(name, "send", paths=[SENSOR]))["code"] == "2.04"

    began = time.monotonic()
    await asyncio.gather(*map(many, names))
    rate = DEVICES * SENDS / (time.monotonic() - began)
    record_property("Sends per second, end to end", round(rate, 1))
    arrived = [one for one in await world.server().get("/sends") if one["endpoint"] in names]
    assert len(arrived) == DEVICES * SENDS + 2
    assert rate > FLOOR


@pytest.mark.requirement("LightweightM2 M-IR-001")
async def test_resources_of_several_objects_are_reported_by_one_notification(world: SetUp):
    """And at once: each notification has the values of both as they are at that time."""
    await world.add_device("atomic", endpoint={}, device={})
    paths = [SENSOR, BATTERY]
    first = await world.ask("atomic", "observe_composite", paths=paths)
    assert first["values"] == {SENSOR: 20.0, BATTERY: 100}
    before = len(await world.air("atomic", "uplink"))
    await world.set_value("atomic", SENSOR, 25.0)
    await notified_so(world, "atomic", 1)
    await world.set_value("atomic", BATTERY, 99)
    found = await notified_so(world, "atomic", 2)
    assert found == [{SENSOR: 25.0, BATTERY: 100}, {SENSOR: 25.0, BATTERY: 99}]
    assert len(await world.air("atomic", "uplink")) == before + 2
    await world.ask("atomic", "cancel", paths=paths)


@pytest.mark.requirement("LightweightM2 M-RMo-003")
async def test_several_conditions_hold_for_one_resource(world: SetUp):
    """gt, lt and st together; a change that meets none of them is not notified."""
    await world.add_device("conditions", endpoint={}, device={})
    attributes = {"gt": 30, "lt": 10, "st": 5}
    assert (await world.ask("conditions", "write_attributes", SENSOR, attributes=attributes))["code"] == "2.04"
    await world.ask("conditions", "observe", SENSOR)
    await after(world, "conditions", 22.0, 26.0, 29.0, 31.0, 28.0, 9.0)
    found = [values[SENSOR] for values in await notified_so(world, "conditions", 4)]
    # 22: none; 26: st; 29: none; 31: gt and st; 28: gt, falling; 9: st and lt
    assert found == [26.0, 31.0, 28.0, 9.0]


@pytest.mark.requirement("LightweightM2 M-RMo-001")
async def test_a_reporting_mode_says_which_transitions_are_reported(world: SetUp):
    """Resource 1 of the vendor object: 0 both, 1 rising, 2 falling."""
    for name, mode, expected in (("rising", 1, [35.0, 36.0]), ("falling", 2, [25.0, 24.0])):
        await world.add_device(name, endpoint={}, device={"objects": [26250]})
        made = await world.ask(name, "create", CAUSES, values={f"{CAUSES}/0/0": "</3303/0>", f"{CAUSES}/0/1": mode})
        assert made["code"] == "2.01"
        await world.ask(name, "write_attributes", SENSOR, attributes={"gt": 30})
        await world.ask(name, "observe", SENSOR)
        await after(world, name, 35.0, 25.0, 36.0, 24.0)
        assert [values[SENSOR] for values in await notified_so(world, name, 2)] == expected


@pytest.mark.requirement("LightweightM2 M-RMo-002")
async def test_a_device_that_is_to_report_causes_reports_all_of_them(world: SetUp):
    """The causes stand in the vendor object, which is observed with the values by one Observe-Composite."""
    await world.add_device("causes", endpoint={}, device={"objects": [26250]})
    wanted = {f"{CAUSES}/0/0": f"<{SENSOR}>", f"{CAUSES}/0/2": True}
    assert (await world.ask("causes", "create", CAUSES, values=wanted))["code"] == "2.01"
    await world.ask("causes", "write_attributes", SENSOR, attributes={"gt": 30, "st": 5})
    paths = [SENSOR, f"{CAUSES}/0/4"]
    await world.ask("causes", "observe_composite", paths=paths)
    await world.set_value("causes", SENSOR, 31.0)
    (found,) = await notified_so(world, "causes", 1)
    assert found.pop(SENSOR) == 31.0
    assert sorted(found.values()) == [f"{SENSOR} gt=30 rising", f"{SENSOR} st=5 rising"]
    await world.ask("causes", "cancel", paths=paths)
