"""DTLS between the emulated device and the emulated server, by pre-shared keys, over real sockets."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from lwm2m_pair import served, uri

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions
from mock_network.lwm2m.credentials import PreSharedKey, key_from
from mock_network.lwm2m.dtls import ClientSessions, ServerSessions
from mock_network.lwm2m.messages import GET, NoAnswer, Request

EP = "urn:dev:os:test-1"
KEY = PreSharedKey("identity-1", bytes(range(16)))
SENSOR = "/3303/0/5700"


@asynccontextmanager
async def secured(*, known=KEY, bound=EP, **options):
    async with served() as server:
        server.identities.use_key(bound, known)
        device = Device(DeviceOptions(EP, uri(server), psk=KEY, seed=2, **options))
        await device.start()
        try:
            yield device, server
        finally:
            await device.stop()


async def test_a_device_is_managed_over_dtls():
    async with secured() as (device, server):
        await server.wait_registered(EP, 10)
        assert (await server.read(EP, "/3/0/9")).value == 100
        observed = await server.observe(EP, SENSOR)
        device.set(SENSOR, 21.5)
        await asyncio.sleep(0.3)
        assert [observed.value_of(one) for one in observed.notifications] == [21.5]
        assert (await device.send([SENSOR])).code == "2.04"


async def test_a_device_that_restarts_begins_another_session():
    async with secured() as (device, server):
        await server.wait_registered(EP, 10)
        (first,) = server.identities.sessions()
        await device.stop()
        await device.start()
        for _ in range(100):
            if (await server.read(EP, "/3/0/9")).code == "2.05":
                break
        assert (await server.read(EP, "/3/0/9")).value == 100
        assert any(float(one["opened_at"]) > float(first["opened_at"]) for one in server.identities.sessions())


async def test_a_client_that_vanished_in_the_middle_of_its_handshake_keeps_no_other_one_out():
    """A node that dies begins a handshake; the next holder of its address begins another one."""
    peer = ("192.0.2.1", 5683)
    to_server, to_client, arrived = [], [], []
    server = ServerSessions(
        lambda data, _: to_client.append(data), lambda data, _: arrived.append(data), {KEY.identity: KEY.key}, time.time
    )

    def begun():
        made = ClientSessions(
            lambda data, _: to_server.append(data), lambda *_: None, lambda _: None, time.time, strict=True
        )
        made.use(peer, KEY)
        made.send(b"here", peer)
        return made

    begun().close()
    (hello,) = to_server
    server.receive(hello, peer)
    first = [*to_client]
    server.receive(hello, peer)
    assert to_client == first, "a repeat begins nothing"
    to_server.clear()
    to_client.clear()
    client = begun()
    while to_server or to_client:
        while to_server:
            server.receive(to_server.pop(0), peer)
        while to_client:
            client.receive(to_client.pop(0), peer)
    assert arrived == [b"here"]
    client.close()
    server.close()


@pytest.mark.parametrize("other", [PreSharedKey("identity-1", bytes(16)), PreSharedKey("another", KEY.key)])
async def test_another_key_or_identity_registers_nobody_and_an_alert_can_be_read(other):
    async with secured(known=other) as (device, server):
        await asyncio.sleep(1.0)
        assert not server.clients
        if other.identity != KEY.identity:  # with another key, records are dropped in silence
            assert device.tree.get((1, 0, 11)) > 0


async def test_the_endpoint_name_is_bound_to_the_identity():
    async with secured(bound="urn:dev:os:another") as (device, server):
        await asyncio.sleep(1.0)
        assert not server.clients
        assert device.registration.failures == ["4.03"]


async def test_nobody_without_the_session_is_believed():
    async with secured() as (device, server), served() as stranger:
        await server.wait_registered(EP, 10)
        with pytest.raises(NoAnswer):
            await stranger.endpoint.request(device.address, Request(GET, ("3", "0", "9"), confirmable=False), wait=1)
        assert device.operations.times("Read", "/3/0/9") == 0
        location = ("rd", server.client(EP).location)
        answer = await stranger.endpoint.request(server.address, Request("0.04", location), wait=5)
        assert answer.response.code == "4.03"


@pytest.mark.parametrize("words", [{}, {"identity": "a"}, {"identity": "", "key": "00"}, {"identity": "a", "key": "x"}])
def test_what_is_no_key_is_refused(words):
    with pytest.raises(ValueError, match="pre-shared key needs"):
        key_from(words)
