"""The CoAP endpoint of the emulators: one socket for both roles, nothing hidden, one lost message ends only itself."""

import asyncio
import socket

import pytest
from lwm2m_pair import virtual_time

from mock_network.lwm2m.endpoint import CoapEndpoint
from mock_network.lwm2m.messages import GET, PUT, NoAnswer, NotAcknowledged, Request, Reset, Response, Tuning, resolve

QUICK = Tuning(ack_timeout=0.05, ack_random_factor=1.0, max_retransmit=2, empty_ack_delay=0.02)


async def nothing_here(request):
    return Response("4.04")


class Line:
    """Two endpoints; `seen` is what the first had on its wire."""

    def __init__(self, handler, **options):
        self.handler = handler
        self.options = options
        self.seen = []

    async def __aenter__(self):
        self.client = await CoapEndpoint.create(nothing_here, tuning=QUICK, tap=self.seen.append, **self.options)
        self.server = await CoapEndpoint.create(self.handler, tuning=QUICK)
        return self

    async def __aexit__(self, *_):
        await self.client.shutdown()
        await self.server.shutdown()

    async def ask(self, request, wait=2.0, **options):
        return (await self.client.request(self.server.address, request, wait=wait, **options)).response


class Ticks:
    """An observation whose notifications the test makes."""

    def __init__(self):
        self.queue = asyncio.Queue()
        self.over = asyncio.Event()

    async def notifications(self):
        while True:
            yield await self.queue.get()

    def closed(self):
        self.over.set()


@virtual_time
async def test_requests_leave_from_the_port_that_answers():
    peers = []

    async def handler(request):
        peers.append(request.peer)
        return Response("2.05", b"here")

    async with Line(handler) as line:
        await line.ask(Request(GET))
        assert peers == [line.client.address]


@virtual_time
async def test_a_slow_answer_is_acknowledged_first_and_both_are_seen():
    release = asyncio.Event()

    async def handler(request):
        await release.wait()
        return Response("2.05", b"late")

    async with Line(handler) as line:
        asking = asyncio.create_task(line.ask(Request(GET)))
        async with asyncio.timeout(2):
            while not any(datagram.empty for datagram in line.seen):
                await asyncio.sleep(0.001)
        release.set()
        assert (await asking).payload == b"late"
        story = [(datagram.outgoing, datagram.type, datagram.code) for datagram in line.seen]
        assert story == [
            (True, "CON", "0.01"),
            (False, "ACK", "0.00"),
            (False, "CON", "2.05"),
            (True, "ACK", "0.00"),
        ]
        assert line.seen[0].mid == line.seen[1].mid
        assert line.seen[0].token == line.seen[2].token


@pytest.mark.parametrize("size", [1024, 1025, 5000])
@virtual_time
async def test_bodies_go_block_wise_in_both_directions(size):
    body = bytes(index % 251 for index in range(size))

    async def handler(request):
        return Response("2.05", request.payload)

    async with Line(handler) as line:
        response = await line.ask(Request(PUT, ("x",), payload=body))
        assert response.payload == body
        assert max(datagram.size for datagram in line.seen) < 1100


@virtual_time
async def test_a_413_with_a_smaller_block_makes_the_sender_go_block_wise():
    """RFC 7959 §2.9.3, as Californium's automatic fail-over does."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    client = await CoapEndpoint.create(nothing_here, tuning=QUICK)
    try:
        asking = asyncio.create_task(client.request(listener.getsockname(), Request(PUT, payload=bytes(40)), wait=2.0))
        sizes = []
        # 4.13 with Block1 0/0/16, then 2.31 twice and 2.04.
        for code, block1 in [(0x8D, b"\x00"), (0x5F, b"\x08"), (0x5F, b"\x18"), (0x44, b"\x20")]:
            async with asyncio.timeout(1):
                data, peer = await loop.sock_recvfrom(listener, 2000)
            token = data[4 : 4 + (data[0] & 15)]
            sizes.append(len(data[4 + len(token) :].split(b"\xff", 1)[1]))  # MID and token may have that byte too
            answer = bytes([0x60 | len(token), code]) + data[2:4] + token + bytes([0xD1, 27 - 13]) + block1
            await loop.sock_sendto(listener, answer, peer)
        assert (await asking).response.code == "2.04"
        assert sizes == [40, 16, 16, 8]
    finally:
        await client.shutdown()
        listener.close()


@virtual_time
async def test_an_unanswered_request_ends_itself_and_no_observation():
    ticks = Ticks()

    async def handler(request):
        if request.observe == 0:
            return Response("2.05", b"0", subscription=ticks)
        await asyncio.sleep(60)
        return Response("2.05")

    got = []
    async with Line(handler) as line:
        await line.ask(Request(GET, ("x",), observe=0), on_notification=got.append)
        line.server.muted = True
        with pytest.raises(NotAcknowledged):
            await line.ask(Request(GET, ("y",)))
        line.server.muted = False
        ticks.queue.put_nowait(Response("2.05", b"1"))
        async with asyncio.timeout(2):
            while not got:
                await asyncio.sleep(0.001)
        assert got[0].payload == b"1"


@virtual_time
async def test_a_request_that_nobody_waits_for_is_not_sent_again():
    async with Line(nothing_here) as line:
        line.server.muted = True
        with pytest.raises(NoAnswer):
            await line.ask(Request(GET), wait=0.02)
        await asyncio.sleep(0.2)
        assert len(line.seen) == 1


@virtual_time
async def test_forgetting_an_observation_answers_the_next_notification_with_rst():
    ticks = Ticks()

    async def handler(request):
        return Response("2.05", b"0", subscription=ticks)

    async with Line(handler) as line:
        exchange = await line.client.request(
            line.server.address, Request(GET, observe=0), wait=2.0, on_notification=lambda _: None
        )
        exchange.stop()
        ticks.queue.put_nowait(Response("2.05", b"1"))
        async with asyncio.timeout(2):
            await ticks.over.wait()
        assert line.seen[-1].type == "RST"


@virtual_time
async def test_a_large_notification_arrives_whole():
    ticks = Ticks()
    body = bytes(index % 251 for index in range(2500))

    async def handler(request):
        return Response("2.05", b"0", subscription=ticks)

    got = []
    async with Line(handler) as line:
        await line.ask(Request(GET, ("x",), observe=0), on_notification=got.append)
        ticks.queue.put_nowait(Response("2.05", body))
        async with asyncio.timeout(2):
            while not got:
                await asyncio.sleep(0.001)
        assert got[0].payload == body


@virtual_time
async def test_rst_to_a_request_is_told_apart_from_silence():
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    client = await CoapEndpoint.create(nothing_here, tuning=QUICK)
    try:
        asking = asyncio.create_task(client.request(peer.getsockname(), Request(GET), wait=2.0))
        data, address = await loop.sock_recvfrom(peer, 2000)
        await loop.sock_sendto(peer, b"\x70\x00" + data[2:4], address)
        with pytest.raises(Reset):
            await asking
    finally:
        await client.shutdown()
        peer.close()


@pytest.mark.parametrize("unlimited", [False, True])
@virtual_time
async def test_nstart(unlimited):
    """RFC 7252 §4.7 has NSTART 1; Californium, and so Leshan, sends at once whatever it has."""
    async with Line(nothing_here, nstart_unlimited=unlimited) as line:
        line.server.muted = True
        asking = [asyncio.create_task(line.ask(Request(GET, (str(number),)))) for number in range(3)]
        await asyncio.sleep(0.02)
        assert len(line.seen) == (3 if unlimited else 1)
        line.server.muted = False
        assert [response.code for response in await asyncio.gather(*asking)] == ["4.04"] * 3


@virtual_time
async def test_an_extra_option_goes_out_as_given(monkeypatch):
    options = []
    async with Line(nothing_here) as line:
        render = line.server._context.render_to_pipe

        def spy(pipe):
            options.extend((int(option.number), option.encode()) for option in pipe.request.opt.option_list())
            render(pipe)

        monkeypatch.setattr(line.server._context, "render_to_pipe", spy)
        await line.ask(Request(GET, options=((65052, b"\x1e"),)))
        assert options == [(65052, b"\x1e")]


@pytest.mark.parametrize(
    "garbage", [b"", b"\x40", b"\x00\x01\x00\x00", b"\x40\x01\x00\x01\xf0", b"\x40\x01\x00\x01\x3c\xff"]
)
@virtual_time
async def test_garbage_is_counted_and_dropped(garbage):
    async with Line(nothing_here) as line:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(garbage, line.server.address)
            assert (await line.ask(Request(GET))).code == "4.04"
        assert line.server.unparsable == 1


@virtual_time
async def test_a_wildcard_socket_answers_from_the_address_that_was_addressed():
    server = await CoapEndpoint.create(nothing_here, ("0.0.0.0", 0))
    client = await CoapEndpoint.create(nothing_here, ("127.64.0.7", 0))
    try:
        exchange = await client.request(("127.64.9.9", server.address[1]), Request(GET), wait=2.0)
        assert exchange.response.peer == ("127.64.9.9", server.address[1])
    finally:
        await server.shutdown()
        await client.shutdown()


@virtual_time
async def test_ipv6_loopback():
    try:
        server = await CoapEndpoint.create(nothing_here, ("::1", 0))
    except OSError:
        pytest.skip("no IPv6 loopback")
    client = await CoapEndpoint.create(nothing_here, ("::1", 0))
    try:
        assert (await client.request(server.address, Request(GET), wait=2.0)).response.code == "4.04"
    finally:
        await server.shutdown()
        await client.shutdown()


@virtual_time
async def test_coap_uris_are_resolved():
    assert await resolve("coap://127.0.0.1:7000") == ("127.0.0.1", 7000)
    assert await resolve("coap://127.0.0.1") == ("127.0.0.1", 5683)
    assert await resolve("coaps://127.0.0.1") == ("127.0.0.1", 5684)
    with pytest.raises(ValueError, match="not a coap:// URI"):
        await resolve("coap+tcp://127.0.0.1")
