"""Events as server-sent events (HTML Living Standard, 9.2): from where the caller stopped, and new ones.

No state is kept for a caller: each reads the outbox at its own pace, and one that does not read is disconnected.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import msgspec
from aiohttp import web

from bridge.errors import LimitReached, NotRunning, RequestError, StoreUnavailable
from bridge.operations.bridge import Bridge
from bridge.operations.events import list_events
from bridge.operations.types.events import EventView, ListEvents

BEAT = 15.0  # seconds without an event until a comment is sent to keep the stream alive
PATIENCE = 30.0  # seconds that a caller may take to read
PAGE = 500
STREAMS = 100  # open at the same time
STREAMS_OF_KEY = 20  # of these with one key, so that no caller takes them all
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


class Streams:
    """Counts open streams, and ends them. The bounds keep one caller from using up what the others need."""

    def __init__(self) -> None:
        self._by_key: Counter[int] = Counter()
        self._tasks: set[asyncio.Task[object] | None] = set()

    def __len__(self) -> int:
        return self._by_key.total()

    @contextlib.contextmanager
    def one_of(self, key: int) -> Iterator[None]:
        """Count the current task as one more stream of a key while the context is open.

        Raises LimitReached if there are too many.
        """
        if self._by_key[key] >= STREAMS_OF_KEY:
            raise LimitReached(f"{STREAMS_OF_KEY} streams of events are open with this key already; close one of them")
        if len(self) >= STREAMS:
            raise LimitReached(f"{STREAMS} streams of events are open already; try again later")
        self._by_key[key] += 1
        self._tasks.add(task := asyncio.current_task())
        try:
            yield
        finally:
            self._tasks.discard(task)
            self._by_key[key] -= 1
            if not self._by_key[key]:
                del self._by_key[key]

    def end(self) -> None:
        """End all open streams: each caller's connection is closed, and a caller that wants more connects again."""
        for task in self._tasks:
            if task is not None:
                task.cancel()


def wants_stream(request: web.Request) -> bool:
    """Return whether a request asks for server-sent events."""
    return "text/event-stream" in request.headers.get("Accept", "")


def last_event_id(request: web.Request, asked: ListEvents) -> ListEvents:
    """Return the request with the id that a browser sends when it connects again. Raises RequestError."""
    text = request.headers.get("Last-Event-ID")
    if text is None:
        return asked
    if not (text.isascii() and text.isdigit()) or len(text) > 18:  # noqa: PLR2004  # digits that fit 64 bits
        raise RequestError(f"Last-Event-ID {text[:40]!r} is not the id of an event")
    return msgspec.structs.replace(asked, after=int(text))


async def stream(
    bridge: Bridge, request: web.Request, asked: ListEvents, allowed: Callable[[], Awaitable[bool]]
) -> web.StreamResponse:
    """Send events until the caller disconnects, the service stops, or `allowed` says that the caller may read no more.

    Raises BridgeError before the first byte.
    """
    newer = bridge.newer_events()
    first = await list_events(bridge, msgspec.structs.replace(asked, limit=PAGE))
    if asked.after is None:  # from now on
        first = msgspec.structs.replace(first, items=(), next=(await bridge.outbox.bounds())[1])
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    page = first
    with contextlib.suppress(ConnectionError, TimeoutError, StoreUnavailable, NotRunning):  # the service may stop
        if page.lost:
            await _send(response, b"event: lost\ndata: {}\n\n")
        while await allowed():
            for event in page.items:
                await _send(response, _encoded(event))
            if not page.items and not await _newer(response, newer):
                continue
            newer = bridge.newer_events()
            page = await list_events(bridge, msgspec.structs.replace(asked, after=page.next, limit=PAGE))
    if request.transport is not None:
        request.transport.abort()  # it does not read
    return response


async def _newer(response: web.StreamResponse, newer: asyncio.Event) -> bool:
    """Wait for newer events; return False if a comment had to be sent instead."""
    try:
        await asyncio.wait_for(newer.wait(), BEAT)
    except TimeoutError:
        await _send(response, b": still here\n\n")
        return False
    return True


async def _send(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await response.write(data)


def _encoded(event: EventView) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.type.encode(), msgspec.json.encode(event))
