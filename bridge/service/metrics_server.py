"""Where Prometheus may scrape, if the configuration names an address."""

from aiohttp import web

from bridge.errors import ConfigurationError
from bridge.metrics import Metrics


class MetricsServer:
    """Serves `/metrics` from `start` to `stop`; does nothing without an address."""

    def __init__(self, metrics: Metrics, address: tuple[str, int] | None) -> None:
        self._metrics = metrics
        self._address = address
        app = web.Application()
        app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self) -> None:
        if self._address is None:
            return
        await self._runner.setup()
        host, port = self._address
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(
                f"[service] metrics_listen: {error.strerror or error}; end the program that has it, "
                "or name another port"
            ) from error

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _scrape(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), content_type="text/plain")
