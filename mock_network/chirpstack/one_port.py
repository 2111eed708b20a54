"""One port for gRPC and gRPC-Web, as ChirpStack has it: the first bytes of a connection tell which it is."""

import asyncio
import contextlib
from typing import Any
from urllib.parse import quote

import grpc
from aiohttp import web

_HTTP_2 = b"PRI * HTTP/2.0"  # RFC 9113 §3.4
_CHUNK = 65536  # bytes
_HEAD = 5  # bytes: flag and length before each message
_TRAILERS = b"\x80"
_KIND = "application/grpc-web"


class OnePort:
    """Listens, and passes connections on to the gRPC server at `grpc_port`, or serves them as gRPC-Web itself."""

    def __init__(self, grpc_port: int) -> None:
        self._grpc_port = grpc_port
        self._web_port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.calls = 0  # gRPC-Web calls under way
        self._server: asyncio.Server | None = None
        self._web: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port. Raises OSError."""
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{self._grpc_port}")
        app = web.Application(client_max_size=4 << 20)
        app.router.add_route("*", "/{tail:.*}", self._request)
        self._web = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.0, access_log=None)
        await self._web.setup()
        await web.TCPSite(self._web, "127.0.0.1", 0).start()
        self._web_port = self._web.addresses[0][1]
        self._server = await asyncio.start_server(self._accept, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._web is not None:
            await self._web.cleanup()
            await self._channel.close()

    # Connections

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_on(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                first = await reader.read(_CHUNK)
                while len(first) < len(_HTTP_2) and _HTTP_2.startswith(first) and (more := await reader.read(_CHUNK)):
                    first += more  # a POST begins like it, too
                port = self._grpc_port if _HTTP_2.startswith(first[: len(_HTTP_2)]) else self._web_port
                onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    onward_writer.write(first)
                    ways = (_copy(reader, onward_writer), _copy(onward_reader, writer))
                    await asyncio.wait([asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    onward_writer.close()
        finally:
            writer.close()

    # gRPC-Web

    async def _request(self, request: web.Request) -> web.StreamResponse:
        kind = request.headers.get("Content-Type", "")
        if request.method != "POST" or not kind.startswith(_KIND):
            return web.Response(
                text="<p>The web interface of a ChirpStack would be here.</p>", content_type="text/html"
            )
        message = (await request.read())[_HEAD:]
        metadata = [("authorization", request.headers.get("Authorization", ""))]
        method: Any = self._channel.unary_stream(request.path)
        call = method(message, metadata=metadata)
        answer = web.StreamResponse(headers={"Content-Type": f"{_KIND}+proto"})
        self.calls += 1
        try:
            async for part in call:
                if not answer.prepared:
                    await answer.prepare(request)
                await answer.write(_framed(b"\0", part))
        except grpc.aio.AioRpcError as error:
            code, text = error.code().value[0], quote(error.details() or "")
            if not answer.prepared:  # a status without messages stands in the headers
                answer.headers.update({"grpc-status": str(code), "grpc-message": text})
                await answer.prepare(request)
            else:
                await answer.write(_framed(_TRAILERS, f"grpc-status:{code}\r\ngrpc-message:{text}\r\n".encode()))
        else:
            if not answer.prepared:
                await answer.prepare(request)
            await answer.write(_framed(_TRAILERS, b"grpc-status:0\r\n"))
        finally:
            call.cancel()
            self.calls -= 1
        await answer.write_eof()
        return answer


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


def _framed(flag: bytes, content: bytes) -> bytes:
    return flag + len(content).to_bytes(4) + content
