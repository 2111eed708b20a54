"""Credentials toward the SCEF/NEF: none, Basic, a fixed bearer token, OAuth2 client credentials (RFC 6749 §4.4)."""

import asyncio
import base64
import logging
from collections.abc import Callable, Mapping
from urllib.parse import quote_plus, urlencode

import msgspec

from bindings.contract import Memory
from bindings.http.client import HttpClient, NoAnswer, NotSent, split
from bindings.t8.reading import UNREADABLE
from bindings.t8.settings import Credentials
from bindings.t8.shared_token import SharedToken, Token
from bridge.errors import BindingError, ConfigurationError

log = logging.getLogger(__name__)

_EARLY = 30.0  # seconds before its end at which a token is renewed: covers clock error and the time of a request
_UNSTATED_LIFETIME = 300.0  # seconds; RFC 6749 §5.1 allows the server to leave expires_in out
_AFTER_FAILURE = 5.0  # seconds after a failure in which the token endpoint is not asked again
_AFTER_401 = 1.0  # seconds between two renewals because of a 401
_TOKEN_ANSWER_LIMIT = 65536  # bytes

Clock = Callable[[], float]


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


class Authorization:
    """Makes the Authorization header of a request, and another one after a 401.

    At most one request to the token endpoint runs, and all callers that wait for a token share its result.
    """

    def __init__(self, settings: Credentials, clock: Clock, headers: Mapping[str, str]) -> None:
        """`clock` counts seconds; `headers` go with requests to the token endpoint. Raises ConfigurationError."""
        self._settings = settings
        self._headers = headers
        self._clock = clock
        self._header: str | None = None
        self._renew_at: float | None = None  # when to renew the token, some time before its end
        self._ends_at: float | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._failed_at: float | None = None
        self._renewed_after_401_at: float | None = None
        self._last_error = ""
        self._shared: SharedToken | None = None
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

    def share(self, memory: Memory, now: Callable[[], float]) -> None:
        """Use one token together with the other nodes that have the same notes; `now` returns wall time."""
        if self._settings.kind == "oauth2":
            settings = self._settings
            whose = msgspec.json.encode((settings.token_url, settings.client_id, settings.scope)).decode()
            self._shared = SharedToken(memory, whose, now)

    @property
    def is_due(self) -> bool:
        """Return whether a token must be requested or renewed before the next request to the SCEF."""
        return self._settings.kind == "oauth2" and not self._is_before(self._renew_at)

    @property
    def latest(self) -> str | None:
        """Return the header's value, None for none. The header may be used unless a token `is_due`."""
        return self._header

    async def header(self, client: HttpClient) -> str | None:
        """Return the header's value, None for none; a token that is due is requested first.

        Raises BindingError if there is no token; then no request was sent to the SCEF.
        """
        if not self.is_due:
            return self._header
        try:
            await self._renewed(client)
        except BindingError:
            if not self._is_before(self._ends_at):
                raise
        return self._header

    async def header_after_401(self, client: HttpClient, refused: str) -> str | None:
        """Return another value after a 401; None if there is none: then the 401 is the answer.

        If a SCEF refuses every token, not each refusal causes a request to the token endpoint. Raises
        BindingError if there is no token.
        """
        if self._settings.kind != "oauth2":
            return None
        if self._header != refused:
            return await self.header(client)  # another caller renewed it
        if self._refresh is None and self._is_within(_AFTER_401, self._renewed_after_401_at):
            return None
        self._renew_at = self._ends_at = None
        await self._renewed(client)
        self._renewed_after_401_at = self._clock()
        return self._header

    async def close(self) -> None:
        """Cancel a running request to the token endpoint."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)

    def _is_before(self, time: float | None) -> bool:
        return time is not None and self._clock() < time

    def _is_within(self, seconds: float, time: float | None) -> bool:
        """Return whether less than some seconds have passed since a time."""
        return time is not None and self._clock() - time < seconds

    async def _renewed(self, client: HttpClient) -> None:
        """Return when there is a new token. Raises BindingError."""
        refresh = self._refresh
        if refresh is None:
            if self._is_within(_AFTER_FAILURE, self._failed_at):
                raise BindingError(self._last_error)
            refresh = self._refresh = asyncio.create_task(self._fetch(client), name="t8-token")
            refresh.add_done_callback(self._refreshed)
        await asyncio.wait([refresh])  # not cancelled with its caller: others may wait for the token
        if refresh.cancelled():
            raise BindingError("closed while a token was requested")
        refresh.result()

    def _refreshed(self, refresh: asyncio.Task[None]) -> None:
        self._refresh = None
        if not refresh.cancelled():
            refresh.exception()  # waiting callers have it

    async def _fetch(self, client: HttpClient) -> None:
        there = None if self._shared is None else await self._shared.found(self._header)
        token = there or await self._requested(client)
        now = self._clock()
        self._header, self._renew_at, self._ends_at = token.header, now + token.renew_in, now + token.ends_in
        self._failed_at = None
        self._last_error = ""
        if there is None and self._shared is not None:
            await self._shared.keep(token)

    async def _requested(self, client: HttpClient) -> Token:
        """Return a token that the token endpoint has just issued. Raises BindingError."""
        settings = self._settings
        form = {"grant_type": "client_credentials"}
        headers = {"Accept": "application/json", **self._headers}
        if settings.scope:
            form["scope"] = settings.scope
        if settings.client_secret_in == "header":  # noqa: S105  # a place, not a secret
            # RFC 6749 §2.3.1: both parts are form-encoded before Basic.
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
            raise self._failed(f"does not answer: {error}", cure="") from error  # the error has its own
        if answer.status != 200:  # noqa: PLR2004  # RFC 6749 §5.1 knows no other success
            raise self._failed(f"answered {answer.status}")
        try:
            token = msgspec.json.decode(answer.body, type=_TokenAnswer)
        except UNREADABLE:
            raise self._failed("did not answer with usable JSON") from None  # its text could contain the token
        lifetime = _lifetime(token.expires_in)
        return Token(f"Bearer {token.access_token}", max(lifetime - _EARLY, lifetime / 2), lifetime)

    def _failed(self, what: str, cure: str = "; check token_url, client_id and client_secret") -> BindingError:
        self._failed_at = self._clock()
        self._last_error = f"token endpoint {self._settings.token_url} {what}{cure}"
        log.warning("%s", self._last_error, extra={"sample": "t8 token"})
        return BindingError(self._last_error)

    def status(self) -> dict[str, object]:
        """Return the kind, and for OAuth2 how long the token is good; never a secret."""
        report: dict[str, object] = {"kind": self._settings.kind}
        if self._settings.kind == "oauth2":
            report["token"] = "valid" if self._is_before(self._ends_at) else "none"
            if self._ends_at is not None:
                report["token_seconds_left"] = round(max(0.0, self._ends_at - self._clock()))
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
