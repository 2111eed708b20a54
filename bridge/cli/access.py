"""How a command reaches the ledger: the running service through its local socket, or the file when it is down."""

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import click
from yarl import URL

from bridge.config import Config

T = TypeVar("T")


class Client:
    """Speaks to a local socket. What the service refuses is shown as it says it."""

    def __init__(self, session: aiohttp.ClientSession, *, running: bool) -> None:
        self._session = session
        self.running = running

    async def ask(self, method: str, path: str, body: Any = None, *, content: bytes | None = None, **query: Any) -> Any:
        """Give the answer's JSON, or text. Raises ClickException with the service's own words."""
        params = {name: str(value) for name, value in query.items() if value is not None}
        url = URL(f"http://bridge{path}", encoded=True)
        async with self._session.request(method, url, json=body, data=content, params=params) as response:
            said = await (response.json() if response.content_type == "application/json" else response.text())
            if response.status < 400:  # noqa: PLR2004  # HTTP errors
                return said
            error = said.get("error") if isinstance(said, dict) else None
            raise click.ClickException(error or f"the service failed (status {response.status}); its log says why")


@contextlib.asynccontextmanager
async def connect(config: Config) -> AsyncIterator[Client]:
    """Reach the running service; if there is none, open the ledger here and serve the same requests from it."""
    async with contextlib.AsyncExitStack() as stack:
        socket = config.control_socket
        running = await _answers(socket)
        if not running:
            from bridge.service.control import Control
            from bridge.service.service import Service

            logging.getLogger().setLevel(logging.WARNING)
            service = Service(config)
            await service.open_ledger()
            stack.push_async_callback(service.stop)
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            socket = Path(directory) / "control.sock"
            control = Control(service, socket)
            await control.start()
            stack.push_async_callback(control.stop)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=aiohttp.ClientTimeout(None))
        )
        yield Client(session, running=running)


async def _answers(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def use(config: Config, work: Callable[[Client], Awaitable[T]]) -> T:
    """Run `work` with a client, to the end. Raises ClickException or a BridgeError."""

    async def inner() -> T:
        async with connect(config) as client:
            return await work(client)

    try:
        return asyncio.run(inner())
    except aiohttp.ClientError as error:
        raise click.ClickException(f"the service went away meanwhile ({type(error).__name__}); try again") from error


def endpoint_path(name: str) -> str:
    """Give the path of an endpoint, whatever characters its name has."""
    return f"/endpoints/{quote(name, safe='')}"
