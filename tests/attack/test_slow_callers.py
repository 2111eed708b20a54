"""Callers of the callback listener that only hold connections, or break them."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from bindings.nidd import listener as module
from bindings.nidd.listener import Listener
from bindings.nidd.settings import Callbacks


class Called:
    """A listener with what it counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.listener = Listener(Callbacks(port=0), self._take, self._count)

    async def _take(self, *_: object) -> None:
        """Take anything."""

    def _count(self, name: str) -> None:
        self.counts[name] += 1

    async def connect(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.listener.address)
        writer.write(sent)
        return reader, writer

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, self.counts
            await asyncio.sleep(0.01)


@pytest.fixture
async def called(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Called]:
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    monkeypatch.setattr(module, "_CONNECTIONS", 4)
    one = Called()
    await one.listener.start("secret")
    yield one
    await one.listener.stop()


HEAD = b"POST /secret HTTP/1.1\r\nHost: bridge\r\nContent-Length: 1000\r\n\r\n"


async def test_a_head_that_does_not_end_is_not_waited_for(called: Called) -> None:
    reader, writer = await called.connect(HEAD[:-2])
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert called.counts == {"nidd_callbacks_too_slow": 1}


async def test_a_body_that_does_not_come_is_not_waited_for(called: Called) -> None:
    reader, writer = await called.connect(HEAD + b"{")
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert called.counts == {"nidd_callbacks_too_slow": 1}


async def test_a_caller_that_sends_requests_keeps_its_connection(called: Called) -> None:
    body = b'{"subscription":"s"}'
    whole = HEAD.replace(b"1000", str(len(body)).encode()) + body
    reader, writer = await called.connect(whole)
    for _ in range(3):
        assert b" 204 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        await asyncio.sleep(0.2)
        writer.write(whole)
    assert b" 204 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    assert not called.counts


async def test_connections_are_bounded(called: Called) -> None:
    held = [await called.connect(b"") for _ in range(4)]
    _, extra = await called.connect(b"")
    await called.until(lambda: called.counts["nidd_callbacks_too_many"] == 1)
    for _, writer in [*held, (None, extra)]:
        writer.close()


async def test_a_connection_that_breaks_in_mid_body_is_counted_and_no_fault_of_ours(
    called: Called, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await called.connect(HEAD + b"{")
    await called.until(lambda: called.listener._runner is not None and bool(called.listener._runner.server.connections))
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await called.until(lambda: called.counts["nidd_callbacks_cut_off"] == 1)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
