"""Observe and Notify with pmin, pmax, gt, lt, st, and the two ways to cancel, in virtual time."""

import asyncio

import pytest
from lwm2m_pair import pair, virtual_time

from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import Tuning

EP = "urn:dev:os:test-1"
SENSOR = "/3303/0/5700"


def values(observed):
    return [observed.value_of(notification) for notification in observed.notifications]


@pytest.mark.parametrize("accept", [None, ContentFormat.TLV, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR])
@virtual_time
async def test_a_change_is_notified_in_the_format_asked_for(accept):
    async with pair() as (device, server):
        observed = await server.observe(EP, SENSOR, accept=accept)
        assert observed.first.value == 20.0
        device.set(SENSOR, 21.5)
        notification = await observed.next(60)
        assert observed.value_of(notification) == 21.5
        assert notification.content_format == (ContentFormat.TEXT if accept is None else accept)


@pytest.mark.parametrize("confirmable", [False, True])
@virtual_time
async def test_notifications_are_con_or_non_and_numbers_rise(confirmable):
    async with pair(confirmable_notifications=confirmable) as (device, server):
        observed = await server.observe(EP, SENSOR)
        for value in (21.0, 22.0, 23.0):
            device.set(SENSOR, value)
            await observed.next(60)
        assert [notification.type for notification in observed.notifications] == ["CON" if confirmable else "NON"] * 3
        numbers = [notification.observe for notification in observed.notifications]
        assert numbers == sorted(set(numbers))
        seen = [entry.observe for entry in server.seen.of("notification", EP)]
        assert seen == numbers
        assert len(server.seen.of("ack sent")) == (3 if confirmable else 0)


@virtual_time
async def test_pmin_delays_and_pmax_repeats():
    async with pair() as (device, server):
        await server.write_attributes(EP, SENSOR, ["pmin=10", "pmax=60"])
        loop = asyncio.get_running_loop()
        start = loop.time()
        observed = await server.observe(EP, SENSOR)
        device.set(SENSOR, 21.0)
        device.set(SENSOR, 22.0)
        await asyncio.sleep(200)
        times = [round(notification.time - start) for notification in observed.notifications]
        assert times == [10, 70, 130, 190]
        assert values(observed) == [22.0] * 4


@virtual_time
async def test_without_pmax_nothing_is_notified_without_a_change():
    async with pair(lifetime=0) as (_, server):
        observed = await server.observe(EP, SENSOR)
        await asyncio.sleep(100_000)
        assert not observed.notifications


@virtual_time
async def test_the_server_object_has_default_periods():
    async with pair() as (_, server):
        await server.write(EP, "/1/0/3", 30)
        observed = await server.observe(EP, SENSOR)
        await asyncio.sleep(95)
        assert len(observed.notifications) == 3


@virtual_time
async def test_attributes_written_later_count_at_once():
    async with pair() as (_, server):
        observed = await server.observe(EP, SENSOR)
        await server.write_attributes(EP, SENSOR, ["pmax=30"])
        await asyncio.sleep(95)
        assert len(observed.notifications) == 3
        await server.write_attributes(EP, SENSOR, ["pmax"])
        await asyncio.sleep(95)
        assert len(observed.notifications) == 3


@pytest.mark.parametrize(
    ("attributes", "notified"),
    [
        (["gt=25"], [26.0, 24.0, 30.0]),
        (["lt=15"], [14.0, 24.0]),
        (["st=5"], [26.0, 14.0, 24.0, 30.0]),
    ],
)
@virtual_time
async def test_thresholds(attributes, notified):
    """Core TS 1.1 table 5.1.2-1: crossing gt or lt in either direction, a step of at least st since the last."""
    async with pair() as (device, server):
        await server.write_attributes(EP, SENSOR, attributes)
        observed = await server.observe(EP, SENSOR)
        for value in (21.0, 26.0, 27.0, 24.0, 14.0, 15.0, 24.0, 30.0):
            device.set(SENSOR, value)
            await asyncio.sleep(1)
        assert values(observed) == notified


@virtual_time
async def test_an_object_instance_is_observed_as_a_whole():
    async with pair() as (device, server):
        observed = await server.observe(EP, "/3303/0", accept=ContentFormat.SENML_CBOR)
        device.set(SENSOR, 19.0)
        notification = await observed.next(60)
        assert notification.content_format == ContentFormat.SENML_CBOR
        assert not observed.ended


@pytest.mark.parametrize("confirmable", [False, True])
@virtual_time
async def test_forgetting_is_answered_by_rst_and_ends_the_observation_on_the_device(confirmable):
    """§6.4.4: cancellation by Reset."""
    async with pair(confirmable_notifications=confirmable) as (device, server):
        observed = await server.observe(EP, SENSOR)
        assert device.observed == [(3303, 0, 5700)]
        server.forget(observed)
        device.set(SENSOR, 21.0)
        await asyncio.sleep(1)
        assert device.observed == []
        device.set(SENSOR, 22.0)
        await asyncio.sleep(1)
        assert not observed.notifications


@virtual_time
async def test_cancel_by_observe_1_uses_the_token_of_the_observation():
    """RFC 7641 §3.6."""
    async with pair() as (device, server):
        observed = await server.observe(EP, SENSOR)
        result = await server.cancel(observed)
        assert (result.code, result.response.observe) == ("2.05", None)
        assert result.response.token == observed.token
        assert device.observed == []


@virtual_time
async def test_a_con_notification_that_is_never_acknowledged_ends_its_observation_only():
    tuning = Tuning(ack_timeout=2.0, max_retransmit=2)
    async with pair(confirmable_notifications=True, tuning=tuning) as (device, server):
        await server.observe(EP, SENSOR)
        await server.observe(EP, "/3/0/9")
        server.endpoint.muted = True
        device.set(SENSOR, 21.0)
        await asyncio.sleep(60)
        server.endpoint.muted = False
        assert device.observed == [(3, 0, 9)]
        assert len(device.given_up) == 1


@virtual_time
async def test_a_timeout_of_the_server_leaves_its_observations():
    async with pair() as (device, server):
        observed = await server.observe(EP, SENSOR)
        device.muted = True
        with pytest.raises(Exception, match="no answer"):
            await server.read(EP, "/3/0/9", wait=20)
        device.muted = False
        device.set(SENSOR, 25.0)
        assert observed.value_of(await observed.next(60)) == 25.0


@virtual_time
async def test_deleting_the_observed_instance_ends_the_observation_with_4_04():
    async with pair() as (_, server):
        await server.create(EP, "/3303")
        observed = await server.observe(EP, "/3303/1/5700")
        await server.delete(EP, "/3303/1")
        assert (await observed.next(60)).code == "4.04"
        assert observed.ended


@virtual_time
async def test_a_new_registration_ends_observations_on_both_sides():
    async with pair() as (device, server):
        observed = await server.observe(EP, SENSOR)
        await device.register()
        assert observed.ended
        assert device.observed == []


@virtual_time
async def test_a_refused_observation_is_told():
    async with pair() as (_, server):
        observed = await server.observe(EP, "/3303/9")
        assert (observed.ended, observed.first.code) == (True, "4.04")
