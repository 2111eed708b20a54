"""Requests to a SCEF or NEF: one pool, credentials, redirects, *not sent* told from *no answer*."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urljoin

import msgspec

from bindings.http.client import ClientLimits, HttpClient, NoAnswer, NotSent, Origin, header_lines, split
from bindings.t8.answer import Answer
from bindings.t8.auth import Authorization
from bindings.t8.operations import REDIRECTS, Operation
from bindings.t8.settings import T8Settings
from bindings.t8.times import PeerClock
from bindings.tls import client_context
from bridge.errors import BindingError, ConfigurationError

log = logging.getLogger(__name__)

_ANSWER_LIMIT = 1 << 20  # bytes
_HOPS = 3  # redirects followed for one request
_PATH_CHARACTERS = "!$&'()*+,;=:@"  # beside the unreserved ones (RFC 3986 §3.3)
_SAMPLES = 512  # round trips kept for the figures
_ACCEPT = {"Accept": "application/json, application/problem+json"}


Body = Mapping[str, Any] | Callable[[], Mapping[str, Any] | None]
"""The members of a JSON object, or a function that returns them at the last moment."""


Part = Callable[[bytes], None]
"""Takes the pieces of a body."""


class TooLate(NotSent):
    """By the time that it could be sent, the request was not wanted any more."""


class T8Client:
    """Requests to one SCEF or NEF, all APIs over one pool. Open with `open`, close with `close`."""

    def __init__(self, settings: T8Settings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        http = settings.http
        if http.connect_timeout >= http.request_timeout:
            raise ConfigurationError("http.connect_timeout must be less than http.request_timeout")
        self._origin, self._prefix = _root(settings.api_root)
        self._scs_as = quote(settings.scs_as_id, safe=_PATH_CHARACTERS)
        self._connect_timeout = http.connect_timeout
        self._http = HttpClient(
            ClientLimits(http.connect_timeout, http.request_timeout, http.keepalive),
            client_context("http", http.ca_bundle, http.client_certificate, http.client_key),
            http.proxy,
        )
        try:
            header_lines(http.headers)
        except ValueError as error:
            raise ConfigurationError(f"http.headers: {error}") from None
        # Keys of an API gateway, perhaps: for the configured SCEF alone, as credentials are.
        self._headers = _ACCEPT | http.headers
        self._bare = settings.quirks.bare_answers
        self._opened = False
        self.clock = PeerClock(time.time)
        self._authorization = Authorization(settings.credentials, time.monotonic, http.headers)
        self._round_trips: deque[float] = deque(maxlen=_SAMPLES)
        # Waiting happens here and not in the pool, so that a body which depends on the time is written after it.
        self._free = asyncio.Semaphore(http.pool_size)
        self.root = f"{self._origin.scheme}://{self._origin.authority}{self._prefix}"
        self.up: bool | None = None  # whether the last request was answered; None: none was made
        self.requests = 0
        self.last_error = ""

    def open(self, now: Callable[[], float]) -> None:
        """Begin to take requests; no connection is opened yet. `now` returns our wall-clock time."""
        self.clock = PeerClock(now)
        self._opened = True

    async def close(self) -> None:
        """Close all connections."""
        self._opened = False
        await self._http.close()

    def _target(self, operation: Operation, names: tuple[str, ...]) -> str:
        return f"{self._prefix}/{operation.api}/{self._scs_as}{operation.target(*names)}"

    async def ask(
        self,
        operation: Operation,
        *names: str,
        body: Body | None = None,
        part: Part | None = None,
        bounded: bool = True,
    ) -> Answer:
        """Make one request when a connection is free, and return the answer.

        Redirects are followed where the operation has them; elsewhere they are answers like any other. A callable
        `body` is asked when a connection is free; None is too late: nothing is sent, and TooLate raised. `part` takes
        the body of a success as it comes, in place of the answer's, and then the caller bounds the time. Without
        `bounded` the caller bounds how many of its requests are under way, and a connection is made for each.

        Raises NotSent or NoAnswer.
        """
        target = self._target(operation, names)
        if not self._opened:
            raise NotSent("not started")
        if not bounded:
            return await self._ask(operation, target, body, part)
        if self._free.locked():
            await self._wait_for_connection(operation.method, target)
        else:
            await self._free.acquire()  # at once
        try:
            return await self._ask(operation, target, body, part)
        finally:
            self._free.release()

    async def _wait_for_connection(self, method: str, target: str) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._free.acquire()
        except TimeoutError:
            self.last_error = f"{method} {target}: all connections are in use"
            raise NotSent(self.last_error) from None

    async def _ask(self, operation: Operation, target: str, body: Body | None, part: Part | None) -> Answer:
        method, origin = operation.method, self._origin
        hops = _HOPS if operation.redirects else 0
        refused: str | None = None
        renewed = False
        while True:
            authorization = None
            known = origin == self._origin
            headers = (self._headers if known else _ACCEPT).copy()
            if body is not None:
                headers["Content-Type"] = operation.media_type
            if known:
                try:
                    authorization = await self._authorization.header(self._http, refused)
                except BindingError as error:
                    self.last_error = str(error)
                    raise NotSent(str(error)) from error
            if authorization is not None:
                headers["Authorization"] = authorization
            answer = await self._once(method, origin, target, _encoded(body), headers, part)
            if authorization and not renewed and self._authorization.refreshable and answer.asks_for_credentials:
                refused, renewed = authorization, True
                continue
            if answer.status in REDIRECTS and answer.location and hops:
                hops -= 1
                led = _led(origin, target, answer.location)
                if led is not None:
                    origin, target = led
                    continue
            if answer.status >= 400:  # noqa: PLR2004
                self.last_error = f"{method} {target}: {answer.status}"
            return answer

    async def _once(
        self, method: str, origin: Origin, target: str, data: bytes | None, headers: dict[str, str], part: Part | None
    ) -> Answer:
        began, sent_at = time.monotonic(), self.clock.now()
        self.requests += 1
        try:
            response = await self._http.request(method, origin, target, headers, data, _ANSWER_LIMIT, part)
        except NotSent as error:
            if error.__cause__ is not None:  # not a fault of the request itself
                self._reached(origin, f"cannot be reached: {error}")
            raise NotSent(self._note(method, target, error)) from error
        except NoAnswer as error:
            self._reached(origin, f"does not answer: {error}")
            raise NoAnswer(self._note(method, target, error)) from error
        self._reached(origin)
        self._round_trips.append(time.monotonic() - began)
        body = response.body if response.whole else b""
        answer = Answer(response.status, body, response.headers, self._bare, streamed=part is not None)
        if origin == self._origin and answer.own:
            self.clock.saw(response.headers.get("date"), sent_at, self.clock.now())
        return answer

    def _reached(self, origin: Origin, failure: str = "") -> None:
        """Log when the SCEF goes away, and when it is back; not where it redirects to."""
        if origin != self._origin or not self._opened:
            return
        before, self.up = self.up, not failure
        if failure and before is not False:
            log.warning("SCEF/NEF %s %s", self.root, failure, extra={"sample": "scef away"})
        elif not failure and before is False:
            log.warning("SCEF/NEF %s is there again", self.root, extra={"sample": "scef back"})

    def _note(self, method: str, target: str, error: Exception) -> str:
        self.last_error = f"{method} {target}: {error}"
        return self.last_error

    def status(self) -> dict[str, object]:
        """Return figures of the last round trips, seconds, and the state of the credentials."""
        times = sorted(self._round_trips)
        return {
            "up": self.up,
            "requests": self.requests,
            "round_trip_median": round(times[len(times) // 2], 4) if times else None,
            "round_trip_95": round(times[len(times) * 95 // 100], 4) if times else None,
            "round_trip_max": round(times[-1], 4) if times else None,
            "clock_skew": None if self.clock.skew is None else round(self.clock.skew, 1),
            "credentials": self._authorization.status(),
            "last_error": self.last_error,
        }


def _root(api_root: str) -> tuple[Origin, str]:
    """Return origin and path prefix of an apiRoot. Raises ConfigurationError."""
    root = api_root.rstrip("/")
    try:
        origin, prefix = split(root)
    except ValueError as error:
        raise ConfigurationError(f"api_root {root!r} must be http(s)://host[:port][/prefix]: {error}") from error
    if "?" in root or "#" in root or "@" in root:
        raise ConfigurationError(f"api_root {root!r} must be http(s)://host[:port][/prefix], without user or query")
    if root.endswith("/3gpp-nidd") or "/3gpp-nidd/" in root:
        raise ConfigurationError(f"api_root {root!r} must end before /3gpp-nidd: it is added")
    return origin, quote(prefix.rstrip("/"), safe=_PATH_CHARACTERS + "/%")


def _led(origin: Origin, target: str, location: str) -> tuple[Origin, str] | None:
    """Return where a redirect leads; None if nowhere, or out of TLS."""
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
        raise TooLate("too late once a connection was free")
    return msgspec.json.encode(members)
