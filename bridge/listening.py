"""A listener of aiohttp that can move to another address while connections are open."""

import contextlib
import ssl
from collections.abc import AsyncIterator

from aiohttp import web

from bridge.errors import ConfigurationError

Address = tuple[str, int]


class Listening:
    """Where an application is served: nowhere, or at one address with TLS or without."""

    def __init__(self, runner: web.AppRunner, setting: str) -> None:
        """`setting` names the address to people."""
        self._runner = runner
        self._setting = setting
        self._site: web.TCPSite | None = None
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

    async def _opened_beside(self, address: Address, context: ssl.SSLContext | None) -> web.TCPSite:
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

    async def _opened(self, address: Address, context: ssl.SSLContext | None) -> web.TCPSite:
        if self._runner.server is None:
            await self._runner.setup()
        host, port = address
        site = web.TCPSite(self._runner, host, port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            raise ConfigurationError(
                f"{self._setting}: {error.strerror or error}; end the program that uses it, or choose another port"
            ) from error
        return site
