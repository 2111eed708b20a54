"""The clock process: the mapping, and a control API over HTTP on loopback.

    GET  /                            the mapping now
    GET  /?since=VERSION&follower=ID  the mapping as soon as it is not VERSION any more, or after 30 s
    POST /step {"seconds", "over"}    let time pass at once, or within `over` real seconds
    POST /rate {"rate"}               from now on; 0 stops time

A change is announced, takes effect `LEAD` later, and is answered when it holds and every follower has asked again.
"""

import asyncio
import contextlib
import json
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from mock_network.clock.mapping import Mapping, Segment

LEAD = 0.02  # real seconds between the announcement of a change and its effect
HOLD = 30.0  # real seconds that a poll is held
ACKNOWLEDGE = 1.0  # real seconds given to followers to learn of a change


class ClockServer:
    """Owns the mapping. Runs on real time only."""

    def __init__(self, *, rate: float = 1.0, start: float | None = None) -> None:
        real, wall = time.monotonic(), time.time() if start is None else start
        self._mapping = Mapping(1, wall - real, (Segment(real, real, rate),))
        self._changed = asyncio.Event()
        self._asked = asyncio.Event()
        self._followers: dict[str, tuple[int, web.Request]] = {}
        self._change = asyncio.Lock()
        self.app = web.Application()
        self.app.router.add_get("/", self._get)
        self.app.router.add_post("/step", self._step)
        self.app.router.add_post("/rate", self._rate)

    async def _get(self, request: web.Request) -> web.Response:
        since = request.query.get("since")
        follower = request.query.get("follower")
        if since is not None and since == str(self._mapping.version):
            if follower is not None:
                self._followers[follower] = (self._mapping.version, request)
                self._asked.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), HOLD)
        return web.json_response(self._mapping.to_json())

    async def _step(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return await self._apply(step=_number(body, "seconds"), over=_number(body, "over", 0.0))

    async def _rate(self, request: web.Request) -> web.Response:
        return await self._apply(rate=_number(await _body(request), "rate"))

    async def _apply(self, *, step: float = 0.0, over: float = 0.0, rate: float | None = None) -> web.Response:
        async with self._change:
            real = time.monotonic()
            self._mapping = self._mapping.changed(real=real, at=real + LEAD, step=step, over=over, rate=rate)
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
            await self._acknowledged()
            await asyncio.sleep(max(0.0, self._mapping.segments[-1].real - time.monotonic()))
            return web.json_response(self._mapping.to_json())

    async def _acknowledged(self) -> None:
        """Return when every follower that still lives has asked for what comes after the present mapping."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ACKNOWLEDGE):
                while self._lagging():
                    self._asked.clear()
                    await self._asked.wait()
        for follower in self._lagging():
            del self._followers[follower]

    def _lagging(self) -> list[str]:
        for follower, (_, request) in list(self._followers.items()):
            if request.transport is None or request.transport.is_closing():
                del self._followers[follower]
        return [name for name, (version, _) in self._followers.items() if version != self._mapping.version]


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise _bad_request(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise _bad_request("the body is not a JSON object")
    return body


def _number(body: dict[str, Any], name: str, default: float | None = None) -> float:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise _bad_request(f"{name} must be a number that is not negative")
    return float(value)


def _bad_request(detail: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"detail": detail}), content_type="application/json")


async def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    rate: float = 1.0,
    start: float | None = None,
    ready: Callable[[str], None],
) -> None:
    """Run the clock until cancelled; `ready` is called with the URL. Must run on an event loop with real time."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setblocking(False)
    runner = web.AppRunner(ClockServer(rate=rate, start=start).app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        bound = listener.getsockname()
        ready(f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}")
        await asyncio.Event().wait()
    finally:
        # asyncio of Python 3.11 leaves a connection open that was accepted in the moment in which its server closes:
        # so accept nothing more first, and let what was accepted come to be known.
        asyncio.get_running_loop().remove_reader(listener)
        for _ in range(5):
            await asyncio.sleep(0)
        await runner.cleanup()
        listener.close()


class ClockThread:
    """A clock for tests that need no second process: the same server in a thread of its own; a context manager."""

    def __init__(self, *, rate: float = 1.0, start: float | None = None) -> None:
        self.url = ""
        self._rate, self._start = rate, start
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="clock-process", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the clock did not start")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def _run(self) -> None:
        async def main() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            await serve(rate=self._rate, start=self._start, ready=self._set_ready)

        with contextlib.suppress(asyncio.CancelledError), asyncio.Runner() as runner:
            runner.run(main())

    def _set_ready(self, url: str) -> None:
        self.url = url
        self._ready.set()
