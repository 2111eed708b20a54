"""The listener for what a network posts: one URL with an unguessable last part, one answer for each kind of fault.

Answers (R29): success when the event is committed, or when it is authentic and of no use; 503 when the store cannot
take it; what the error says (400, 404) for what cannot be used; 401, 404, 405, 408, 413 for callers that are not the
network or do not speak HTTP.
"""

import asyncio
import hmac
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from bindings.commits import NOTHING_TO_COMMIT
from bindings.http.coding import ACCEPTED, decoded, is_known
from bindings.http.connection import Reply
from bindings.http.messages import NO_CONTENT, Answer, Request, problem
from bindings.http.server import HttpServer, Limits
from bridge.errors import BindingError, ConfigurationError, NotificationError, StoreUnavailable, UnknownDevice

log = logging.getLogger(__name__)

_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
_AGAIN_LATER = (("Retry-After", "5"),)

Take = Callable[[Request], Awaitable[Answer | None]]
"""Commits what one request brings. The result of the awaitable is the answer of a success, or None for the usual one.
Both the call and the awaitable may raise NotificationError, UnknownDevice or StoreUnavailable."""


class Place(Protocol):
    """Where to listen, as a binding's settings say it."""

    @property
    def bind(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def public_url(self) -> str: ...
    @property
    def max_body(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Names:
    """How one network's listener speaks of itself: to people, and in counters."""

    setting: str  # the section of its settings
    network: str  # who calls
    callers: str  # prefix of the counters of callers that were turned away
    messages: str  # prefix of the counters of what they brought
    internal: str  # the counter of our own mistakes


class CallbackListener:
    """Takes what is posted for `take`, and for `doors` what is posted with one more part behind the URL.

    `count` is told the name of what an operator should see.

    `authorization`: the value that the Authorization header must have, beside the secret path.
    """

    def __init__(
        self,
        names: Names,
        place: Place,
        take: Take,
        count: Callable[[str], None],
        *,
        context: ssl.SSLContext | None = None,
        authorization: str = "",
        success: Answer = NO_CONTENT,
        doors: Mapping[str, Take] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Open nothing yet. Raises ConfigurationError for a place that no network can be told."""
        self._names = names
        self._place = place
        self._base = _base(names, place)
        self._count = count
        self._context = context
        self._scheme, _, credentials = authorization.partition(" ")
        self._credentials = credentials.encode()
        self._doors = {"": take, **(doors or {})}
        self._success = success
        self._path = b""
        self._under_way: set[asyncio.Future[Answer | None]] = set()
        self.server = HttpServer(self, limits or Limits(place.max_body))
        self.taken = 0
        self.url = ""

    async def start(self, secret: str) -> None:
        """Listen; `url` is then what the network must be told. Raises BindingError."""
        names, place, base = self._names, self._place, self._base
        # A reverse proxy may strip or keep the prefix of public_url: the last part decides.
        path = "/" + secret
        self._path = path.encode()
        try:
            await self.server.start(place.bind, place.port, self._context)
        except OSError as error:
            raise BindingError(
                f"{names.setting}: cannot listen on {place.bind} port {place.port}: {error.strerror or error}; "
                "is another process using it?"
            ) from error
        if not base:
            host, port = self.address
            base = f"{'https' if self._context else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        self.url = base + path

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self.server.address or (self._place.bind, self._place.port)

    async def stop(self) -> None:
        """Accept nothing more, and answer what is being worked on."""
        await self.server.stop()

    # -- what the server asks ------------------------------------------------------------------------------------

    def refuse(self, request: Request) -> Answer | None:
        """Refuse who does not know the secret path, shows no credentials, or does not post."""
        path = request.path.rstrip("/")
        if not self._is_ours(path):
            before, _, request.door = path.rpartition("/")
            if request.door not in self._doors or not self._is_ours(before):
                return self._refuse(404, "wrong_path", request)
        if self._scheme:
            scheme, _, shown = request.headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(shown.strip(" ").encode(), self._credentials)
            if not same or scheme.lower() != self._scheme.lower():  # RFC 9110 §11.1
                return self._refuse(401, "wrong_credentials", request, ("WWW-Authenticate", self._scheme))
        if request.method != "POST":
            return self._refuse(405, "wrong_method", request, ("Allow", "POST"))
        if "content-encoding" in request.headers and not is_known(request.headers["content-encoding"]):
            return self._refuse(415, "wrong_coding", request, ("Accept-Encoding", ACCEPTED))
        return None

    def _is_ours(self, path: str) -> bool:
        return hmac.compare_digest(path[-len(self._path) :].encode(), self._path)

    def _refuse(self, status: int, why: str, request: Request, *headers: tuple[str, str]) -> Answer:
        self._turn_away(status, why, request.remote)
        return problem(status, why.replace("_", " "), headers)

    def turned_away(self, why: str, remote: str) -> None:
        """Count a caller that the server has sent away."""
        self._turn_away(None, why, remote)

    def _turn_away(self, status: int | None, why: str, remote: str) -> None:
        name = f"{self._names.callers}_{why}"
        self._count(name)
        answered = f"with {status} " if status else ""
        log.warning("callback from %s refused %s(%s)", remote, answered, name, extra={"sample": name})

    def answer(self, request: Request, reply: Reply) -> None:
        """Have a request taken, and answer when what it brought is committed."""
        try:
            if "content-encoding" in request.headers:
                request.body = decoded(request.headers["content-encoding"], request.body, self._place.max_body)
            work = self._doors[request.door](request)
            if work is NOTHING_TO_COMMIT:
                self._succeed(reply, None)
                return
            under_way = asyncio.ensure_future(work)
        except Exception as error:  # noqa: BLE001  # each is answered
            self._fail(reply, error)
            return
        self._under_way.add(under_way)
        under_way.add_done_callback(partial(self._done, reply))

    def _done(self, reply: Reply, work: asyncio.Future[Answer | None]) -> None:
        self._under_way.discard(work)
        error = asyncio.CancelledError() if work.cancelled() else work.exception()
        if error is None:
            self._succeed(reply, work.result())
        else:
            self._fail(reply, error)

    def _succeed(self, reply: Reply, answer: Answer | None) -> None:
        self.taken += 1
        reply(answer or self._success)

    def _fail(self, reply: Reply, error: BaseException) -> None:
        if isinstance(error, NotificationError | UnknownDevice):
            kind = "unknown_device" if isinstance(error, UnknownDevice) else "refused"
            self._count(f"{self._names.messages}_{kind}")
            log.warning("callback answered %d: %s", error.http_status, error, extra={"sample": self._names.messages})
            reply(problem(error.http_status, str(error)))
        elif isinstance(error, StoreUnavailable):
            self._count(f"{self._names.messages}_store_unavailable")
            log.warning("callback answered 503: %s", error, extra={"sample": f"{self._names.messages} store"})
            reply(problem(503, "cannot be stored now; send it again later", _AGAIN_LATER))
        else:
            self._count(self._names.internal)
            log.error("callback answered 500: a bug in the bridge", exc_info=error, extra={"sample": "callback 500"})
            reply(problem(500, "internal error"))


def _base(names: Names, place: Place) -> str:
    """Return the start of the URL; empty: it is made from the address. Raises ConfigurationError."""
    base = place.public_url.rstrip("/")
    if base and not base.startswith(("http://", "https://")):
        raise ConfigurationError(f"{names.setting}.public_url {base!r} must start with http:// or https://")
    if not base and place.bind in _WILDCARDS:
        raise ConfigurationError(
            f"{names.setting}.public_url is empty, and nobody can reach bind {place.bind!r}: set "
            f"public_url to the URL by which {names.network} reaches this machine"
        )
    return base
