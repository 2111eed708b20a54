"""Observe-Composite, and causes of notifications told by the Report Control object."""

import asyncio

import pytest
from lwm2m_pair import pair, virtual_time

from mock_network.device.options import DEFAULT_OBJECTS
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.values import Record

EP = "urn:dev:os:test-1"
SENSOR, BATTERY = "/3303/0/5700", "/3/0/9"
REPORTING = DEFAULT_OBJECTS | {26250}


def values(observed):
    return [{record.path: record.value for record in observed.records_of(one)} for one in observed.notifications]


@pytest.mark.requirement("LightweightM2 M-IR-001")
@pytest.mark.parametrize("content_format", [ContentFormat.SENML_CBOR, ContentFormat.SENML_JSON])
@virtual_time
async def test_one_notification_carries_resources_of_several_objects(content_format):
    async with pair() as (device, server):
        observed = await server.observe_composite(EP, [SENSOR, BATTERY, "/9/9/9"], content_format=content_format)
        assert observed.first.records == [Record((3303, 0, 5700), 20.0), Record((3, 0, 9), 100)]
        device.set(SENSOR, 25.0)
        await asyncio.sleep(1)
        device.set(BATTERY, 99)
        await asyncio.sleep(1)
        assert values(observed) == [
            {(3303, 0, 5700): 25.0, (3, 0, 9): 100},
            {(3303, 0, 5700): 25.0, (3, 0, 9): 99},
        ]
        assert device.operations.times("Observe-Composite") == 1


@virtual_time
async def test_the_root_is_all_that_the_server_may_read():
    """ETS int-235; the Security object is for no server."""
    async with pair() as (_, server):
        records = (await server.read_composite(EP, ["/"])).records
        assert {record.path[0] for record in records} >= {1, 3, 4, 3303}
        assert not any(record.path[0] == 0 for record in records)
        observed = await server.observe_composite(EP, ["/"])
        assert observed.first.records == records


@virtual_time
async def test_attributes_of_any_path_hold_the_notification_back():
    async with pair() as (device, server):
        await server.write_attributes(EP, SENSOR, ["gt=30"])
        observed = await server.observe_composite(EP, [SENSOR, BATTERY])
        device.set(SENSOR, 25.0)
        await asyncio.sleep(1)
        assert values(observed) == []
        device.set(SENSOR, 35.0)
        await asyncio.sleep(1)
        assert values(observed) == [{(3303, 0, 5700): 35.0, (3, 0, 9): 100}]


@pytest.mark.parametrize("way", ["cancel", "forget"])
@virtual_time
async def test_an_observation_of_several_paths_ends_by_either_way(way):
    async with pair() as (device, server):
        observed = await server.observe_composite(EP, [SENSOR, BATTERY])
        assert device.observed == [(3, 0, 9), (3303, 0, 5700)]
        if way == "cancel":
            result = await server.cancel(observed)
            assert (result.code, result.response.token, result.response.observe) == ("2.05", observed.token, None)
        else:
            server.forget(observed)
            device.set(BATTERY, 5)
            await asyncio.sleep(1)
        assert device.observed == []


@pytest.mark.requirement("LightweightM2 M-RMo-002")
@virtual_time
async def test_a_notification_tells_all_its_causes():
    async with pair(objects=REPORTING) as (device, server):
        sensor = [Record((26250, 0, 0), "</3303/0/5700>"), Record((26250, 0, 2), value=True)]
        assert (await server.create(EP, "/26250", [*sensor, Record((26250, 0, 3, 0), "gt=28")])).code == "2.01"
        battery = [Record((26250, 1, 0), "</3/0/9>"), Record((26250, 1, 2), value=True)]
        assert (await server.create(EP, "/26250", battery)).code == "2.01"
        await server.write_attributes(EP, SENSOR, ["gt=30", "st=5", "pmax=600", "pmin=2"])
        observed = await server.observe_composite(EP, [SENSOR, BATTERY, "/26250/0/4", "/26250/1/4"])
        device.set(SENSOR, 31.0)
        device.set(BATTERY, 90)
        await asyncio.sleep(10)
        device.set(BATTERY, 80)
        await asyncio.sleep(700)
        causes = [
            [record.value for record in observed.records_of(one) if record.path[0] == 26250]
            for one in observed.notifications
        ]
        assert causes == [
            [
                "/3303/0/5700 gt=30 rising",
                "/3303/0/5700 st=5 rising",
                "/3303/0/5700 gt=28 rising",
                "/3/0/9 change",
            ],
            ["/3/0/9 change"],
            ["/3303/0/5700 pmax", "/3/0/9 pmax"],
        ]
        assert values(observed)[0][3303, 0, 5700] == 31.0


@virtual_time
async def test_the_causes_of_a_notification_cause_none_themselves():
    async with pair(objects=REPORTING) as (device, server):
        await server.create(EP, "/26250", [Record((26250, 0, 0), "</3303>"), Record((26250, 0, 2), value=True)])
        value, causes = await server.observe(EP, SENSOR), await server.observe(EP, "/26250/0/4")
        device.set(SENSOR, 31.0)
        await asyncio.sleep(1)
        assert (len(value.notifications), len(causes.notifications)) == (1, 0)
        assert (await server.read(EP, "/26250/0/4/0")).value == "/3303/0/5700 change"


@virtual_time
async def test_causes_are_told_only_where_they_are_asked_for():
    async with pair(objects=REPORTING) as (device, server):
        await server.create(EP, "/26250", [Record((26250, 0, 0), "</3303>")])
        observed = await server.observe_composite(EP, [SENSOR, "/26250/0/4"])
        device.set(SENSOR, 31.0)
        await asyncio.sleep(1)
        assert values(observed) == [{(3303, 0, 5700): 31.0}]


@virtual_time
async def test_the_reporting_mode_is_a_resource():
    async with pair(objects=REPORTING) as (device, server):
        created = await server.create(EP, "/26250", [Record((26250, 0, 0), "</3303/0>"), Record((26250, 0, 1), 2)])
        assert created.code == "2.01"
        await server.write_attributes(EP, SENSOR, ["gt=30"])
        observed = await server.observe(EP, SENSOR)
        for value in (35.0, 25.0):
            device.set(SENSOR, value)
            await asyncio.sleep(1)
        assert [observed.value_of(one) for one in observed.notifications] == [25.0]
        assert (await server.write(EP, "/26250/0/1", 1)).code == "2.04"
        for value in (35.0, 25.0):
            device.set(SENSOR, value)
            await asyncio.sleep(1)
        assert [observed.value_of(one) for one in observed.notifications] == [25.0, 35.0]


@pytest.mark.parametrize(("resource", "value"), [(0, "no links"), (0, "</x>"), (1, 7)])
@virtual_time
async def test_what_report_control_cannot_mean_is_refused(resource, value):
    async with pair(objects=REPORTING) as (_, server):
        await server.create(EP, "/26250")
        assert (await server.write(EP, f"/26250/0/{resource}", value)).code == "4.00"
