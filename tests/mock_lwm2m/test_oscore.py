"""OSCORE between device and server (RFC 8613), and freshness by Echo (RFC 9175), over real sockets."""

import asyncio
import dataclasses
from contextlib import asynccontextmanager

import pytest
from lwm2m_pair import pair, served, uri, virtual_time

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import GET, POST, PUT, Request, Response
from mock_network.lwm2m.oscore import OscoreKeys, keys_from

EP = "urn:dev:os:test-1"
DEVICE_KEYS = OscoreKeys(bytes(range(16)), b"\x01", b"\x02", b"salt")
SENSOR = "/3303/0/5700"


@asynccontextmanager
async def protected(*, known=EP, keys=DEVICE_KEYS, **options):
    async with served() as server:
        server.identities.use_oscore(known, keys.mirrored())
        device = Device(DeviceOptions(EP, uri(server), oscore=DEVICE_KEYS, seed=2, **options))
        await device.start()
        try:
            yield device, server
        finally:
            await device.stop()


def registered(server):
    return server.wait_registered(EP, 60)


@virtual_time
async def test_everything_between_device_and_server_is_protected():
    async with protected() as (device, server):
        await registered(server)
        assert (await server.read(EP, "/3/0/9")).value == 100
        assert (await server.write(EP, "/3/0/14", "+07:00")).code == "2.04"
        assert (await server.execute(EP, "/1/0/8")).code == "2.04"
        assert (await server.read_composite(EP, ["/3/0/9", SENSOR])).code == "2.05"
        assert (await device.send(["/3/0/9"])).code == "2.04"
        assert server.sends[0][0] == EP
        await asyncio.sleep(1)
        codes = {datagram.code for datagram in device.wire if not datagram.empty}
        assert codes == {"0.02", "2.04"}  # §4.2: POST and Changed, whatever is inside
        assert not any(b"+07:00" in datagram.payload for datagram in device.wire)


@virtual_time
async def test_observations_and_blocks_work_inside():
    async with protected() as (device, server):
        await registered(server)
        observed = await server.observe(EP, SENSOR)
        for value in (21.0, 22.0):
            device.set(SENSOR, value)
            await asyncio.sleep(1)
        assert [observed.value_of(one) for one in observed.notifications] == [21.0, 22.0]
        assert (await server.cancel(observed)).value == 22.0
        assert device.observed == []
        package = bytes(range(256)) * 12
        assert (await server.write(EP, "/5/0/0", package, content_format=ContentFormat.OPAQUE)).code == "2.04"
        assert device.tree.get((5, 0, 0)) == package


@virtual_time
async def test_a_server_that_does_not_know_the_context_refuses():
    async with protected(keys=dataclasses.replace(DEVICE_KEYS, sender_id=b"\x09")) as (device, server):
        await asyncio.sleep(1)
        assert not server.clients
        assert device.registration.failures
        raw = Request(POST, payload=bytes(20), options=((9, b"\x09\x00\x01"),))
        exchange = await device.endpoint.request(server.address, raw, wait=5)
        assert (exchange.response.code, exchange.response.payload) == ("4.01", b"Security context not found")


@virtual_time
async def test_a_wrong_secret_is_not_decrypted():
    async with protected(keys=dataclasses.replace(DEVICE_KEYS, master_secret=bytes(16))) as (device, server):
        await asyncio.sleep(1)
        assert not server.clients
        assert device.registration.failures


@virtual_time
async def test_the_endpoint_name_is_bound_to_the_context():
    async with protected(known="urn:dev:os:another") as (device, server):
        await asyncio.sleep(1)
        assert device.registration.failures == ["4.03"]
    async with pair(registered=False) as (device, server):
        server.identities.use_oscore(EP, DEVICE_KEYS.mirrored())
        await asyncio.sleep(1)
        assert not server.clients
        assert device.registration.failures == ["4.03"]  # unprotected, under a name that has a context


@virtual_time
async def test_nobody_else_updates_or_ends_a_protected_registration():
    async with protected() as (device, server), served() as stranger:
        await registered(server)
        location = ("rd", server.client(EP).location)
        for code in ("0.02", "0.04"):
            exchange = await stranger.endpoint.request(server.address, Request(code, location), wait=5)
            assert exchange.response.code == "4.03"
        assert server.client(EP).address == device.address


@virtual_time
async def test_an_unprotected_request_is_refused_by_a_protected_device():
    async with protected() as (device, server):
        await registered(server)
        exchange = await server.endpoint.request(device.address, Request(GET, ("3", "0", "9")), wait=5)
        assert exchange.response.code == "4.01"


@virtual_time
async def test_a_message_that_is_sent_again_by_an_attacker_is_refused():
    async with protected() as (device, server):
        await registered(server)
        assert (await server.write(EP, "/3/0/14", "+07:00")).code == "2.04"
        seen = next(one for one in device.wire if not one.outgoing and one.code == "0.02" and one.type == "CON")
        raw = Request(POST, payload=seen.payload, options=((9, _option_of(server)),))
        exchange = await server.endpoint.request(device.address, raw, wait=5)
        assert exchange.response.code == "4.01"
        assert device.operations.times("Write") == 1


def _option_of(server):
    """Return the OSCORE option of the first request: Partial IV 0 and the server's kid."""
    return b"\x09\x00" + server.identities.contexts[EP].sender_id


@virtual_time
async def test_a_device_that_lost_its_replay_window_asks_for_freshness_first():
    """RFC 8613 §B.1.2, with Echo."""
    async with protected() as (device, server):
        await registered(server)
        await device.restart(lose_replay_windows=True)
        await asyncio.sleep(1)
        before = len([one for one in device.wire if not one.outgoing and one.code == "0.02"])
        assert (await server.read(EP, "/3/0/9")).value == 100
        assert (await server.read(EP, "/3/0/9")).value == 100
        after = len([one for one in device.wire if not one.outgoing and one.code == "0.02"])
        assert after - before == 3  # the first one twice
        assert device.operations.times("Read") == 2
        assert (await device.send(["/3/0/9"])).code == "2.04"  # its own sequence numbers continue


@pytest.mark.parametrize("oscore", [False, True])
@virtual_time
async def test_what_changes_something_is_asked_for_twice_where_freshness_is_wanted(oscore):
    how = protected(fresh_within=10.0) if oscore else pair(fresh_within=10.0)
    async with how as (device, server):
        await registered(server)
        assert (await server.read(EP, "/3/0/9")).value == 100
        assert (await server.execute(EP, "/3/0/12")).code == "2.04"
        assert device.operations.times("Execute") == 1
        requests = [one for one in device.wire if not one.outgoing and one.code.startswith("0.0") and not one.empty]
        assert len(requests) == 3


@virtual_time
async def test_an_old_or_foreign_echo_value_is_not_fresh():
    async with pair(fresh_within=10.0) as (device, server):

        async def ask(echo):
            request = Request(PUT, ("3", "0", "14"), payload=b"+01:00", content_format=0, echo=echo)
            return (await server.endpoint.request(device.address, request, wait=5)).response

        first = await ask(b"guessed")
        assert (first.code, len(first.echo)) == ("4.01", 8)
        await asyncio.sleep(11)
        second = await ask(first.echo)
        assert second.code == "4.01"
        assert (await ask(second.echo)).code == "2.04"
        assert (await ask(second.echo)).code == "4.01"  # used once


@virtual_time
async def test_a_peer_that_never_accepts_an_echo_value_is_asked_twice_only():
    async with pair() as (device, server):
        asked = []

        async def stubborn(request):
            asked.append(request.echo)
            return Response("4.01", echo=b"again")

        device.endpoint._answers._handler = stubborn
        assert (await server.read(EP, "/3/0/9")).code == "4.01"
        assert asked == [None, b"again"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"secret": "00"}, "OSCORE needs sender"),
        ({"secret": "xx", "sender": "", "recipient": "01"}, "hexadecimal"),
        ({"colour": "00"}, "unknown OSCORE parameter colour"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(words, reason):
    with pytest.raises(ValueError, match=reason):
        keys_from(words)


def test_keys_do_not_show_their_secret():
    assert bytes(range(16)).hex() not in repr(DEVICE_KEYS)
    assert keys_from({"secret": "0a", "sender": "", "recipient": "01"}).mirrored().sender_id == b"\x01"
