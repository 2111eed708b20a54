"""A listener of aiohttp that can move to another address while connections are open."""

import ssl

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
        """Listen at another address, or nowhere. Connections that are there stay, and requests are answered.

        Where the address stays, and TLS or its absence, nothing is opened or closed. Raises ConfigurationError: then
        it listens where it did.
        """
        same_place = address == self._address
        if same_place and (context is None) is (self.context is None):
            return
        before = self._site
        if before is not None and (same_place or address is None):
            await before.stop()  # one port is not for two
            before = self._site = self._address = None
        if address is not None:
            self._site = await self._opened(address, context)
        self._address, self.context = address, context
        if before is not None:
            await before.stop()

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
