"""The emulated server speaks gRPC-Web on the port of gRPC, as a real v4.20.0-test.1 does."""

import asyncio

import aiohttp
import pytest
from chirpstack_api import api, integration
from google.protobuf.empty_pb2 import Empty
from mock_chirpstack_kit import TOKEN, provision

from tests.waiting import until

EUI = "70b3d57ed0000001"

KIND = "application/grpc-web+proto"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}


def framed(message, flag=0):
    content = message if isinstance(message, bytes) else message.SerializeToString()
    return bytes([flag]) + len(content).to_bytes(4) + content


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(headers={"Content-Type": KIND} | AUTHORIZATION) as session:
        yield session


async def test_a_call_is_answered_with_its_message_and_its_status_in_the_body(serve, http):
    server, stubs = await serve()
    await provision(stubs)
    request = framed(api.GetDeviceRequest(dev_eui=EUI))
    async with http.post(f"http://{server.grpc_address}/api.DeviceService/Get", data=request) as answer:
        body = await answer.read()
    assert (answer.status, answer.headers["Content-Type"]) == (200, KIND)
    told = await stubs.device.Get(api.GetDeviceRequest(dev_eui=EUI), metadata=stubs.auth)
    length = int.from_bytes(body[1:5])
    assert api.GetDeviceResponse.FromString(body[5 : 5 + length]).device == told.device
    assert body[5 + length :] == framed(b"grpc-status:0\r\n", 0x80)


async def test_a_refusal_stands_in_the_headers(serve, http):
    server, _ = await serve()
    where = f"http://{server.grpc_address}/api.DeviceService/Get"
    async with http.post(where, data=framed(api.GetDeviceRequest(dev_eui="ff" * 8))) as answer:
        assert (answer.status, answer.headers["grpc-status"], await answer.read()) == (200, "5", b"")
    async with http.post(where, data=framed(Empty()), headers={"Authorization": "Bearer wrong"}) as answer:
        assert answer.headers["grpc-status"] == "16"


async def test_a_stream_lasts_until_the_caller_has_enough(serve, http):
    server, stubs = await serve()
    await provision(stubs)
    where = f"http://{server.grpc_address}/api.InternalService/StreamDeviceEvents"
    context = server.driver.server.context
    context.emit(context.tables.devices.rows[bytes.fromhex(EUI)], "status", integration.StatusEvent())
    async with http.post(where, data=framed(api.StreamDeviceEventsRequest(dev_eui=EUI))) as answer:
        head = await answer.content.readexactly(5)
        item = api.LogItem.FromString(await answer.content.readexactly(int.from_bytes(head[1:])))
        assert item.description == "status"
    await http.close()
    await until(lambda: server._port.calls == 0)


async def test_a_browser_gets_a_page(serve, http):
    server, _ = await serve()
    async with http.get(f"http://{server.grpc_address}/") as answer:
        assert answer.headers["Content-Type"].startswith("text/html")


async def test_both_are_spoken_on_one_port_at_a_time(serve, http):
    server, stubs = await serve()
    await provision(stubs)
    where, request = f"http://{server.grpc_address}/api.DeviceService/Get", api.GetDeviceRequest(dev_eui=EUI)

    async def over_web():
        async with http.post(where, data=framed(request)) as answer:
            return len(await answer.read())

    calls = [over_web() for _ in range(20)] + [stubs.device.Get(request, metadata=stubs.auth) for _ in range(20)]
    assert all(await asyncio.gather(*calls))


async def test_a_post_that_comes_in_pieces_is_no_http_2(serve):
    """The first letter is that of HTTP/2's preface."""
    server, _ = await serve()
    host, _, port = server.grpc_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"P")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(b"OST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()
