"""The HTTP client of the bindings: kept connections, one request at a time on each (RFC 9110, RFC 9112).

The client distinguishes *not sent* from *no answer*: a request that was never sent may be sent again; of one that may
have arrived the result is unknown (R9). So nothing is repeated here, not even on a kept connection that turns out to be
broken.
"""

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from bindings.http.exchange import BUFFER, Exchange, Response, Unsent
from bridge.errors import ConfigurationError

_HAPPY_EYEBALLS = 0.25  # seconds before the next address is tried in parallel (RFC 8305 §5)
_PORTS = {"http": 80, "https": 443}
_HEADERS = {"User-Agent": "lwm2m-nonip-bridge", "Accept-Encoding": "identity"}
_ORIGINS = 8  # origins whose connections are kept: redirects may lead anywhere


class NotSent(Exception):
    """The request certainly did not reach the server: it may be repeated."""


class NoAnswer(Exception):
    """The request may have reached the server; its result is unknown."""


class Origin(NamedTuple):
    """The target of requests: scheme, host and port (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return host and port for a URL and the Host header; the scheme's default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def split(url: str) -> tuple[Origin, str]:
    """Return origin and request target of an http or https URL. Raises ValueError if it is not one."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https URL")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    target = parts.path or "/"
    return Origin(scheme, host, parts.port or _PORTS[scheme]), f"{target}?{parts.query}" if parts.query else target


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Seconds: to get a connection; for a whole request; that an idle connection is kept."""

    connect: float
    request: float
    keepalive: float


class HttpClient:
    """Makes requests. Connections are made when needed; the caller must limit their number."""

    def __init__(
        self,
        limits: ClientLimits,
        context: ssl.SSLContext | None,
        proxy: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`headers` are sent with every request, to any origin. Raises ConfigurationError if the proxy is not a URL.

        `context`: of TLS; None for one that trusts the system's authorities, which are read for the first connection
        that needs them: that takes some 20 ms of processor time.
        """
        self._limits = limits
        self._given = context
        self._idle: dict[Origin, list[Exchange]] = {}
        self._all: set[Exchange] = set()
        self._closed: asyncio.Event | None = None  # after `close`: set when no connection is left
        self._buffer = bytearray(BUFFER)
        try:
            self._common = header_lines(_HEADERS | dict(headers or {}))
        except ValueError as error:
            raise ConfigurationError(f"http.headers: {error}") from None
        self._proxy: Origin | None = None
        self._proxy_lines = ""
        if proxy:
            try:
                self._proxy, _ = split(proxy)
                parts = urlsplit(proxy)
            except ValueError:
                raise ConfigurationError("http.proxy is not an http or https URL") from None  # it may hold a password
            if parts.username is not None:
                user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                self._proxy_lines = f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"

    async def request(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limit: int = 1 << 20,
        part: Callable[[bytes], None] | None = None,
        seconds: float | None = None,
    ) -> Response:
        """Make one request and return the whole response. Redirects are responses like any other.

        `limit`: bytes of body; a longer one is left unread, and `Response.whole` is False. `part` is called with the
        body of a success as it comes, and the response has none; then there is no limit of bytes or time. `seconds`:
        for this whole request, instead of the default.

        Raises NotSent or NoAnswer.
        """
        if not (target.isascii() and target.isprintable()) or " " in target:
            raise NotSent(f"{target!r} is not a request target")
        try:
            lines = header_lines(headers)
        except ValueError as error:
            raise NotSent(str(error)) from None
        if self._closed is not None:
            raise NotSent("the client is closed")
        seconds = seconds or self._limits.request
        left = seconds
        connection = self._kept(origin)
        if connection is None:
            began = asyncio.get_running_loop().time()
            connection = await self._connect(origin)
            left = seconds - (asyncio.get_running_loop().time() - began)
        through_proxy = ""
        if self._proxy is not None and origin.scheme == "http":
            target, through_proxy = f"http://{origin.authority}{target}", self._proxy_lines
        length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: {origin.authority}\r\n"
            f"{self._common}{through_proxy}{lines}{length}\r\n"
        )
        try:
            response = await connection.ask(
                head.encode() + (body or b""), limit, left if part is None else None, part=part
            )
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {seconds:g} s") from error
        except Unsent as error:
            raise NotSent(str(error)) from error
        except ConnectionError as error:
            raise NoAnswer(str(error)) from error
        if connection.reusable:
            self._keep(origin, connection)
        return response

    async def close(self) -> None:
        """Close all connections, and return when that is done. Nothing more is sent, not even of running requests."""
        self._closed = asyncio.Event()
        self._idle.clear()
        for connection in list(self._all):
            connection.abort()
        if self._all:
            await self._closed.wait()

    def _made(self, connection: Exchange) -> None:
        self._all.add(connection)
        if self._closed is not None:
            connection.abort()

    def _lost(self, connection: Exchange) -> None:
        self._all.discard(connection)
        if self._closed is not None and not self._all:
            self._closed.set()

    def _kept(self, origin: Origin) -> Exchange | None:
        """Return a kept connection that is still usable: the one used last, so that the others can expire."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.idle_for() < self._limits.keepalive and connection.reusable:
                return connection
            connection.abort()
        return None

    def _keep(self, origin: Origin, connection: Exchange) -> None:
        if origin not in self._idle and len(self._idle) >= _ORIGINS:
            connection.abort()
        else:
            self._idle.setdefault(origin, []).append(connection)

    async def _connect(self, origin: Origin) -> Exchange:
        try:
            if "https" in (origin.scheme, (self._proxy or origin).scheme):
                self._context()  # a busy machine takes long for it, which is not the server's doing
            async with asyncio.timeout(self._limits.connect):
                return await self._open(origin)
        except TimeoutError as error:
            raise NotSent(f"no connection to {origin.authority} within {self._limits.connect:g} s") from error
        except socket.gaierror as error:
            host = (self._proxy or origin).host
            raise NotSent(
                f"no connection to {origin.authority}: the name {host} cannot be resolved ({error.strerror}); "
                "check the name in the settings, and the DNS of this machine"
            ) from error
        except (OSError, ssl.SSLError, ConnectionError) as error:
            raise NotSent(f"no connection to {origin.authority}: {error}") from error
        except UnicodeError as error:  # a host name that no resolver accepts
            raise NotSent(f"no connection to {origin.authority}: no host name") from error

    def _context(self) -> ssl.SSLContext:
        if self._given is None:
            self._given = ssl.create_default_context()
        return self._given

    async def _open(self, origin: Origin) -> Exchange:
        loop = asyncio.get_running_loop()
        first = self._proxy or origin
        _, connection = await loop.create_connection(
            lambda: Exchange(self._buffer, self._made, self._lost),
            first.host,
            first.port,
            ssl=self._context() if first.scheme == "https" else None,
            # asyncio leaks a socket if such a race is cancelled when it is won; a single address has no race.
            happy_eyeballs_delay=None if _is_address(first.host) else _HAPPY_EYEBALLS,
        )
        if self._proxy is not None and origin.scheme == "https":
            try:
                await self._tunnel(connection, origin)
            except BaseException:
                connection.abort()
                raise
        return connection

    async def _tunnel(self, connection: Exchange, origin: Origin) -> None:
        """Connect through the proxy to an https origin (RFC 9110 §9.3.6), and begin TLS with it."""
        target = f"{origin.authority}:443" if origin.port == _PORTS["https"] else origin.authority
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{self._proxy_lines}\r\n"
        answer = await connection.ask(head.encode(), 0, self._limits.connect, tunnel=True)
        if not 200 <= answer.status < 300:  # noqa: PLR2004  # as above
            raise ConnectionError(f"the proxy answers {answer.status}")
        await connection.start_tls(self._context(), origin.host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def header_lines(headers: Mapping[str, str]) -> str:
    """Return headers as bytes to send. Raises ValueError for one with a line break."""
    lines = ""
    for name, value in headers.items():
        if not value.isprintable() or not name.isprintable() or ":" in name:
            raise ValueError(f"header {name!r} cannot be sent as it is")
        lines += f"{name}: {value}\r\n"
    return lines
