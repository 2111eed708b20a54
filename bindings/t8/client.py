"""Requests to a SCEF or NEF: one pool, credentials, redirects, fail-over; distinguishes *not sent* from *no answer*."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urljoin

import msgspec

from bindings.contract import Memory
from bindings.http.client import ClientLimits, HttpClient, NoAnswer, NotSent, Origin, header_lines, split
from bindings.shown_calls import Seen, device_of_call, shown_body
from bindings.t8.answer import Answer
from bindings.t8.auth import Authorization
from bindings.t8.operations import REDIRECTS, Operation
from bindings.t8.roots import ApiRoot, ApiRoots
from bindings.t8.settings import T8Settings
from bindings.t8.times import PeerClock
from bindings.tls import client_context
from bridge.errors import BindingError, ConfigurationError

log = logging.getLogger(__name__)

_ANSWER_LIMIT = 1 << 20  # bytes
_HOPS = 3  # redirects followed for one request
_PATH_CHARACTERS = "!$&'()*+,;=:@"  # in addition to the unreserved ones (RFC 3986 §3.3)
_SAMPLES = 512  # round trips kept for statistics
_ACCEPT = {"Accept": "application/json, application/problem+json"}
_OF_A_GATEWAY = {502, 503, 504}


Body = Mapping[str, Any] | Callable[[], Mapping[str, Any] | None]
"""The members of a JSON object, or a function that returns them at the last moment."""

Part = Callable[[bytes], None]
"""Takes the pieces of a body."""


class TooLate(NotSent):
    """The request's deadline had passed when it could be sent."""


class Unreached(NotSent):
    """The SCEF could not be reached; it may be at another of its apiRoots."""


class _Request(msgspec.Struct, frozen=True):
    """A request, without its apiRoot."""

    operation: Operation
    target: str  # below the apiRoot
    body: Body | None
    part: Part | None
    patience: float | None


class T8Client:
    """Requests to one SCEF or NEF, all APIs over one pool. Open with `open`, close with `close`."""

    def __init__(self, settings: T8Settings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        http = settings.http
        if http.connect_timeout >= http.request_timeout:
            raise ConfigurationError("http.connect_timeout must be less than http.request_timeout")
        self._roots = ApiRoots((settings.api_root, *settings.other_api_roots))
        self._scs_as = quote(settings.scs_as_id, safe=_PATH_CHARACTERS)
        self._connect_timeout = http.connect_timeout
        context = None
        if http.ca_bundle or http.client_certificate or settings.api_root.lower().startswith("https:"):
            context = client_context("http", http.ca_bundle, http.client_certificate, http.client_key)
        limits = ClientLimits(http.connect_timeout, http.request_timeout, http.keepalive)
        self._http = HttpClient(limits, context, http.proxy)
        try:
            header_lines(http.headers)
        except ValueError as error:
            raise ConfigurationError(f"http.headers: {error}") from None
        # Possibly keys of an API gateway: only for the configured SCEF, like credentials.
        self._headers = _ACCEPT | http.headers
        self._bare = settings.quirks.resolved.bare_answers
        self._opened = False
        self.clock = PeerClock(time.time)
        self._authorization = Authorization(settings.credentials, _seconds, http.headers)
        self._round_trips: deque[float] = deque(maxlen=_SAMPLES)
        # Requests wait here and not in the pool, so that a body which depends on the time is written after the wait.
        self._free = asyncio.Semaphore(http.pool_size)
        self.root = self._roots.first.url
        self.seen: Seen | None = None  # shows calls about a device
        self.up: bool | None = None  # whether the last request was answered; None: none was made
        self.requests = 0
        self.last_error = ""

    def open(self, now: Callable[[], float]) -> None:
        """Prepare for requests; no connection is opened yet. `now` returns our wall-clock time."""
        self.clock = PeerClock(now)
        self._opened = True

    def share_token(self, memory: Memory) -> None:
        """Use one token together with the other nodes that have the same notes. Call it after `open`."""
        self._authorization.share(memory, self.clock.now)

    async def close(self) -> None:
        """Close all connections."""
        self._opened = False
        await self._authorization.close()
        await self._http.close()

    async def ask(
        self,
        operation: Operation,
        *names: str,
        body: Body | None = None,
        part: Part | None = None,
        patience: float | None = None,
        bounded: bool = True,
    ) -> Answer:
        """Make one request when a connection is free, and return the answer.

        Redirects are followed if the operation has them; else they are answers like any other. A callable
        `body` is called when a connection is free; if it returns None, nothing is sent, and TooLate is raised.
        `part` is called with the body of a success as it comes, and the answer has none; then the caller
        limits the time. `patience`: seconds for the answer, instead of the configured ones. Without `bounded` the
        caller limits its concurrent requests, and each gets a connection.

        Raises NotSent if no apiRoot can be reached, or NoAnswer.
        """
        target = f"/{operation.api}/{self._scs_as}{operation.target(*names)}"
        request = _Request(operation, target, body, part, patience)
        if not self._opened:
            raise NotSent("not started")
        if not bounded:
            return await self._ask(request)
        if self._free.locked():
            await self._wait_for_connection(request)
        else:
            await self._free.acquire()  # at once
        try:
            return await self._ask(request)
        finally:
            self._free.release()

    async def _wait_for_connection(self, request: _Request) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._free.acquire()
        except TimeoutError:
            self.last_error = f"{request.operation.method} {request.target}: all connections are in use"
            raise NotSent(self.last_error) from None

    # Roots and redirects

    async def _ask(self, request: _Request) -> Answer:
        """Send to the first apiRoot that can be reached; a request certainly not sent to one goes to the next."""
        last: Unreached | None = None
        for root in self._roots.in_order(_seconds()):
            try:
                answer = await self._ask_root(request, root)
            except Unreached as error:
                last = error
                self._roots.failed(root, _seconds())
            except NoAnswer:
                self._roots.doubted(root, _seconds())
                raise
            else:
                if answer.status in _OF_A_GATEWAY and not answer.own:
                    self._roots.doubted(root, _seconds())
                else:
                    self._roots.worked(root)
                return answer
        raise last or NotSent("there is no apiRoot")

    async def _ask_root(self, request: _Request, root: ApiRoot) -> Answer:
        operation = request.operation
        origin, target = root.origin, root.prefix + request.target
        hops = _HOPS if operation.redirects else 0
        again: str | None = None  # another token, after a 401
        while True:
            known = self._roots.knows(origin)
            headers = (self._headers if known else _ACCEPT).copy()
            if request.body is not None:
                headers["Content-Type"] = operation.media_type
            authorization = (again or self._authorization.latest) if known else None
            if known and again is None and self._authorization.is_due:
                authorization = await self._authorized()
            if authorization is not None:
                headers["Authorization"] = authorization
            answer = await self._once(request, origin, target, headers)
            if authorization is not None and again is None and answer.asks_for_credentials:
                again = await self._authorized(refused=authorization)
                if again is not None:
                    continue
            if answer.status in REDIRECTS and answer.location and hops:
                hops -= 1
                led = _led(origin, target, answer.location)
                if led is not None:
                    origin, target = led
                    continue
            if answer.status >= 400:  # noqa: PLR2004
                elsewhere = "" if known else f" by {origin.authority}, which has no credentials of ours"
                self.last_error = f"{operation.method} {target}: {answer.status}{elsewhere}"
            return answer

    async def _authorized(self, refused: str = "") -> str | None:
        """Return the Authorization header, another one than `refused`; None if there is none. Raises NotSent."""
        try:
            if refused:
                return await self._authorization.header_after_401(self._http, refused)
            return await self._authorization.header(self._http)
        except BindingError as error:
            self.last_error = str(error)
            raise NotSent(str(error)) from error

    async def _once(self, request: _Request, origin: Origin, target: str, headers: dict[str, str]) -> Answer:
        began = _seconds()
        self.requests += 1
        method, data = request.operation.method, _encoded(request.body)
        try:
            response = await self._http.request(
                method, origin, target, headers, data, _ANSWER_LIMIT, request.part, request.patience
            )
        except NotSent as error:
            text = self._note(method, target, error)
            self._show(method, target, data, f"not sent: {error}", began)
            if error.__cause__ is None:  # a fault of the request itself
                raise NotSent(text) from error
            self._reached(origin, f"cannot be reached: {error}")
            raise Unreached(text) from error
        except NoAnswer as error:
            self._reached(origin, f"does not answer: {error}")
            self._show(method, target, data, f"no answer: {error}", began)
            raise NoAnswer(self._note(method, target, error)) from error
        if not self.up:
            self._reached(origin)
        took = _seconds() - began
        self._round_trips.append(took)
        body = response.body if response.whole else b""
        if self.seen is not None:
            self._show(method, target, data, f"{response.status} {shown_body(body)}".rstrip(), began)
        answer = Answer(response.status, body, response.headers, self._bare, streamed=request.part is not None)
        if "date" in response.headers and self._roots.knows(origin) and answer.own:
            now = self.clock.now()
            self.clock.saw(response.headers["date"], now - took, now)
        return answer

    # Logs and status

    def _show(self, method: str, target: str, data: bytes | None, outcome: str, began: float) -> None:
        device = device_of_call.get()
        if self.seen is not None and device:
            asked = f"{method} {target} {shown_body(data or b'')}".rstrip()
            self.seen(device, f"{asked} → {outcome} ({_seconds() - began:.3f} s)")

    def _reached(self, origin: Origin, failure: str = "") -> None:
        """Log when the SCEF stops answering, and when it answers again; not for targets of redirects."""
        if not self._opened or not self._roots.knows(origin):
            return
        before, self.up = self.up, not failure
        where = self.root if origin == self._roots.first.origin else origin.authority
        if failure and before is not False:
            log.warning("SCEF/NEF %s %s", where, failure, extra={"sample": "scef away"})
        elif not failure and before is False:
            log.warning("SCEF/NEF %s answers again", where, extra={"sample": "scef back"})

    def _note(self, method: str, target: str, error: Exception) -> str:
        self.last_error = f"{method} {target}: {error}"
        return self.last_error

    def status(self) -> dict[str, object]:
        """Return figures of the last round trips, seconds, and the state of roots and credentials."""
        times = sorted(self._round_trips)
        return {
            "up": self.up,
            "roots": self._roots.status(_seconds()),
            "requests": self.requests,
            "round_trip_median": round(times[len(times) // 2], 4) if times else None,
            "round_trip_95": round(times[len(times) * 95 // 100], 4) if times else None,
            "round_trip_max": round(times[-1], 4) if times else None,
            "clock_skew": None if self.clock.skew is None else round(self.clock.skew, 1),
            "credentials": self._authorization.status(),
            "last_error": self.last_error,
        }


def _seconds() -> float:
    """Return the seconds of the running event loop, which all waits here use (docs/decisions/clock.md)."""
    return asyncio.get_running_loop().time()


def _led(origin: Origin, target: str, location: str) -> tuple[Origin, str] | None:
    """Return the target of a redirect; None if there is none, or if it leaves TLS."""
    try:
        led = split(urljoin(f"{origin.scheme}://{origin.authority}{target}", location))
    except ValueError:
        return None
    return None if origin.scheme == "https" and led[0].scheme != "https" else led


def _encoded(body: Body | None) -> bytes | None:
    if body is None:
        return None
    members = body() if callable(body) else body
    if members is None:
        raise TooLate("the deadline had passed when a connection was free")
    return msgspec.json.encode(members)
