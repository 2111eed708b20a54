"""Clients that call operations: of the running service through its local socket, or of a bridge in this process."""

from pathlib import Path
from typing import Self, TypeVar

import aiohttp
import msgspec

from bridge import errors
from bridge.errors import BridgeError, NotRunning, RequestError, ServiceFailed
from bridge.operations.bridge import Bridge
from bridge.operations.registry import call
from bridge.operations.types.request import Problem, Request, result_type

R = TypeVar("R")


class SocketClient:
    """Calls operations of the service behind a local socket. Use it as an asynchronous context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(path)), timeout=aiohttp.ClientTimeout(None)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._session.close()

    async def ask(self, request: Request[R]) -> R:
        """Return the result of an operation. Raises the BridgeError that it raised, NotRunning if nobody answers."""
        url = f"http://bridge/{request.NAME}"
        try:
            async with self._session.post(url, data=_body(request)) as response:
                answer, ok = await response.read(), response.ok
        except aiohttp.ClientError as error:
            raise NotRunning(f"nobody answers at {self._path} ({type(error).__name__})") from error
        if not ok:
            raise _error(answer)
        result: R = msgspec.json.decode(answer, type=result_type(type(request)))
        return result


class DirectClient:
    """Calls operations of a bridge in this process, with the same encoding as through a socket."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def ask(self, request: Request[R]) -> R:
        """Return the result of an operation. Raises the BridgeError that it raised."""
        answer = await call(self._bridge, request.NAME, _body(request))
        result: R = msgspec.json.decode(answer, type=result_type(type(request)))
        return result


def _body(request: Request[R]) -> bytes:
    """Return a request as JSON. Raises RequestError for a text that is no UTF-8, such as an argument of a command."""
    try:
        return msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        raise RequestError(f"a text of the request is not UTF-8: {error.object[:40]!r}") from None


def _error(answer: bytes) -> BridgeError:
    """Return the error that the other side raised."""
    try:
        problem = msgspec.json.decode(answer, type=Problem)
    except (msgspec.DecodeError, UnicodeError):
        return ServiceFailed(f"the service answered {answer[:200]!r}; its log may say why")
    kind = getattr(errors, problem.error, None)
    if isinstance(kind, type) and issubclass(kind, BridgeError):
        return kind(problem.detail)
    return ServiceFailed(problem.detail)
