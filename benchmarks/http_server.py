"""One HTTP server that takes notifications, as a side under test: `http_server.py KIND PORT`.

All do the same with a request: compare its path, decode the notification, and answer 204 when a future completes, as
the bridge does once the message is committed. KIND is one of

- `bridge`: ours, as it runs
- `aiohttp`: aiohttp's low-level server, no router, no middleware
- `aiohttp-bounded`: the same with what a listener toward an operator's network needs beside it: patience for heads and
  bodies, a bound on connections, and refusals before a body is read
- `uvicorn`: uvicorn's httptools protocol
"""

import asyncio
import sys
from typing import Any, cast

import msgspec
from aiohttp import web

from bindings.http.callbacks import CallbackListener, ListenerNames
from bindings.http.messages import Request
from bindings.t8.settings import Callbacks

PATH = "/callback"


class Notification(msgspec.Struct):
    niddConfiguration: str  # noqa: N815  # T8's member name
    data: bytes
    externalId: str | None = None  # noqa: N815


decode = msgspec.json.Decoder(Notification).decode


def committed(body: bytes) -> asyncio.Future[None]:
    """Take a notification; the future completes in a later turn of the event loop."""
    decode(body)
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon(done.set_result, None)
    return done


async def serve_bridge(port: int) -> None:
    def take(request: Request) -> asyncio.Future[None]:
        return committed(request.body)

    names = ListenerNames("callbacks", "the load", "callers", "messages", "internal")
    await CallbackListener(names, Callbacks(port=port), take, lambda _name: None).start(PATH[1:])


async def serve_aiohttp(port: int) -> None:
    async def handle(request: web.BaseRequest) -> web.Response:
        if request.method != "POST" or not request.path.endswith(PATH):
            return web.Response(status=404)
        await committed(await request.read())
        return web.Response(status=204)

    await asyncio.get_running_loop().create_server(web.Server(handle, access_log=None), "127.0.0.1", port)


class Guard(asyncio.Protocol):
    """What aiohttp's server lacks: how long a caller may take over a request, and how many callers there may be."""

    transport: asyncio.Transport

    def __init__(self, inner: asyncio.Protocol, guards: dict[asyncio.BaseTransport, "Guard"]) -> None:
        self._inner, self._guards = inner, guards
        self._clock = asyncio.get_running_loop().time
        self._half_closed = False
        self.due: float | None = self._clock() + 20.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._guards[transport] = self
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._guards.pop(self.transport, None)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.due is None:
            self.due = self._clock() + 20.0
        self._inner.data_received(data)

    def eof_received(self) -> bool:
        """Keep the connection for an answer that is still to come: some callers close their half at once."""
        self._half_closed = True
        return self.due is not None

    def answered(self) -> None:
        """Record that a request is answered."""
        self.due = None
        if self._half_closed:
            self.transport.close()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


async def serve_aiohttp_bounded(port: int) -> None:
    guards: dict[asyncio.BaseTransport, Guard] = {}
    strangers: dict[Guard, None] = {}

    def take(request: Request) -> asyncio.Future[None]:
        return committed(request.body)

    names = ListenerNames("callbacks", "the load", "callers", "messages", "internal")
    listener = CallbackListener(names, Callbacks(), take, lambda _name: None)
    listener._path = PATH.encode()  # noqa: SLF001  # it is not started: only its rules are used

    async def handle(received: web.BaseRequest) -> web.Response:
        assert received.transport is not None
        guard = guards[received.transport]
        headers = {name.lower(): value for name, value in received.headers.items()}
        request = Request(received.method, received.raw_path, headers, b"", str(received.remote))
        answer = listener.refuse(request)
        if answer is None:
            strangers.pop(guard, None)
            if "expect" in headers:
                await received.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.body = await received.read()
            guard.due = None
            answered = asyncio.get_running_loop().create_future()
            listener.answer(request, answered.set_result)
            answer = await answered
        guard.answered()
        return web.Response(status=answer.status, body=answer.body or None, headers=dict(answer.headers))

    server = web.Server(handle, access_log=None)
    await asyncio.get_running_loop().create_server(lambda: Guard(server(), guards), "127.0.0.1", port)


async def serve_uvicorn(port: int) -> None:
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    from uvicorn.server import ServerState

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "POST" or not scope["path"].endswith(PATH):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        await committed(body)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        app, http="httptools", access_log=False, interface="asgi3", lifespan="off", ws="none", timeout_keep_alive=3600
    )
    config.load()
    state = ServerState()
    await asyncio.get_running_loop().create_server(
        lambda: HttpToolsProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", port
    )


async def main() -> None:
    serve = {
        "bridge": serve_bridge,
        "aiohttp": serve_aiohttp,
        "aiohttp-bounded": serve_aiohttp_bounded,
        "uvicorn": serve_uvicorn,
    }[sys.argv[1]]
    await serve(int(sys.argv[2]))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
