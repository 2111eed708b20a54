"""HTTP toward the SCEF/NEF: one pool, credentials, redirects, and the difference between *not sent* and *no answer*."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec
from yarl import URL

from bindings.nidd.auth import Authorization
from bindings.nidd.settings import NiddSettings
from bindings.nidd.tls import client_context
from bridge.errors import BindingError, ConfigurationError

log = logging.getLogger(__name__)

_ANSWER_LIMIT = 1 << 20  # bytes
LIST_LIMIT = 256 << 20  # bytes; 100 000 configurations with their buffered downlinks
_REDIRECTS = 3
_SAMPLES = 512  # round trips kept for the figures


Body = Mapping[str, Any] | Callable[[], Mapping[str, Any] | None]
"""The members of a JSON object, or what gives them at the last moment."""


class NotSent(Exception):  # says what happened
    """The request certainly did not reach the SCEF: it may be repeated."""


class TooLate(NotSent):
    """By the time that it could be sent, the request was not wanted any more."""


class NoAnswer(Exception):  # says what happened
    """The request may have reached the SCEF; what became of it is not known."""


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
        if text.isdigit():
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
            url = URL(root)
        except ValueError as error:
            raise ConfigurationError(f"api_root {root!r} is no URL: {error}") from error
        if url.scheme not in {"http", "https"} or not url.host or url.query_string or url.fragment:
            raise ConfigurationError(f"api_root {root!r} must be http(s)://host[:port][/prefix], without a query")
        if root.endswith("/3gpp-nidd") or "/3gpp-nidd/" in root:
            raise ConfigurationError(f"api_root {root!r} must end before /3gpp-nidd: it is added")
        if settings.http.connect_timeout >= settings.http.request_timeout:
            raise ConfigurationError("http.connect_timeout must be less than http.request_timeout")
        self.base = f"{root}/3gpp-nidd/v1/{URL.build(path=settings.scs_as_id).raw_path.replace('/', '%2F')}"
        self._origin = url.origin()
        self._settings = settings.http
        self._ssl = client_context(settings.http.ca_bundle, settings.http.client_certificate, settings.http.client_key)
        self._proxy = settings.http.proxy or None
        self._session: aiohttp.ClientSession | None = None
        self._authorization = Authorization(settings.credentials, time.monotonic)
        self._round_trips: deque[float] = deque(maxlen=_SAMPLES)
        # Waiting happens here and not in the pool, so that a body which depends on the time is written after it.
        self._free = asyncio.Semaphore(settings.http.pool_size)
        self.requests = 0
        self.last_error = ""

    async def open(self) -> None:
        """Make the pool; no connection is opened yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._settings.pool_size, ssl=self._ssl, keepalive_timeout=self._settings.keepalive
            ),
            headers=self._settings.headers,
            timeout=aiohttp.ClientTimeout(total=self._settings.request_timeout, connect=self._settings.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        # aiohttp repeats a DELETE on its own when a kept connection breaks: the 404 of the second one would hide that
        # the first one removed the downlink. There is no public switch; a test watches over it.
        self._session._retry_connection = False  # noqa: SLF001

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

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
        if self._session is None:
            raise NotSent("not started")
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await self._free.acquire()
        except TimeoutError:
            self.last_error = f"{method} {_path(self.base + path)}: all connections are in use"
            raise NotSent(self.last_error) from None
        try:
            return await self._ask(self._session, method, self.base + path, body, kind, redirects, limit)
        finally:
            self._free.release()

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        body: Body | None,
        kind: str,
        redirects: int,
        limit: int,
    ) -> Answer:
        refused: str | None = None
        renewed = False
        ours = True  # whether the URL is of the configured SCEF: credentials are for it alone
        while True:
            authorization = None
            headers = {"Accept": "application/json, application/problem+json"}
            if body is not None:
                headers["Content-Type"] = kind
            if ours:
                try:
                    authorization = await self._authorization.header(session, self._proxy, refused)
                except BindingError as error:
                    self.last_error = str(error)
                    raise NotSent(str(error)) from error
            if authorization is not None:
                headers["Authorization"] = authorization
            data = _encoded(body)
            answer = await self._once(session, method, url, data, headers, limit)
            if answer.status == 401 and authorization and self._authorization.refreshable and not renewed:  # noqa: PLR2004
                refused, renewed = authorization, True
                continue
            if answer.status in {307, 308} and answer.location and redirects:
                redirects -= 1
                url = urljoin(url, answer.location)
                if URL(url).scheme in {"http", "https"} and URL(url).host:
                    ours = URL(url).origin() == self._origin
                    continue
            if answer.status >= 400:  # noqa: PLR2004
                self.last_error = f"{method} {_path(url)}: {answer.status}"
            return answer

    async def _once(  # one call, from the method above
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        data: bytes | None,
        headers: dict[str, str],
        limit: int,
    ) -> Answer:
        began = time.monotonic()
        self.requests += 1
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers=headers,
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                content = await response.content.read(limit)
                while not response.content.at_eof() and len(content) < limit:
                    content += await response.content.read(limit - len(content))
                whole = response.content.at_eof() or len(content) < limit
                answer = Answer(
                    response.status,
                    content if whole else b"",
                    response.headers.get("Location"),
                    response.headers.get("Retry-After"),
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSent(self._note(method, url, error)) from error
        except aiohttp.ClientProxyConnectionError as error:
            raise NotSent(self._note(method, url, error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise NoAnswer(self._note(method, url, error)) from error
        self._round_trips.append(time.monotonic() - began)
        return answer

    def _note(self, method: str, url: str, error: BaseException) -> str:
        """Say what failed, without the error's own text where that could hold a proxy's password."""
        detail = type(error).__name__ if self._proxy else f"{type(error).__name__}: {error}".rstrip(": ")
        self.last_error = f"{method} {_path(url)}: {detail}"
        return self.last_error

    def status(self) -> dict[str, object]:
        """Give figures of the last round trips, seconds, and the state of the credentials."""
        times = sorted(self._round_trips)
        return {
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


def _path(url: str) -> str:
    return URL(url, encoded=True).path
