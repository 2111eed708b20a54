"""A listener of aiohttp that can move to another address while connections are open."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from bindings.http.handshakes import Handshakes
from bridge.errors import ConfigurationError

_log = logging.getLogger("bridge.listening")

HANDSHAKE = 10.0  # seconds that a TLS handshake may take

Address = tuple[str, int]


class Listening:
    """Where an application is served: nowhere, or at one address with TLS or without."""

    def __init__(self, runner: web.AppRunner, setting: str) -> None:
        """`setting` names the address to people."""
        self._runner = runner
        self._setting = setting
        self._site: _Site | None = None
        self._address: Address | None = None
        self.context: ssl.SSLContext | None = None  # of new connections

    async def at(self, address: Address | None, context: ssl.SSLContext | None) -> None:
        """Do what `moving` does, for a caller with nothing else to do. Raises ConfigurationError."""
        async with self.moving(address, context):
            pass

    @contextlib.asynccontextmanager
    async def moving(self, address: Address | None, context: ssl.SSLContext | None) -> AsyncIterator[None]:
        """Listen at another address, or nowhere. Connections that are there stay, and requests are answered.

        In the block it listens at both addresses, if they can be open together; the former one is closed after it.
        Where the block raises, it listens where it did before. Where the address stays, and TLS or its absence, nothing
        is opened or closed. Raises ConfigurationError: then it listens where it did before.
        """
        if address == self._address and (context is None) is (self.context is None):
            yield
            return
        site = None if address is None else await self._opened_beside(address, context)
        try:
            yield
        except BaseException:
            if site is not None:
                await site.stop()
            await self._return()
            raise
        former, self._site = self._site, site
        self._address, self.context = address, context
        if former is not None:
            await former.stop()

    async def _opened_beside(self, address: Address, context: ssl.SSLContext | None) -> "_Site":
        """Return a site beside the present one, or instead of it where both are in each other's way."""
        try:
            return await self._opened(address, context)
        except ConfigurationError:
            if self._site is None or self._address is None or address[1] != self._address[1]:
                raise
            await self._site.stop()  # the port may be taken by this site itself
            self._site = None
        try:
            return await self._opened(address, context)
        except ConfigurationError:
            await self._return()
            raise

    async def _return(self) -> None:
        """Listen at the present address again, if the site there made way for another. Raises ConfigurationError."""
        if self._site is None and self._address is not None:
            address, self._address = self._address, None  # if it fails, it listens nowhere
            self._site = await self._opened(address, self.context)
            self._address = address

    async def _opened(self, address: Address, context: ssl.SSLContext | None) -> "_Site":
        if self._runner.server is None:
            await self._runner.setup()
        host, port = address
        site = _Site(self._runner, host, port, context)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            raise ConfigurationError(
                f"{self._setting}: {error.strerror or error}; end the program that uses it, or choose another port"
            ) from error
        return site


class _Site(web.BaseSite):
    """As `aiohttp.web.TCPSite`, with TLS handshakes limited in number: silent callers must not take every place."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__(runner, ssl_context=context)
        self._host, self._port = host, port
        self._handshakes: Handshakes | None = None

    @property
    def name(self) -> str:
        """Return the URL."""
        scheme = "http" if self._ssl_context is None else "https"
        return f"{scheme}://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await super().start()
        server = self._runner.server
        if server is None:
            raise AssertionError("the runner is set up first")
        make: Callable[[], asyncio.Protocol] = server
        if self._ssl_context is not None:
            self._handshakes = Handshakes(self._ssl_context, HANDSHAKE, server, self._connection_refused)
            make = self._handshakes.accept
        self._server = await asyncio.get_running_loop().create_server(
            make, self._host, self._port, backlog=self._backlog
        )

    async def stop(self) -> None:
        """Listen no more; handshakes end, and connections stay."""
        await super().stop()
        if self._handshakes is not None:
            self._handshakes.stop()

    def _connection_refused(self, why: str, remote: str) -> None:
        _log.warning(
            "a caller was turned away during its TLS handshake: too many are under way",
            extra={"from": remote, "why": why, "sample": "handshake"},
        )
