"""Servers of the field: what they refuse at Register, how long they wait, what they do while a client sleeps."""

import asyncio
import contextlib
import random

import pytest
from aiocoap import ACK, CON, CONTINUE, EMPTY
from aiocoap.message import Message
from lwm2m_pair import uri, virtual_time

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import NoAnswer, Request
from mock_network.lwm2m_server.profiles import PROFILES
from mock_network.lwm2m_server.registry import Registry
from mock_network.lwm2m_server.server import LwM2mServer
from mock_network.lwm2m_server.sleeping import ClientAsleep, Dropped

EP = "urn:dev:os:test-1"


@pytest.mark.parametrize(
    ("profile", "query", "links", "code"),
    [
        ("leshan", "ep=a lwm2m=1.2", True, "4.12"),
        ("wakaama", "ep=a lwm2m=1.2", True, "4.12"),
        ("emqx", "ep=a lt=60 lwm2m=1.2", True, "4.00"),
        ("emqx", "ep=a lwm2m=1.1", True, "4.00"),
        ("emqx", "ep=a lt=60 lwm2m=1", True, "2.01"),
        ("strict", "ep=a lwm2m=1.0", True, "4.12"),
        ("strict", "ep=a lwm2m=1.1 b=N", True, "4.00"),
        ("strict", "ep=a lwm2m=1.1", False, "4.09"),
        ("leshan", "ep=a lwm2m=1.1", False, "4.00"),
    ],
)
def test_what_a_server_asks_of_register(profile, query, links, code):
    payload = b"</1/0>,</3/0>" if links else b""
    request = Request("0.02", ("rd",), tuple(query.split()), payload, 40, peer=("127.0.0.1", 1))
    assert Registry(random.Random(1), PROFILES[profile]).register(request, 0.0)[0].code == code


class Set:
    """A server of a profile, and a device in queue mode that listens for `awake_time`."""

    def __init__(self, profile, **options):
        self.server = LwM2mServer(seed=1, profile=PROFILES[profile])
        self.options = {"queue_mode": True, "awake_time": 93.0, "lifetime": 1000, "seed": 2, **options}

    async def __aenter__(self):
        await self.server.start(("127.0.0.1", 0))
        self.device = Device(DeviceOptions(EP, uri(self.server), **self.options))
        await self.device.start()
        await self.server.wait_registered(EP, 60)
        while not self.device.registration.registered:
            await asyncio.sleep(0.1)
        return self.device, self.server

    async def __aexit__(self, *_):
        await self.device.stop()
        await self.server.stop()


@virtual_time
async def test_leshan_refuses_while_a_client_sleeps():
    async with Set("leshan") as (_, server):
        assert (await server.read(EP, "/3/0/9")).value == 100
        await asyncio.sleep(100)
        with pytest.raises(ClientAsleep):
            await server.read(EP, "/3/0/9")


@pytest.mark.parametrize("profile", ["thingsboard", "emqx", "strict"])
@virtual_time
async def test_other_servers_keep_requests_until_the_client_is_heard(profile):
    """ETS int-108, 109: nothing is sent before the next Update, and then one after the other."""
    async with Set(profile) as (device, server):
        await asyncio.sleep(120)
        waiting = [asyncio.create_task(server.read(EP, path, wait=1000)) for path in ("/3/0/9", "/3/0/0")]
        await asyncio.sleep(60)
        assert server.seen.of("request") == []
        await device.update()
        values = [(await task).value for task in waiting]
        assert values == [100, "LwM2M Non-IP bridge"]
        sent = [entry.kind for entry in server.seen.entries if entry.kind in {"request", "response"}]
        assert sent == ["request", "response", "request", "response"]


@virtual_time
async def test_what_waits_goes_on_waiting_when_the_one_before_has_no_answer():
    async with Set("thingsboard") as (device, server):
        await asyncio.sleep(120)
        first = asyncio.create_task(server.read(EP, "/3/0/9", wait=30))
        second = asyncio.create_task(server.read(EP, "/3/0/0", wait=1000))
        await asyncio.sleep(1)
        device.muted = True
        server.sleeping.heard(EP)  # as if it had said something, and then gone
        with pytest.raises(NoAnswer):
            await first
        await asyncio.sleep(60)
        assert len({entry.token for entry in server.seen.of("request")}) == 1
        device.muted = False
        await device.update()
        assert (await second).value == "LwM2M Non-IP bridge"


@virtual_time
async def test_the_patience_of_a_caller_holds_while_a_client_sleeps():
    async with Set("thingsboard") as (_, server):
        await asyncio.sleep(120)
        before = asyncio.get_running_loop().time()
        with pytest.raises(NoAnswer):
            await server.read(EP, "/3/0/9")
        assert asyncio.get_running_loop().time() - before == pytest.approx(120)


@virtual_time
async def test_leshans_demo_keeps_the_last_request_only():
    async with Set("leshan-demo") as (device, server):
        await asyncio.sleep(120)
        first = asyncio.create_task(server.read(EP, "/3/0/9", wait=600))
        await asyncio.sleep(1)
        last = asyncio.create_task(server.read(EP, "/3/0/0", wait=600))
        await asyncio.sleep(1)
        await device.update()
        with pytest.raises(Dropped):
            await first
        assert (await last).value == "LwM2M Non-IP bridge"


@virtual_time
async def test_a_client_that_does_not_answer_counts_as_asleep():
    async with Set("leshan") as (device, server):
        device.muted = True
        with pytest.raises(NoAnswer):
            await server.read(EP, "/3/0/9", wait=10)
        with pytest.raises(ClientAsleep):
            await server.read(EP, "/3/0/9")


@pytest.mark.parametrize(("profile", "patience"), [("leshan", 120), ("leshan-demo", 5), ("wakaama", 15)])
@virtual_time
async def test_each_server_has_its_own_patience(profile, patience):
    async with Set(profile, queue_mode=False) as (device, server):
        device.muted = True
        before = asyncio.get_running_loop().time()
        with pytest.raises(NoAnswer):
            await server.read(EP, "/3/0/9")
        assert asyncio.get_running_loop().time() - before <= patience


@virtual_time
async def test_emqx_names_the_location_after_the_endpoint():
    async with Set("emqx") as (device, _):
        assert device.registration.location == ("rd", EP)


@virtual_time
async def test_the_strict_server_answers_separately():
    async with Set("strict") as (device, _):
        types = [(datagram.type, datagram.code) for datagram in device.wire]
        assert types[:4] == [("CON", "0.02"), ("ACK", "0.00"), ("CON", "2.01"), ("ACK", "0.00")]


class SeparateBlocks(asyncio.DatagramProtocol):
    """A device that acknowledges each block, and sends the 2.31 separately."""

    def connection_made(self, transport):
        self.transport, self.numbers = transport, []

    def datagram_received(self, data, address):
        message = Message.decode(data)
        if message.code is EMPTY:
            return
        self.numbers.append(message.opt.block1.block_number)
        for kind, code, mid in ((ACK, EMPTY, message.mid), (CON, CONTINUE, 1000 + message.mid)):
            answer = Message(code=code)
            answer.mtype, answer.mid = kind, mid % 65536
            if code is CONTINUE:
                answer.token, answer.opt.block1 = message.token, message.opt.block1
            self.transport.sendto(answer.encode(), address)


@pytest.mark.parametrize(("profile", "blocks"), [("plain", [0, 1, 2]), ("wakaama", [0])])
@virtual_time
async def test_wakaama_goes_on_with_blocks_only_after_a_piggybacked_answer(profile, blocks):
    async with Set(profile, queue_mode=False) as (_, server):
        assert (await server.write(EP, "/5/0/0", bytes(3000), content_format=ContentFormat.OPAQUE)).code == "2.04"
        loop = asyncio.get_running_loop()
        transport, other = await loop.create_datagram_endpoint(SeparateBlocks, local_addr=("127.0.0.1", 0))
        server.client(EP).address = transport.get_extra_info("sockname")
        with contextlib.suppress(NoAnswer):
            await server.write(EP, "/5/0/0", bytes(3000), content_format=ContentFormat.OPAQUE, wait=10)
        transport.close()
        assert other.numbers == blocks
