"""The listener of the REST API.

Every answer is JSON; an error is a problem document (RFC 9457). A caller sends a key in a header, or the cookie of a
session that the dashboard began with a key. A browser sends that cookie for other pages of the same host, too: so
requests of another origin are refused, and for a change the browser must say that the page is the API's own.
"""

import asyncio
import hashlib
import http
import logging
import ssl
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from functools import cache, partial
from typing import Any

import msgspec
from aiohttp import web

from bridge.control.dashboard.sessions import COOKIE
from bridge.control.dashboard.site import Site
from bridge.control.rest.callers import Callers
from bridge.control.rest.openapi import described
from bridge.control.rest.problem import CONTENT_TYPE, problem_of
from bridge.control.rest.reading import Reader
from bridge.control.rest.routes import ROUTES, VERSION, Route
from bridge.control.rest.stream import Streams, last_event_id, stream, wants_stream
from bridge.errors import (
    AccessDenied,
    BridgeError,
    LimitReached,
    Outdated,
    RequestError,
    ServiceFailed,
    TooManyGuesses,
    UnknownCaller,
)
from bridge.listening import Listening
from bridge.operations.access import Caller
from bridge.operations.bridge import Bridge
from bridge.operations.registry import OPERATIONS, carried_out
from bridge.operations.types.events import ListEvents

log = logging.getLogger(__name__)

LARGEST_REQUEST = 64 * 1024 * 1024  # bytes: an import of some 300 000 endpoints
_JSON = "application/json"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_RETRY = "10"  # seconds
STOP = 2.0  # seconds

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestApi:
    """Serves the API of a bridge from `start` to `stop`; does nothing without an address."""

    def __init__(
        self,
        bridge: Bridge,
        address: tuple[str, int] | None,
        context: ssl.SSLContext | None,
        origins: Collection[str],
        count: Callable[..., None],
    ) -> None:
        """`context`: None for plain HTTP. `origins`: further origins whose pages may call the API."""
        self._bridge = bridge
        self._first = address, context
        self._origins = frozenset(origins)
        self._count = count
        self._callers = Callers(bridge, asyncio.get_running_loop().time)
        self.streams = Streams()
        self._changing = asyncio.Lock()  # held between the comparison of an If-Match and the change
        app = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[self._answered])
        for route in ROUTES:
            app.router.add_route(route.method, VERSION + route.path, self._handler(route))
        app.router.add_route("GET", f"{VERSION}/openapi.json", self._describe)
        Site(bridge, self._callers).add_to(app)
        app.on_shutdown.append(self._end_streams)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=STOP)
        self._listening = Listening(self._runner, "[api] listen")

    async def start(self) -> None:
        """Listen. Raises ConfigurationError with the reason."""
        await self._listening.at(*self._first)

    def moving(
        self, address: tuple[str, int] | None, context: ssl.SSLContext | None
    ) -> AbstractAsyncContextManager[None]:
        """Listen at another address, or nowhere: see `Listening.moving`. Raises ConfigurationError with the reason."""
        return self._listening.moving(address, context)

    @property
    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context that new connections get; None: there is none."""
        return self._listening.context

    def allow_origins(self, origins: Collection[str]) -> None:
        """Set the further origins whose pages may call the API."""
        self._origins = frozenset(origins)

    async def stop(self) -> None:
        """Close the listener; streams are ended at once, other requests have STOP seconds to be answered."""
        await self._runner.cleanup()

    async def _end_streams(self, _app: web.Application) -> None:
        self.streams.end()

    # -- one request ---------------------------------------------------------------------------------------------

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer every request, also if it fails, and count the answer."""
        try:
            self._check_origin(request)
            answer = await handler(request)
        except BridgeError as error:
            if isinstance(error, UnknownCaller | TooManyGuesses):
                self._note_refused(request, error)
            answer = _problem(error, error.http_status)
        except web.HTTPException as error:
            answer = _problem(RequestError(_explained(error)), error.status)
            if "Allow" in error.headers:
                answer.headers["Allow"] = error.headers["Allow"]
        except Exception:
            log.exception("%s failed because of a bug in the bridge", request.path, extra={"sample": "api"})
            answer = _problem(ServiceFailed("the service failed to do this; its log says why"), 500)
        self._count("api_requests", status=str(answer.status))
        return answer

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if origin is None or origin in self._origins or origin == f"{request.scheme}://{request.host}":
            return
        if _is_own_page(request):  # behind a proxy that does TLS
            return
        raise AccessDenied(
            f"pages of {origin[:100]} may not call the API; list that origin in allowed_origins of [api]"
        )

    def _handler(self, route: Route) -> Handler:
        reader = Reader(route)
        operation = OPERATIONS[route.request.NAME]
        required = None if route.conditional is None else OPERATIONS[route.conditional.NAME]

        async def handle(request: web.Request) -> web.StreamResponse:
            caller = await self._holder(request)
            if not caller.role.covers(operation.access):
                raise AccessDenied(
                    f"{operation.name} needs the role {operation.access}, and key {caller.id} has {caller.role}"
                )
            body = await request.read() if request.can_read_body else None
            if body and request.content_type != _JSON:
                return _problem(RequestError(f"the body must be {_JSON}"), 415)
            asked = reader.request(request.match_info, [*request.query.items()], body, [*request.headers.items()])
            if isinstance(asked, ListEvents) and wants_stream(request):
                return await self._stream(request, asked, caller)
            wanted = request.headers.get("If-Match")
            if required is None or wanted is None:
                result = await carried_out(self._bridge, operation, asked, str(caller), caller.role)
            else:
                async with self._changing:
                    before = required.request(request.match_info["name"])
                    self._compare(wanted, await required.carry_out(self._bridge, before))
                    result = await carried_out(self._bridge, operation, asked, str(caller), caller.role)
            return _located(_result(request, msgspec.json.encode(result), _status(route, result)), route, result)

        return handle

    async def _holder(self, request: web.Request) -> Caller:
        authorization, cookie = request.headers.get("Authorization", ""), request.cookies.get(COOKIE)
        if authorization or cookie is None:
            return await self._callers.holder(authorization, request.remote or "")
        _check_page(request)
        return await self._callers.holder_of_session(cookie)

    def _note_refused(self, request: web.Request, error: BridgeError) -> None:
        kind = type(error).__name__
        self._count("api_callers_refused", error=kind)
        log.warning(
            "a request to the API is refused", extra={"peer": request.remote, "why": kind, "sample": "api caller"}
        )

    def _compare(self, wanted: str, found: object) -> None:
        tags = {tag.strip() for tag in wanted.split(",")}
        if "*" not in tags and _tag(msgspec.json.encode(found)) not in tags:
            raise Outdated("it was changed since it was read (If-Match); read it again")

    async def _stream(self, request: web.Request, asked: ListEvents, caller: Caller) -> web.StreamResponse:
        with self.streams.one_of(caller.id):
            allowed = partial(self._callers.is_still, caller)
            return await stream(self._bridge, request, last_event_id(request, asked), allowed)

    async def _describe(self, request: web.Request) -> web.Response:
        return _result(request, _description(), 200)


@cache
def _description() -> bytes:
    """Return the description of the API, made when somebody first asks for it: a start does not wait for that."""
    return msgspec.json.encode(described())


def _is_own_page(request: web.Request) -> bool:
    """Return whether the browser says that the calling page has the API's own origin; no page can set this header."""
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def _check_page(request: web.Request) -> None:
    """Refuse a request with a cookie that another page may have made. Raises AccessDenied.

    Every browser sends the origin of a page that requests a change; `_check_origin` has compared it.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    changes = request.method not in {"GET", "HEAD"}
    if site != "same-origin" or (changes and "Origin" not in request.headers and not _is_own_page(request)):
        raise AccessDenied("a session is for the dashboard's own pages; other callers send a key")


def _status(route: Route, result: Any) -> int:
    return route.status if route.pending is None or result.over else route.pending


def _located(answer: web.Response, route: Route, result: Any) -> web.Response:
    if route.location:
        answer.headers["Location"] = VERSION + route.location.format(id=result.id)
    return answer


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _result(request: web.Request, body: bytes, status: int) -> web.Response:
    if request.method != "GET":
        return web.Response(body=body, status=status, content_type=_JSON, headers=_HEADERS)
    tag = _tag(body)
    headers = {**_HEADERS, "Cache-Control": "private, no-cache", "ETag": tag}
    if tag in {one.strip() for one in request.headers.get("If-None-Match", "").split(",")}:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, status=status, content_type=_JSON, headers=headers)


def _problem(error: BridgeError, status: int) -> web.Response:
    body = msgspec.json.encode(problem_of(error, status))
    answer = web.Response(body=body, status=status, content_type=CONTENT_TYPE, headers=_HEADERS)
    if isinstance(error, UnknownCaller):
        answer.headers["WWW-Authenticate"] = 'Bearer realm="lwm2m-bridge"'
    elif isinstance(error, TooManyGuesses | LimitReached):
        answer.headers["Retry-After"] = _RETRY
    return answer


def _explained(error: web.HTTPException) -> str:
    if error.status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return f"a request has at most {LARGEST_REQUEST} bytes; send it in parts"
    if error.status == http.HTTPStatus.NOT_FOUND:
        return f"there is no such path; {VERSION}/openapi.json lists all paths"
    return str(error.reason)
