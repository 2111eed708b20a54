"""Callers of the callback listeners that only hold connections, or break them."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from bindings.http.server import Limits
from bindings.lorawan.chirpstack.http import HttpEvents
from bindings.lorawan.settings import Http
from bindings.t8.listener import t8_listener
from bindings.t8.settings import Callbacks

LIMITS = Limits(max_body=2000, connections=4, patience=0.3)


class Called:
    """A listener with what it counted, without the listener's own prefix."""

    def __init__(self, network: str) -> None:
        self.counts: Counter[str] = Counter()
        self._prefix = {"nidd": "nidd_callbacks_", "lorawan": "lorawan_events_"}[network]
        self.listener = (
            t8_listener(Callbacks(port=0), "nidd", self._take, self._count, LIMITS)
            if network == "nidd"
            else HttpEvents(Http(port=0), self._take, self._count, LIMITS)
        )

    async def _take(self, *_: object, **__: object) -> None:
        """Take anything."""

    def _count(self, name: str) -> None:
        self.counts[name.removeprefix(self._prefix)] += 1

    async def connect(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.listener.address)
        writer.write(sent)
        return reader, writer

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, self.counts
            await asyncio.sleep(0.01)


@pytest.fixture(params=["nidd", "lorawan"])
async def called(request: pytest.FixtureRequest) -> AsyncIterator[Called]:
    one = Called(request.param)
    await one.listener.start("secret")
    yield one
    await one.listener.stop()


HEAD = b"POST /secret?event=status HTTP/1.1\r\nHost: bridge\r\nContent-Length: 1000\r\n\r\n"


async def test_a_head_that_does_not_end_is_not_waited_for(called: Called) -> None:
    reader, writer = await called.connect(HEAD[:-2])
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert called.counts == {"too_slow": 1}


async def test_a_body_that_does_not_come_is_not_waited_for(called: Called) -> None:
    reader, writer = await called.connect(HEAD + b"{")
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert called.counts == {"too_slow": 1}


async def test_a_caller_that_sends_requests_keeps_its_connection(called: Called) -> None:
    body = b'{"subscription":"s"}'
    whole = HEAD.replace(b"1000", str(len(body)).encode()) + body
    reader, writer = await called.connect(whole)
    for _ in range(3):
        assert b" 20" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        await asyncio.sleep(0.2)
        writer.write(whole)
    assert b" 20" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    assert not called.counts


async def test_connections_are_bounded(called: Called) -> None:
    held = [await called.connect(b"") for _ in range(4)]
    _, extra = await called.connect(b"")
    await called.until(lambda: called.counts["too_many"] == 1)
    for _, writer in [*held, (None, extra)]:
        writer.close()


async def test_a_connection_that_breaks_in_mid_body_is_counted_and_no_fault_of_ours(
    called: Called, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await called.connect(HEAD + b"{")
    await called.until(lambda: bool(called.listener.server.connections))
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await called.until(lambda: called.counts["cut_off"] == 1)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
