"""Credentials toward the SCEF/NEF: none, Basic, a fixed bearer token, OAuth2 client credentials (RFC 6749 §4.4)."""

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus, urlencode

import msgspec

from bindings.http.client import HttpClient, NoAnswer, NotSent, split
from bindings.t8.settings import Credentials
from bridge.errors import BindingError, ConfigurationError

log = logging.getLogger(__name__)

_EARLY = 30.0  # seconds before its end that a token is renewed: covers clock error and the time of a request
_UNSTATED_LIFETIME = 300.0  # seconds; RFC 6749 §5.1 lets the server leave expires_in out
_TOKEN_ANSWER_LIMIT = 65536  # bytes

Clock = Callable[[], float]


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


class Authorization:
    """Makes the Authorization header of a request, and another one after a 401."""

    def __init__(self, settings: Credentials, clock: Clock, headers: Mapping[str, str]) -> None:
        """`clock` counts seconds; `headers` go with requests to the token endpoint. Raises ConfigurationError."""
        self._settings = settings
        self._headers = headers
        self._clock = clock
        self._lock = asyncio.Lock()
        self._header: str | None = None
        self._expires: float | None = None
        self._last_error = ""
        match settings.kind:
            case "basic":
                _demand("basic", username=settings.username)
                self._header = basic(settings.username, settings.password)
            case "bearer":
                _demand("bearer", token=settings.token)
                self._header = f"Bearer {settings.token}"
            case "oauth2":
                _demand("oauth2", token_url=settings.token_url, client_id=settings.client_id)
            case "none":
                pass

    @property
    def refreshable(self) -> bool:
        """Whether a 401 may be cured by asking for a new token."""
        return self._settings.kind == "oauth2"

    async def header(self, client: HttpClient, refused: str | None = None) -> str | None:
        """Return the header's value, None for none. `refused` is the value that just met a 401.

        Raises BindingError if no token can be had; no request was sent to the SCEF then.
        """
        if not self.refreshable:
            return self._header
        if self._good(refused):
            return self._header
        async with self._lock:
            if not self._good(refused):
                await self._fetch(client)
        return self._header

    def _good(self, refused: str | None) -> bool:
        if self._header is None or self._header == refused or self._expires is None:
            return False
        return self._clock() < self._expires

    async def _fetch(self, client: HttpClient) -> None:
        settings = self._settings
        form = {"grant_type": "client_credentials"}
        headers = {"Accept": "application/json", **self._headers}
        if settings.scope:
            form["scope"] = settings.scope
        if settings.client_secret_in == "header":  # noqa: S105  # a place, not a secret
            # RFC 6749 §2.3.1: both parts are form-encoded before they go into Basic.
            headers["Authorization"] = basic(quote_plus(settings.client_id), quote_plus(settings.client_secret))
        else:
            form |= {"client_id": settings.client_id, "client_secret": settings.client_secret}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            origin, target = split(settings.token_url)
            answer = await client.request(
                "POST", origin, target, headers, urlencode(form).encode(), _TOKEN_ANSWER_LIMIT
            )
        except (NotSent, NoAnswer, ValueError) as error:
            raise self._failed(f"cannot be asked: {error}") from error
        if answer.status != 200:  # noqa: PLR2004  # RFC 6749 §5.1 knows no other success
            raise self._failed(f"answered {answer.status}")
        try:
            token = msgspec.json.decode(answer.body, type=_TokenAnswer)
        except msgspec.DecodeError:
            raise self._failed("answered no usable JSON") from None  # its text could show the token
        lifetime = _lifetime(token.expires_in)
        self._header = f"Bearer {token.access_token}"
        self._expires = self._clock() + max(lifetime - _EARLY, lifetime / 2)
        self._last_error = ""

    def _failed(self, what: str) -> BindingError:
        self._header = None
        self._last_error = f"token endpoint {self._settings.token_url} {what}"
        log.warning("%s", self._last_error, extra={"sample": "t8 token"})
        return BindingError(f"{self._last_error}; check token_url, client_id and client_secret")

    def status(self) -> dict[str, object]:
        """Return the kind, and for OAuth2 how long the token is good; never a secret."""
        report: dict[str, object] = {"kind": self._settings.kind}
        if self.refreshable:
            report["token"] = "valid" if self._good(None) else "none"
            if self._expires is not None:
                report["token_seconds_left"] = round(max(0.0, self._expires - self._clock()))
            report["last_error"] = self._last_error
        return report


def _lifetime(expires_in: float | str | None) -> float:
    try:
        return max(1.0, float(expires_in)) if expires_in is not None else _UNSTATED_LIFETIME
    except ValueError:
        return _UNSTATED_LIFETIME


def _demand(kind: str, **values: str) -> None:
    for name, value in values.items():
        if not value:
            raise ConfigurationError(f"credentials.{name} is empty, and kind {kind!r} needs it")
