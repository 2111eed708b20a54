"""A JSON API over HTTP, on TCP or a Unix socket: how a set-up is looked at and moved."""

import socket as sockets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import aiohttp

Dialler = Callable[[Any], sockets.socket]
"""Returns a socket for a connection to an address, as `socket.getaddrinfo` describes it; needs aiohttp 3.12."""


class ApiError(Exception):
    """The other side answered with an error; `status` and its own words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Api:
    """One base URL; with `socket`, the path of a Unix socket behind it; with `dialler`, sockets from there."""

    def __init__(self, base: str, socket: str | None = None, dialler: Dialler | None = None) -> None:
        self.base = base.rstrip("/")
        # Each request has a connection of its own: a jump of virtual time may close an idle one under a request.
        connector: aiohttp.BaseConnector
        if socket:
            connector = aiohttp.UnixConnector(socket, force_close=True)
        elif dialler:
            connector = aiohttp.TCPConnector(force_close=True, socket_factory=dialler)
        else:
            connector = aiohttp.TCPConnector(force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    async def close(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Return the answer's JSON, or its text. Raises ApiError, or OSError without a complete answer."""
        params = {name: str(value) for name, value in query.items() if value is not None}
        try:
            async with self._session.request(method, self.base + path, json=body, params=params) as response:
                if response.status >= 400:  # noqa: PLR2004 - HTTP errors
                    raise ApiError(response.status, await response.text())
                return await response.json() if response.content_type == "application/json" else await response.text()
        except aiohttp.ServerDisconnectedError as error:
            raise ConnectionResetError(str(error)) from error

    async def get(self, path: str, **query: Any) -> Any:
        return await self.ask("GET", path, **query)

    async def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return await self.ask("POST", path, {} if body is None else body, **query)
