"""The listener for ChirpStack's HTTP integration: one URL with an unguessable path, `?event=` says what comes.

Answers: 200 when the event is committed, or when it is authentic and of no use; 503 when the store cannot take it; 400
for what is no event of ChirpStack; 404, 405, 413 for other callers. ChirpStack posts each event once and only logs
what it is answered, so that a refusal is for people; `StreamDeviceEvents` brings back what was lost.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from bindings.lorawan.settings import Http
from bridge.errors import BindingError, ConfigurationError, NotificationError, StoreUnavailable

log = logging.getLogger(__name__)

_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
_BACKLOG = 1024

Take = Callable[[str, bytes], Awaitable[None]]
"""Commits one event: its kind and body. Raises NotificationError or StoreUnavailable."""


class HttpEvents:
    """Takes events for `take`. `count` is told the name of what an operator should see."""

    def __init__(self, settings: Http, take: Take, count: Callable[[str], None]) -> None:
        self._settings = settings
        self._take = take
        self._count = count
        self._path = ""
        self._runner: web.ServerRunner | None = None
        self.taken = 0
        self.probes: set[str] = set()  # self-checks that wait to arrive
        self.url = ""

    async def start(self, secret: str) -> None:
        """Listen; `url` is then what ChirpStack must be told. Raises BindingError or ConfigurationError."""
        settings = self._settings
        base = settings.public_url.rstrip("/")
        if base and not base.startswith(("http://", "https://")):
            raise ConfigurationError("http.public_url must start with http:// or https://")
        if not base and settings.bind in _WILDCARDS:
            raise ConfigurationError(
                f"http.public_url is empty and bind {settings.bind!r} is no address to be reached at: "
                "set public_url to how ChirpStack reaches this machine"
            )
        self._path = "/" + secret
        server = web.Server(self._handle, request_factory=self._request, access_log=None)  # it would show the path
        self._runner = web.ServerRunner(server, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, settings.bind, settings.port, backlog=_BACKLOG, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise BindingError(
                f"events: cannot listen on {settings.bind} port {settings.port}: {error.strerror or error}; "
                "is another process using it?"
            ) from error
        if not base:
            host, port = self.address
            base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.url = base + self._path

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=self._settings.max_body)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        if self._runner is None:
            return self._settings.bind, self._settings.port
        host, port = self._runner.addresses[0][:2]
        return str(host), int(port)

    async def stop(self) -> None:
        """Accept nothing more, and answer what is being worked on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        last = request.rel_url.raw_path[-len(self._path) :]
        if not hmac.compare_digest(last.encode(), self._path.encode()):
            return self._refuse(404, "lorawan_events_wrong_path")
        if request.method != "POST":
            return self._refuse(405, "lorawan_events_wrong_method")
        kind = request.query.get("event", "")
        if kind == "self-check":
            self.probes.discard(request.query.get("probe", ""))
            return web.Response()
        try:
            body = await request.read()
            await self._take(kind, body)
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(413, "lorawan_events_too_large")
        except NotificationError as error:
            log.warning("event answered 400: %s", error, extra={"sample": "lorawan event"})
            return web.Response(status=400, text=str(error))
        except StoreUnavailable as error:
            log.warning("event answered 503: %s", error, extra={"sample": "lorawan store"})
            self._count("lorawan_events_store_unavailable")
            return web.Response(status=503, text="cannot be stored now", headers={"Retry-After": "5"})
        except Exception:
            log.exception("event answered 500: a mistake in the bridge")
            self._count("lorawan_internal_errors")
            return web.Response(status=500)
        self.taken += 1
        return web.Response()

    def _refuse(self, status: int, what: str) -> web.StreamResponse:
        self._count(what)
        log.warning("event refused with %d (%s)", status, what, extra={"sample": what})
        return web.Response(status=status)
