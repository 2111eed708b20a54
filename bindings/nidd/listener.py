"""The listener for notifications: one server, one URL for all configurations of a network instance.

One URL, not one for each configuration: the path proves no more than that the caller knows our secret, the
configuration named in the body is checked against the records anyway, and a changed URL is one value to compare when
configurations are adopted.

Answers (R29): 204 when the event is committed, or when an authentic notification for a known configuration cannot be
used (refusing it could cost the device its connection); 503 when the store cannot take it; 404 for a wrong path or an
unknown configuration; 401, 405, 413, 400 for callers that are not the SCEF or do not speak T8.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from bindings.nidd.auth import basic
from bindings.nidd.models import Notification, TolerantNotification, decode_data, decode_notification, decode_tolerant
from bindings.nidd.settings import Callbacks
from bindings.nidd.tls import server_context
from bridge.errors import BindingError, ConfigurationError, NotificationError, StoreUnavailable

log = logging.getLogger(__name__)

_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
_BACKLOG = 1024
_CONNECTIONS = 1024  # at the same time; a SCEF keeps some tens
_PATIENCE = 20.0  # seconds for the head of a connection's first request, and for the body of each
_SAMPLE = 100  # one log line for this many refused callers

Handler = Callable[[Notification, bytes | None], Awaitable[None]]
"""Commits one notification; the second argument is its decoded data. Raises NotificationError or StoreUnavailable."""


def _nothing(_: str) -> None:
    pass


class Listener:
    """Takes notifications for `handler`. `count` is told the name of what an operator should see."""

    def __init__(self, settings: Callbacks, handler: Handler, count: Callable[[str], None] = _nothing) -> None:
        self._settings = settings
        self._handler = handler
        self._count = count
        self._ssl = server_context(settings.certificate, settings.key, settings.client_ca)
        self._expected = _expected_authorization(settings)
        self._path = ""
        self._runner: web.ServerRunner | None = None
        self._refused = 0
        self.taken = 0
        self.url = ""

    async def start(self, secret: str) -> None:
        """Listen; `url` is then what the SCEF/NEF must be told. Raises BindingError or ConfigurationError."""
        settings = self._settings
        if settings.public_url:
            base = settings.public_url.rstrip("/")
            if not base.startswith(("http://", "https://")):
                raise ConfigurationError("callbacks.public_url must start with http:// or https://")
        elif settings.bind in _WILDCARDS:
            raise ConfigurationError(
                f"callbacks.public_url is empty and bind {settings.bind!r} is no address to be reached at: "
                "set public_url to how the SCEF/NEF reaches this machine"
            )
        # A reverse proxy may strip or keep the prefix of public_url: the last segment decides.
        self._path = "/" + secret
        limit = settings.max_body

        def request(
            message: RawRequestMessage,
            payload: StreamReader,
            protocol: RequestHandler,
            writer: AbstractStreamWriter,
            task: "asyncio.Task[None]",
        ) -> web.BaseRequest:
            loop = asyncio.get_running_loop()
            server.heard(protocol)
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=limit)

        server = _PatientServer(self._handle, self._count, request)
        self._runner = web.ServerRunner(server, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, settings.bind, settings.port, ssl_context=self._ssl, backlog=_BACKLOG, reuse_address=True
        )
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise BindingError(
                f"callbacks: cannot listen on {settings.bind} port {settings.port}: {error.strerror or error}; "
                "is another process using it?"
            ) from error
        if not settings.public_url:
            host, port = self.address
            base = f"{'https' if self._ssl else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        self.url = base + self._path

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
            return self._refuse(404, "nidd_callbacks_wrong_path", request)
        if self._expected is not None:
            shown = request.headers.get("Authorization", "")
            if not hmac.compare_digest(shown.encode(errors="replace"), self._expected):
                return self._refuse(401, "nidd_callbacks_wrong_credentials", request)
        if request.method != "POST":
            return self._refuse(405, "nidd_callbacks_wrong_method", request)
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(413, "nidd_callbacks_too_large", request)
        except TimeoutError:
            return self._refuse(408, "nidd_callbacks_too_slow", request)
        except (ConnectionError, web.RequestPayloadError):
            return self._refuse(400, "nidd_callbacks_cut_off", request)  # nobody is there to read it
        try:
            notification, data = _read(body)
            await self._handler(notification, data)
        except NotificationError as error:
            self._count("nidd_notifications_refused")
            log.warning("notification answered %d: %s", error.http_status, error)
            return _problem(error.http_status, str(error))
        except StoreUnavailable as error:
            log.warning("notification answered 503: %s", error)
            self._count("nidd_notifications_store_unavailable")
            return _problem(503, "cannot be stored now; send it again later", {"Retry-After": "5"})
        except Exception:
            log.exception("notification answered 500: a mistake in the bridge")
            self._count("nidd_internal_errors")
            return _problem(500, "internal error")
        self.taken += 1
        return web.Response(status=204)

    def _refuse(self, status: int, what: str, request: web.BaseRequest) -> web.StreamResponse:
        self._count(what)
        if self._refused % _SAMPLE == 0:
            log.warning("callback from %s refused with %d (%s)", request.remote, status, what)
        self._refused += 1
        scheme = {"WWW-Authenticate": self._settings.kind.capitalize()} if status == 401 else {}  # noqa: PLR2004
        if status == 405:  # noqa: PLR2004
            scheme = {"Allow": "POST"}
        answer = _problem(status, what.removeprefix("nidd_callbacks_").replace("_", " "), scheme)
        if status == 408:  # noqa: PLR2004
            answer.force_close()  # the rest of that body is not waited for
        return answer


class _PatientServer(web.Server):
    """Ends what only holds connections: those that send no whole request head in time, and those beyond a number.

    Between two requests the keep-alive time of the HTTP server holds.
    """

    def __init__(
        self,
        handler: Callable[..., Awaitable[web.StreamResponse]],
        count: Callable[[str], None],
        factory: Callable[..., web.BaseRequest],
    ) -> None:
        super().__init__(handler, request_factory=factory, access_log=None)  # an access log would show the path
        self._count = count
        self._silent: dict[RequestHandler, asyncio.TimerHandle] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > _CONNECTIONS:
            self._count("nidd_callbacks_too_many")
            transport.abort()
            return
        self._silent[handler] = asyncio.get_running_loop().call_later(_PATIENCE, self._end, handler, transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        self.heard(handler)
        super().connection_lost(handler, exc)

    def heard(self, handler: RequestHandler) -> None:
        """Note that a connection has sent a request."""
        timer = self._silent.pop(handler, None)
        if timer is not None:
            timer.cancel()

    def _end(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        self._silent.pop(handler, None)
        self._count("nidd_callbacks_too_slow")
        transport.abort()


def _read(body: bytes) -> tuple[Notification, bytes | None]:
    """Read a notification; data that is no base64 reads as None with the member kept. Raises NotificationError."""
    try:
        notification = decode_notification(body)
    except msgspec.ValidationError:
        try:
            tolerant: TolerantNotification = decode_tolerant(body)
        except msgspec.ValidationError as error:
            raise NotificationError(f"no T8 notification: {error}") from error
        if tolerant.data is None:
            return tolerant, None
        return tolerant, decode_data(tolerant.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotificationError(f"not JSON: {error}") from error
    return notification, notification.data


def _problem(status: int, title: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode({"title": title, "status": status}),
        content_type="application/problem+json",
        headers=headers,
    )


def _expected_authorization(settings: Callbacks) -> bytes | None:
    match settings.kind:
        case "basic":
            if not settings.username or not settings.password:
                raise ConfigurationError("callbacks.kind is basic: set callbacks.username and callbacks.password")
            return basic(settings.username, settings.password).encode()
        case "bearer":
            if not settings.token:
                raise ConfigurationError("callbacks.kind is bearer: set callbacks.token")
            return f"Bearer {settings.token}".encode()
        case _:
            return None
