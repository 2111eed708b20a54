"""Serves /metrics, /healthz and /readyz, if the configuration names an address for them."""

from contextlib import AbstractAsyncContextManager

from aiohttp import web

from bridge.listening import Listening
from bridge.metrics import CONTENT_TYPE
from bridge.operations.bridge import Bridge


class MetricsServer:
    """Serves metrics and probes from `start` to `stop`; does nothing without an address.

    `/healthz` is answered 200 as long as the event loop runs: a probe without an answer is the sign to restart it.
    `/readyz` is answered 200 while messages are accepted and committed, else 503 with the reason.
    """

    def __init__(self, bridge: Bridge, address: tuple[str, int] | None) -> None:
        self._bridge = bridge
        self._address = address
        app = web.Application()
        app.router.add_get("/metrics", self._scrape)
        app.router.add_get("/healthz", self._healthy)
        app.router.add_get("/readyz", self._ready)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        self._listening = Listening(self._runner, "[service] metrics_listen")

    async def start(self) -> None:
        """Listen. Raises ConfigurationError with the reason."""
        await self._listening.at(self._address, None)

    def moving(self, address: tuple[str, int] | None) -> AbstractAsyncContextManager[None]:
        """Listen at another address, or nowhere: see `Listening.moving`. Raises ConfigurationError with the reason."""
        return self._listening.moving(address, None)

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _scrape(self, _request: web.Request) -> web.Response:
        return web.Response(body=await self._bridge.metrics_text(), headers={"Content-Type": CONTENT_TYPE})

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.json_response({"phase": self._bridge.readiness().phase})

    async def _ready(self, _request: web.Request) -> web.Response:
        found = self._bridge.readiness()
        body = {"ready": found.ready, "phase": found.phase, "reason": found.reason}
        return web.json_response(body, status=200 if found.ready else 503)
