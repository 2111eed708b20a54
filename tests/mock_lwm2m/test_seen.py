"""What the server tells about messages: acknowledged, answered, late, repeated. The device side is raw bytes here."""

import asyncio
import socket
from itertools import pairwise

import pytest
from lwm2m_pair import pair, served, uri, virtual_time

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions
from mock_network.lab import free_port
from mock_network.lwm2m.messages import NoAnswer, NotAcknowledged

EP = "raw"


class RawDevice:
    """A device made of bytes, so that each message is the test's own."""

    def __init__(self, server):
        self.server = server
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.64.3.4", 0))
        self.socket.setblocking(False)

    async def __aenter__(self):
        register = b"\x40\x02\x00\x01\xb2rd\x11\x28\x36ep=raw\x09lwm2m=1.1\xff</3/0>"
        await self.send(register)
        assert (await self.receive())[1] == 0x41
        return self

    async def __aexit__(self, *_):
        self.socket.close()

    async def send(self, data):
        await asyncio.get_running_loop().sock_sendto(self.socket, data, self.server.address)

    async def receive(self):
        async with asyncio.timeout(1):
            return (await asyncio.get_running_loop().sock_recvfrom(self.socket, 2000))[0]


def kinds(server):
    return [entry.kind for entry in server.seen.entries if entry.kind != "registered"]


@virtual_time
async def test_an_empty_ack_is_seen_when_it_comes_with_the_token_of_its_request():
    async with served() as server, RawDevice(server) as device:
        reading = asyncio.create_task(server.read(EP, "/3/0/9"))
        request = await device.receive()
        await device.send(b"\x60\x00" + request[2:4])
        async with asyncio.timeout(5):
            while not server.seen.of("acknowledged"):
                await asyncio.sleep(0.001)
        entry = server.seen.of("acknowledged", EP)[0]
        assert (entry.mid, entry.token) == (int.from_bytes(request[2:4], "big"), request[4:12].hex())
        assert entry.detail == "empty"
        assert entry.peer.startswith("127.64.3.4:")
        assert not reading.done()
        await device.send(b"\x48\x45\x12\x34" + request[4:12] + b"\xc0\xff99")
        assert (await reading).value == 99
        assert await device.receive() == b"\x60\x00\x12\x34"
        assert kinds(server) == ["request", "acknowledged", "ack sent", "response"]


@virtual_time
async def test_a_repeated_separate_response_is_acknowledged_again_and_delivered_once():
    """RFC 7252 §4.2: the ACK may have been lost."""
    async with served() as server, RawDevice(server) as device:
        reading = asyncio.create_task(server.read(EP, "/3/0/9"))
        request = await device.receive()
        response = b"\x48\x45\x12\x34" + request[4:12] + b"\xc0\xff99"
        for _ in range(3):
            await device.send(response)
            assert await device.receive() == b"\x60\x00\x12\x34"
        await reading
        assert kinds(server) == ["request", "ack sent", "response", "ack sent", "ack sent"]


@virtual_time
async def test_a_response_after_the_callers_time_is_answered_rst():
    async with served() as server, RawDevice(server) as device:
        with pytest.raises(NoAnswer):
            await server.read(EP, "/3/0/9", wait=0.05)
        request = await device.receive()
        await device.send(b"\x48\x45\x12\x34" + request[4:12] + b"\xc0\xff99")
        assert await device.receive() == b"\x70\x00\x12\x34"
        assert kinds(server) == ["request", "timeout", "rst sent"]


@virtual_time
async def test_retransmissions_and_giving_up_are_seen():
    async with pair() as (device, server):
        device.muted = True
        with pytest.raises(NotAcknowledged):
            await server.read("urn:dev:os:test-1", "/3/0/9")
        requests = server.seen.of("request")
        assert [entry.detail for entry in requests] == ["", "again", "again", "again", "again"]
        assert len({entry.mid for entry in requests}) == 1
        gaps = [later.time - earlier.time for earlier, later in pairwise(requests)]
        assert 2 <= gaps[0] <= 3
        assert gaps == pytest.approx([gaps[0] * factor for factor in (1, 2, 4, 8)])
        assert server.seen.of("not acknowledged")


@virtual_time
async def test_clients_are_told_apart_by_address_and_answered_from_the_address_they_used():
    port = free_port()
    async with served() as server:
        devices = [
            Device(DeviceOptions(f"d{number}", uri(server), bind=(f"127.64.1.{number}", port))) for number in (1, 2, 3)
        ]
        for device in devices:
            await device.start()
        await server.wait_until(lambda: len(server.clients) == 3, 60)
        assert [client.address for client in server.clients] == [(f"127.64.1.{number}", port) for number in (1, 2, 3)]
        await devices[1].send(["/3/0/2"])
        assert server.sends[0][0] == "d2"
        assert (await server.read("d3", "/3/0/2")).value == "d3"
        for device in devices:
            await device.stop()
