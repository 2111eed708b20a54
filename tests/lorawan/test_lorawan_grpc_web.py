"""ChirpStack's API over gRPC-Web, against a server that answers with the very bytes of a test.

What stands in answers of a real ChirpStack v4.20 was looked at there: a status without a message is in the headers, any
other in the body.
"""

import asyncio
import contextlib
import time

import grpc
import pytest
from chirpstack_api import api

from bindings.lorawan.chirpstack import client as client_module, grpc_web
from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.chirpstack.transport import GrpcFailed
from bindings.lorawan.settings import Api
from bridge.errors import ConfigurationError
from tests.waiting import until

DEVICE = "70b3d57ed0000001"
ITEM = api.DeviceQueueItem(dev_eui=DEVICE, f_port=10, data=b"x")
OK = b"grpc-status:0\r\n"
Code = grpc.StatusCode


def framed(content: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(content).to_bytes(4) + content


def answer(body=b"", *, status="200 OK", kind="application/grpc-web+proto", **headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *([f"Content-Type: {kind}"] if kind else [])]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


ENQUEUED = answer(framed(api.EnqueueDeviceQueueItemResponse(id="one").SerializeToString()) + framed(OK, 0x80))


class Scripted:
    """Answers each request with the next bytes of the script; None: with silence, b"": by closing."""

    def __init__(self, script):
        self.script = list(script)
        self.requests = []
        self.open = 0
        self.most = 0
        self.release = asyncio.Event()
        self.release.set()

    async def serve(self, reader, writer):
        self.open += 1
        self.most = max(self.most, self.open)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                self.requests.append((head, await reader.readexactly(length)))
                await self.release.wait()
                said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if said is None:
                    await reader.read()
                    break
                if not said:
                    break
                for part in [said] if isinstance(said, bytes) else said:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
        self.open -= 1
        writer.close()


@contextlib.asynccontextmanager
async def speaking(*script, **settings):
    scripted = Scripted(script)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = ChirpStackClient(Api(**{"server": address, "key": "secret", "timeout": 5.0} | settings))
    await client.open()
    try:
        yield client, scripted
    finally:
        await client.close()
        scripted.release.set()
        await until(lambda: not scripted.open)
        server.close()


async def failure(*script, **settings):
    async with speaking(*script, **settings) as (client, _):
        with pytest.raises(GrpcFailed) as failed:
            await client.enqueue(ITEM, flush=False)
        return failed.value


async def test_a_call_is_a_post_of_one_framed_message_with_the_key():
    async with speaking(ENQUEUED) as (client, scripted):
        assert await client.enqueue(ITEM, flush=True) == "one"
    ((head, body),) = scripted.requests
    assert head.startswith(b"POST /api.DeviceService/Enqueue HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer secret\r\n" in head
    assert b"\r\nContent-Type: application/grpc-web+proto\r\n" in head
    wanted = api.EnqueueDeviceQueueItemRequest(queue_item=ITEM, flush_queue=True)
    assert body == framed(wanted.SerializeToString())


async def test_calls_that_follow_each_other_share_a_connection():
    async with speaking(ENQUEUED) as (client, scripted):
        for _ in range(3):
            await client.enqueue(ITEM, flush=False)
    assert (len(scripted.requests), scripted.most) == (3, 1)


@pytest.mark.parametrize(
    "said",
    [
        answer(grpc_status="5", grpc_message="no%20such%20device"),
        answer(framed(b"grpc-status: 5\r\ngrpc-message: no%20such%20device\r\n", 0x80)),
        answer(framed(b"") + framed(b"Grpc-Message:no%20such%20device\r\nGrpc-Status:5\r\n", 0x80)),
    ],
    ids=["in the headers", "in the body", "behind a message"],
)
async def test_a_status_is_read_wherever_it_stands(said):
    failed = await failure(said)
    assert (failed.code, str(failed), failed.unsure) == (Code.NOT_FOUND, "NOT_FOUND: no such device", False)


@pytest.mark.parametrize(
    ("said", "code", "unsure"),
    [
        (answer(grpc_status="14"), Code.UNAVAILABLE, True),
        (answer(grpc_status="4"), Code.DEADLINE_EXCEEDED, True),
        (answer(grpc_status="99"), Code.UNKNOWN, True),
        (answer(grpc_status="much"), Code.UNKNOWN, True),
        (answer(framed(b"") + framed(b"grpc-status:\xb2\r\n", 0x80)), Code.UNKNOWN, True),  # a digit, for Python
        (answer(framed(b"") + framed(b"grpc-status:" + b"1" * 5000, 0x80)), Code.UNKNOWN, True),
        (answer(grpc_status="13"), Code.INTERNAL, True),  # the commit may have been done before the connection broke
        (answer(grpc_status="13", grpc_message="database%20is%20locked"), Code.INTERNAL, False),
        (answer(grpc_status="13", grpc_message="x violates foreign key constraint"), Code.INTERNAL, False),
        (answer(grpc_status="8", grpc_message="Received message larger than max"), Code.RESOURCE_EXHAUSTED, True),
        (answer(grpc_status="16"), Code.UNAUTHENTICATED, False),
        (answer(status="401 Unauthorized", kind=""), Code.UNAUTHENTICATED, False),
        (answer(status="403 Forbidden", kind="text/html"), Code.PERMISSION_DENIED, False),
        (answer(status="404 Not Found", kind="text/html"), Code.UNAVAILABLE, False),
        (answer(status="408 Request Timeout", kind=""), Code.UNAVAILABLE, True),
        (answer(status="429 Too Many Requests", kind=""), Code.RESOURCE_EXHAUSTED, False),
        (answer(status="502 Bad Gateway", kind="text/html"), Code.UNAVAILABLE, True),
        (answer(status="504 Gateway Timeout", kind=""), Code.UNAVAILABLE, True),
        (answer(b"<p>", kind="text/html"), Code.UNAVAILABLE, True),
        (answer(), Code.UNAVAILABLE, True),
        (answer(framed(b"ab")[:-1]), Code.UNAVAILABLE, True),
        (answer(framed(b"") + framed(OK, 0x80)[:-1]), Code.UNAVAILABLE, True),
        (answer(bytes(5 << 20)), Code.RESOURCE_EXHAUSTED, True),
        (answer(framed(OK, 0x80)), Code.INTERNAL, True),
        (answer(framed(b"\xff\xff") + framed(OK, 0x80)), Code.INTERNAL, True),
        (
            b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
            Code.UNAVAILABLE,
            True,
        ),  # SETTINGS of a server that speaks HTTP/2 only
        (b"", Code.UNAVAILABLE, True),
    ],
)
async def test_a_failure_says_whether_the_call_may_have_taken_effect(said, code, unsure):
    failed = await failure(said)
    assert (failed.code, failed.unsure) == (code, unsure)


async def test_an_unauthorized_proxy_is_not_taken_for_a_method_that_is_for_users_only():
    assert not (await failure(answer(status="401 Unauthorized", kind=""))).for_users_only
    assert (await failure(answer(grpc_status="16"))).for_users_only


async def test_what_is_no_chirpstack_is_said_in_words():
    failed = await failure(answer(b"<p>", kind="text/html"))
    assert "text/html" in str(failed)
    assert "not ChirpStack's API" in str(failed)


async def test_silence_is_a_deadline_that_passed_and_leaves_it_open():
    failed = await failure(None, timeout=0.1)
    assert (failed.code, failed.unsure) == (Code.DEADLINE_EXCEEDED, True)


async def test_without_a_connection_it_is_certain_that_nothing_was_asked():
    async with speaking(ENQUEUED) as (client, _):
        pass
    await client.open()
    with pytest.raises(GrpcFailed) as failed:
        await client.enqueue(ITEM, flush=False)
    assert (failed.value.code, failed.value.unsure) == (Code.UNAVAILABLE, False)
    await client.close()


async def test_more_calls_than_connections_wait_and_what_waits_too_long_was_not_asked():
    async with speaking(ENQUEUED, connections=2, timeout=0.2) as (client, scripted):
        assert await asyncio.gather(*(client.enqueue(ITEM, flush=False) for _ in range(6))) == ["one"] * 6
        assert scripted.most == 2
        scripted.release.clear()
        results = await asyncio.gather(*(client.enqueue(ITEM, flush=False) for _ in range(3)), return_exceptions=True)
    assert sorted(one.unsure for one in results) == [False, True, True]
    assert any("api.connections" in str(one) for one in results)


async def test_what_waits_in_vain_for_a_connection_says_nothing_about_chirpstack():
    async with speaking(ENQUEUED, connections=1, timeout=0.1) as (client, scripted):
        await client._transport._free.acquire()
        with pytest.raises(GrpcFailed) as failed:
            await client.enqueue(ITEM, flush=False)
        assert (failed.value.unsure, client.up, scripted.requests) == (False, None, [])


async def test_calls_that_wait_for_a_connection_are_not_made_after_the_close():
    async with speaking(None, connections=1) as (client, scripted):
        calls = [asyncio.ensure_future(client.enqueue(ITEM, flush=False)) for _ in range(3)]
        await until(lambda: scripted.requests)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [one.unsure for one in results] == [True, False, False]
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:8080", "127.0.0.1:8080/api", "u@127.0.0.1:8080", "[::1", "h:port"]
)
async def test_a_server_that_is_no_host_and_port_is_refused_with_the_cure(server):
    with pytest.raises(ConfigurationError, match="host:port"):
        await ChirpStackClient(Api(server=server, key="k")).open()


async def test_a_key_that_cannot_stand_in_a_header_is_refused():
    with pytest.raises(ConfigurationError, match=r"api\.key") as refused:
        await ChirpStackClient(Api(server="127.0.0.1:8080", key="se\ncret")).open()
    assert "cret" not in str(refused.value)


# Streams


def events(*names):
    return [framed(api.LogItem(description=name).SerializeToString()) for name in names]


def chunked(*parts):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)]


async def descriptions(client, patience=0.2):
    return [item.description async for item in client.events(DEVICE, patience, expected=True)]


async def test_messages_of_a_stream_come_however_they_are_cut_up():
    whole = b"".join(events("join", "up", "txack"))
    for size in (1, 7, len(whole)):
        parts = [whole[at : at + size] for at in range(0, len(whole), size)]
        async with speaking(chunked(*parts)) as (client, scripted):
            assert await descriptions(client) == ["join", "up", "txack"]
            await until(lambda scripted=scripted: not scripted.open)  # what lasts is ended by the one who has enough


async def test_a_stream_that_ends_with_ok_ends():
    async with speaking([*chunked(*events("up"), framed(OK, 0x80)), b"0\r\n\r\n"]) as (client, _):
        assert await descriptions(client, patience=60) == ["up"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([answer(grpc_status="7")], Code.PERMISSION_DENIED),
        ([*chunked(*events("up"), framed(b"grpc-status:13\r\n", 0x80)), b"0\r\n\r\n"], Code.INTERNAL),
        (chunked(*events("up"), (1 << 24).to_bytes(5)), Code.RESOURCE_EXHAUSTED),
        (chunked(*events("up"), framed(b"\xff")), Code.INTERNAL),
        ([answer(b"<p>", kind="text/html")], Code.UNAVAILABLE),
        ([answer(b"<html>bad gateway", status="502 Bad Gateway", kind="text/html")], Code.UNAVAILABLE),
        ([answer(b"<html>the web interface", kind="text/html")], Code.UNAVAILABLE),
        (b"", Code.UNAVAILABLE),
    ],
)
async def test_a_stream_that_fails_says_how(said, code):
    async with speaking(said) as (client, _):
        with pytest.raises(GrpcFailed) as failed:
            await descriptions(client, patience=60)
    assert failed.value.code is code


async def test_nothing_is_read_behind_what_is_no_message():
    bad = b"\0\xff\xff\xff\xff"
    head, *parts = chunked(bad, *events("up"), *events("join"))
    async with speaking([head, b"".join(parts)]) as (client, _):
        with pytest.raises(GrpcFailed):
            await anext(client.events(DEVICE, 60, expected=True))


async def test_r30_a_history_that_goes_on_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(client_module, "_HISTORY", 3 * 1024)
    async with speaking(chunked(*events("up", "up", "up", "up"))) as (client, scripted):
        with pytest.raises(GrpcFailed) as failed:
            await descriptions(client, patience=60)
        await until(lambda: not scripted.open)
    assert failed.value.code is Code.RESOURCE_EXHAUSTED


async def test_a_message_in_many_small_parts_costs_no_more_than_its_length():
    """Four times the parts take four times as long, not sixteen times."""

    class Client:
        def request(self, *_, part):
            self.part = part
            return asyncio.Event().wait()

    async def seconds(length):
        client = Client()
        stream = grpc_web.WebStream(client, None, grpc_web.Method("/", bytes, bytes), b"")
        began = time.process_time()
        for byte in framed(bytes(length)):
            client.part(bytes((byte,)))
        took = time.process_time() - began
        assert len(await stream.read()) == length
        stream.cancel()
        return took

    short, long = [min([await seconds(length) for _ in range(3)]) for length in (50_000, 200_000)]
    assert long < 9 * short
