"""HTTP toward the SCEF/NEF: one pool, credentials, redirects, and the difference between *not sent* and *no answer*."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urljoin

import msgspec

from bindings.http.client import ClientLimits, HttpClient, NoAnswer, NotSent, Origin, split
from bindings.nidd.auth import Authorization
from bindings.nidd.settings import NiddSettings
from bindings.tls import client_context
from bridge.errors import BindingError, ConfigurationError

log = logging.getLogger(__name__)

_ANSWER_LIMIT = 1 << 20  # bytes
LIST_LIMIT = 256 << 20  # bytes; 100 000 configurations with their buffered downlinks
_REDIRECTS = 3
_PATH_CHARACTERS = "!$&'()*+,;=:@"  # beside the unreserved ones (RFC 3986 §3.3)
_SAMPLES = 512  # round trips kept for the figures


Body = Mapping[str, Any] | Callable[[], Mapping[str, Any] | None]
"""The members of a JSON object, or what gives them at the last moment."""


class TooLate(NotSent):
    """By the time that it could be sent, the request was not wanted any more."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the SCEF answered: status, Location and Retry-After (seconds) if given, the body's bytes, and who asked."""

    status: int
    body: bytes
    location: str | None = None
    retry_after: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004  # RFC 9110 §15.3

    def retry_seconds(self, now: float) -> float | None:
        """Read Retry-After (RFC 9110 §10.2.3), seconds or a date, as seconds from `now`."""
        text = (self.retry_after or "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now) if text else None
        except (TypeError, ValueError, OverflowError):
            return None


class T8Client:
    """Requests below `{apiRoot}/3gpp-nidd/v1/{scsAsId}`. Open with `open`, close with `close`."""

    def __init__(self, settings: NiddSettings) -> None:
        root = settings.api_root.rstrip("/")
        try:
            origin, prefix = split(root)
        except ValueError as error:
            raise ConfigurationError(f"api_root {root!r} must be http(s)://host[:port][/prefix]: {error}") from error
        if "?" in root or "#" in root or "@" in root:
            raise ConfigurationError(f"api_root {root!r} must be http(s)://host[:port][/prefix], without user or query")
        if root.endswith("/3gpp-nidd") or "/3gpp-nidd/" in root:
            raise ConfigurationError(f"api_root {root!r} must end before /3gpp-nidd: it is added")
        if settings.http.connect_timeout >= settings.http.request_timeout:
            raise ConfigurationError("http.connect_timeout must be less than http.request_timeout")
        self._origin = origin
        prefix = quote(prefix.rstrip("/"), safe=_PATH_CHARACTERS + "/%")
        self._target = f"{prefix}/3gpp-nidd/v1/{quote(settings.scs_as_id, safe=_PATH_CHARACTERS)}"
        self.base = f"{origin.scheme}://{origin.authority}{self._target}"
        self._settings = settings.http
        http = settings.http
        self._http = HttpClient(
            ClientLimits(http.connect_timeout, http.request_timeout, http.keepalive),
            client_context("http", http.ca_bundle, http.client_certificate, http.client_key),
            http.proxy,
            http.headers,
        )
        self._opened = False
        self._authorization = Authorization(settings.credentials, time.monotonic)
        self._round_trips: deque[float] = deque(maxlen=_SAMPLES)
        # Waiting happens here and not in the pool, so that a body which depends on the time is written after it.
        self._free = asyncio.Semaphore(settings.http.pool_size)
        self.up: bool | None = None  # whether the last request was answered; None: none was made
        self.requests = 0
        self.last_error = ""

    async def open(self) -> None:
        """Begin to take requests; no connection is opened yet."""
        self._opened = True

    async def close(self) -> None:
        """Close all connections."""
        self._opened = False
        await self._http.close()

    async def post(self, path: str, body: Body) -> Answer:
        """Create something; redirects are answers like any other (TS 29.122 has none for creates).

        A callable `body` is asked when a connection is free; None is too late: nothing is sent, and TooLate raised.
        """
        return await self._request("POST", path, body, kind="application/json")

    async def get(self, path: str, limit: int = _ANSWER_LIMIT) -> Answer:
        """Read something, following redirects."""
        return await self._request("GET", path, redirects=_REDIRECTS, limit=limit)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Change a configuration (merge-patch, RFC 7396), following redirects."""
        return await self._request("PATCH", path, body, kind="application/merge-patch+json", redirects=_REDIRECTS)

    async def delete(self, path: str) -> Answer:
        """Remove something, following redirects."""
        return await self._request("DELETE", path, redirects=_REDIRECTS)

    async def _request(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        kind: str = "",
        redirects: int = 0,
        limit: int = _ANSWER_LIMIT,
    ) -> Answer:
        """Send one request when a connection is free. Raises NotSent or NoAnswer."""
        if not self._opened:
            raise NotSent("not started")
        if self._free.locked():
            await self._wait_for_place(method, path)
        else:
            await self._free.acquire()  # at once
        try:
            return await self._ask(method, path, body, kind, redirects, limit)
        finally:
            self._free.release()

    async def _wait_for_place(self, method: str, path: str) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await self._free.acquire()
        except TimeoutError:
            self.last_error = f"{method} {self._target}{path}: all connections are in use"
            raise NotSent(self.last_error) from None

    async def _ask(self, method: str, path: str, body: Body | None, kind: str, redirects: int, limit: int) -> Answer:
        origin, target = self._origin, self._target + path
        refused: str | None = None
        renewed = False
        while True:
            authorization = None
            headers = {"Accept": "application/json, application/problem+json"}
            if body is not None:
                headers["Content-Type"] = kind
            if origin == self._origin:  # credentials are for the configured SCEF alone
                try:
                    authorization = await self._authorization.header(self._http, refused)
                except BindingError as error:
                    self.last_error = str(error)
                    raise NotSent(str(error)) from error
            if authorization is not None:
                headers["Authorization"] = authorization
            answer = await self._once(method, origin, target, _encoded(body), headers, limit)
            if answer.status == 401 and authorization and self._authorization.refreshable and not renewed:  # noqa: PLR2004
                refused, renewed = authorization, True
                continue
            if answer.status in {307, 308} and answer.location and redirects:
                redirects -= 1
                try:
                    origin, target = split(urljoin(f"{origin.scheme}://{origin.authority}{target}", answer.location))
                except ValueError:
                    pass  # leads nowhere: the redirect is the answer
                else:
                    continue
            if answer.status >= 400:  # noqa: PLR2004
                self.last_error = f"{method} {target}: {answer.status}"
            return answer

    async def _once(
        self, method: str, origin: Origin, target: str, data: bytes | None, headers: dict[str, str], limit: int
    ) -> Answer:
        began = time.monotonic()
        self.requests += 1
        try:
            response = await self._http.request(method, origin, target, headers, data, limit)
        except NotSent as error:
            if error.__cause__ is not None:  # not a fault of the request itself
                self._reached(origin, f"cannot be reached: {error}")
            raise NotSent(self._note(method, target, error)) from error
        except NoAnswer as error:
            self._reached(origin, f"does not answer: {error}")
            raise NoAnswer(self._note(method, target, error)) from error
        self._reached(origin)
        self._round_trips.append(time.monotonic() - began)
        found = response.headers.get
        return Answer(
            response.status, response.body if response.whole else b"", found("location"), found("retry-after")
        )

    def _reached(self, origin: Origin, failure: str = "") -> None:
        """Tell when the SCEF goes away, and when it is back; not where it redirects to."""
        if origin != self._origin or not self._opened:
            return
        before, self.up = self.up, not failure
        if failure and before is not False:
            log.warning("SCEF/NEF %s %s", self.base, failure, extra={"sample": "scef away"})
        elif not failure and before is False:
            log.warning("SCEF/NEF %s is there again", self.base, extra={"sample": "scef back"})

    def _note(self, method: str, target: str, error: Exception) -> str:
        self.last_error = f"{method} {target}: {error}"
        return self.last_error

    def status(self) -> dict[str, object]:
        """Give figures of the last round trips, seconds, and the state of the credentials."""
        times = sorted(self._round_trips)
        return {
            "up": self.up,
            "requests": self.requests,
            "round_trip_median": round(times[len(times) // 2], 4) if times else None,
            "round_trip_95": round(times[len(times) * 95 // 100], 4) if times else None,
            "round_trip_max": round(times[-1], 4) if times else None,
            "credentials": self._authorization.status(),
            "last_error": self.last_error,
        }


def _encoded(body: Body | None) -> bytes | None:
    if body is None:
        return None
    members = body() if callable(body) else body
    if members is None:
        raise TooLate("too late once a connection was free")
    return msgspec.json.encode(members)
