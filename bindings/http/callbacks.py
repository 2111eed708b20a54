"""The listener for a network's posts: one URL with an unguessable last part, one answer for each kind of fault.

Answers (garbage, R29): success when the event is committed, or authentic but useless; 503 when it cannot be
stored; the error's status (400, 404) for what cannot be used; 401, 404, 405, 408, 413 for callers that are not the
network or do not speak HTTP.
"""

import asyncio
import hmac
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from bindings.commits import NOTHING_TO_COMMIT, Commit
from bindings.contract import Keep, PassOn, Post
from bindings.http.coding import ACCEPTED, decoded, is_known
from bindings.http.connection import Reply
from bindings.http.messages import NO_CONTENT, Answer, Request, problem
from bindings.http.server import HttpServer, Limits
from bridge.errors import (
    BindingError,
    ConfigurationError,
    NotificationError,
    NotServedHere,
    StoreUnavailable,
    UnknownDevice,
)

log = logging.getLogger(__name__)

_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104  # compared with, not bound to
_AGAIN_LATER = (("Retry-After", "5"),)

CommitRequest = Callable[[Request], Awaitable[Answer | None]]
"""Commits the event of one request. The result of the awaitable is the answer of a success, or None for the usual one.
Both the call and the awaitable may raise NotificationError, UnknownDevice or StoreUnavailable."""


class ListenSettings(Protocol):
    """Where to listen, from a binding's settings."""

    @property
    def bind(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def public_url(self) -> str: ...
    @property
    def max_body(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ListenerNames:
    """The names of one network's listener: for people, and of counters."""

    setting: str  # the section of its settings
    network: str  # the caller
    callers: str  # prefix of the counters of refused connections
    messages: str  # prefix of the counters of their requests
    internal: str  # the counter of bugs


@dataclass(frozen=True, slots=True)
class _Credentials:
    """Credentials as the Authorization header has them; without a scheme none are asked for."""

    scheme: str
    credentials: bytes

    def is_in(self, authorization: str) -> bool:
        if not self.scheme:
            return True
        scheme, _, shown = authorization.partition(" ")
        same = hmac.compare_digest(shown.strip(" ").encode(), self.credentials)
        return same and scheme.lower() == self.scheme.lower()  # RFC 9110 §11.1


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """What a listener is made with, and can be changed to."""

    names: ListenerNames
    listen: ListenSettings
    base: str  # start of the URL; empty: it is made from the address
    context: ssl.SSLContext | None
    credentials: _Credentials
    handlers: Mapping[str, CommitRequest]
    success: Answer
    kept: Callable[[Request], Answer | None]
    reads_before: bool
    limits: Limits
    count: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _FormerCredentials:
    """What callers had to show before a change, and until when that is still enough (seconds of the event loop)."""

    path: bytes
    credentials: _Credentials
    until: float


class CallbackListener:
    """Passes posts to `commit`, and posts with one more path segment to `handlers`.

    `count` increments a counter for operators. `kept` returns the answer to a post that was kept or passed on; None:
    `success`. `reads_before`: whether requests need the part of the path before the listener's own
    (`Request.before`); it is then a part of `Post.sub_path`, too.

    `authorization`: the value that the Authorization header must have, in addition to the secret path.
    """

    def __init__(
        self,
        names: ListenerNames,
        listen: ListenSettings,
        commit: CommitRequest,
        count: Callable[[str], None],
        *,
        context: ssl.SSLContext | None = None,
        authorization: str = "",
        success: Answer = NO_CONTENT,
        handlers: Mapping[str, CommitRequest] | None = None,
        kept: Callable[[Request], Answer | None] = lambda _request: None,
        reads_before: bool = False,
        limits: Limits | None = None,
    ) -> None:
        """Open nothing yet. Raises ConfigurationError if no network could reach the address."""
        scheme, _, credentials = authorization.partition(" ")
        self.settings = ListenerSettings(
            names,
            listen,
            _base(names, listen),
            context,
            _Credentials(scheme, credentials.encode()),
            {"": commit, **(handlers or {})},
            success,
            kept,
            reads_before,
            limits or Limits(listen.max_body),
            count,
        )
        self._path = b""
        self._former: list[_FormerCredentials] = []  # what callers may still show
        self._prepared: HttpServer | None = None  # at the address of the one that this becomes
        self._retired: dict[HttpServer, asyncio.TimerHandle] = {}  # servers at former addresses, and when they stop
        self._stopping: set[asyncio.Future[None]] = set()
        self._held: asyncio.Future[None] | None = None  # until it is done, requests wait
        self._under_way: set[asyncio.Future[Answer | None]] = set()
        self.server = HttpServer(self, self.settings.limits)
        self.keep: Keep | None = None
        self.pass_on: PassOn | None = None
        self.taken = 0
        self.url = ""

    async def start(self, secret: str) -> None:
        """Listen, if it does not yet; after that `url` is the URL for the network. Raises BindingError."""
        if self.server.address is None:
            await self._listen(self.server, self.settings)
        self._be_at(secret)

    async def prepare(self, other: "CallbackListener") -> None:
        """Listen at the address of another one too, if it is another address, so that `replace_with` cannot fail.

        `other` was made and not started. Where the former address has the same port, and both cannot be open together,
        the former one is closed. Raises BindingError: then nothing has changed.
        """
        listen = other.settings.listen
        if (listen.bind, listen.port) == (self.settings.listen.bind, self.settings.listen.port):
            return
        server = next((one for one in self._retired if one.address == (listen.bind, listen.port)), None)
        if server is not None:  # back to a former address that is still open
            self._retired.pop(server).cancel()
            server.change(other.settings.limits, other.settings.context)
        else:
            server = HttpServer(self, other.settings.limits)
            await self._listen_beside(server, other.settings)
        self._prepared = server

    def replace_with(self, other: "CallbackListener", secret: str, overlap: float) -> None:
        """Take over the settings of another listener that was prepared for, without a moment in which nobody listens.

        What is posted is for that one from now on; its bounds, certificate and credentials hold. For `overlap` seconds
        callers may still show the former path and credentials, and post to the former address.
        """
        loop = asyncio.get_running_loop()
        if overlap > 0:
            self._former.append(_FormerCredentials(self._path, self.settings.credentials, loop.time() + overlap))
        self.settings = other.settings
        if self._prepared is None:
            self.server.change(self.settings.limits, self.settings.context)
        else:
            self._retired[self.server] = loop.call_later(overlap, self._stop_retired, self.server)
            self.server, self._prepared = self._prepared, None
        self._be_at(secret)

    async def _listen(self, server: HttpServer, settings: ListenerSettings) -> None:
        listen = settings.listen
        try:
            await server.start(listen.bind, listen.port, settings.context)
        except OSError as error:
            raise BindingError(
                f"{settings.names.setting}: cannot listen on {listen.bind} port {listen.port}: "
                f"{error.strerror or error}; is another process using it?"
            ) from error

    async def _listen_beside(self, server: HttpServer, settings: ListenerSettings) -> None:
        """Let a server listen beside the others, or instead of those that have its port. Raises BindingError."""
        servers = [(one, one.address) for one in (self.server, *self._retired)]
        former = [(one, at) for one, at in servers if at is not None and at[1] == settings.listen.port]
        try:
            await self._listen(server, settings)
        except BindingError:
            if not former:
                raise
        else:
            return
        for one, _ in former:
            one.close_socket()
        try:
            await self._listen(server, settings)
        except BindingError as error:
            await _return(former, error)
            raise

    def _be_at(self, secret: str) -> None:
        # A reverse proxy may strip or keep the prefix of public_url: the last part decides.
        path = "/" + secret
        self._path = path.encode()
        base = self.settings.base
        if not base:
            host, port = self.address
            base = f"{'https' if self.settings.context else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        self.url = base + path

    def _stop_retired(self, server: HttpServer) -> None:
        self._retired.pop(server).cancel()
        stopping = asyncio.ensure_future(server.stop())
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)

    def pause(self) -> None:
        """Let requests wait until `proceed`: who takes them is not there for a moment."""
        if self._held is None:
            self._held = asyncio.get_running_loop().create_future()

    def proceed(self) -> None:
        """Have requests taken again, those that waited first."""
        if self._held is not None:
            self._held.set_result(None)
            self._held = None

    @property
    def address(self) -> tuple[str, int]:
        """Return the address on which the listener listens."""
        return self.server.address or (self.settings.listen.bind, self.settings.listen.port)

    async def stop(self) -> None:
        """Accept nothing more, and answer running requests."""
        self.proceed()
        for server in list(self._retired):
            self._stop_retired(server)
        if self._prepared is not None:
            await self._prepared.stop()
        await asyncio.gather(self.server.stop(), *self._stopping)

    # -- called by the server ------------------------------------------------------------------------------------

    def refuse(self, request: Request) -> Answer | None:
        """Refuse a request without the secret path or credentials, or that is not a POST."""
        path = request.path.rstrip("/")
        if not self._is_ours(path):
            before, _, request.sub_path = path.rpartition("/")
            if request.sub_path not in self.settings.handlers or not self._is_ours(before):
                return self._refuse(404, "wrong_path", request)
            path = before
        if self.settings.reads_before:
            request.before = path.rpartition("/")[0].rpartition("/")[2]
        if self.settings.credentials.scheme and not self._shows(request.headers.get("authorization", "")):
            return self._refuse(
                401, "wrong_credentials", request, ("WWW-Authenticate", self.settings.credentials.scheme)
            )
        if request.method != "POST":
            return self._refuse(405, "wrong_method", request, ("Allow", "POST"))
        if "content-encoding" in request.headers and not is_known(request.headers["content-encoding"]):
            return self._refuse(415, "wrong_coding", request, ("Accept-Encoding", ACCEPTED))
        return None

    def _is_ours(self, path: str) -> bool:
        return _ends_with(path, self._path) or any(_ends_with(path, one.path) for one in self._still_valid())

    def _shows(self, authorization: str) -> bool:
        return self.settings.credentials.is_in(authorization) or any(
            one.credentials.is_in(authorization) for one in self._still_valid()
        )

    def _still_valid(self) -> list["_FormerCredentials"]:
        if self._former:
            now = asyncio.get_running_loop().time()
            self._former = [one for one in self._former if one.until > now]
        return self._former

    def _refuse(self, status: int, why: str, request: Request, *headers: tuple[str, str]) -> Answer:
        self._turn_away(status, why, request.remote)
        return problem(status, why.replace("_", " "), headers)

    def connection_refused(self, why: str, remote: str) -> None:
        """Count a connection that the server refused."""
        self._turn_away(None, why, remote)

    def _turn_away(self, status: int | None, why: str, remote: str) -> None:
        name = f"{self.settings.names.callers}_{why}"
        self.settings.count(name)
        answered = f"with {status} " if status else ""
        log.warning("callback from %s refused %s(%s)", remote, answered, name, extra={"sample": name})

    def answer(self, request: Request, reply: Reply) -> None:
        """Process a request, and answer when its event is committed."""
        try:
            if "content-encoding" in request.headers:
                request.body = decoded(request.headers["content-encoding"], request.body, self.settings.listen.max_body)
            work = self._work(request) if self._held is None else self._later(request, self._held)
            if work is NOTHING_TO_COMMIT:
                self._succeed(reply, None)
                return
            self._await(request, reply, work)
        except Exception as error:  # noqa: BLE001  # each is answered
            self._fail(request, reply, error)

    def _await(self, request: Request, reply: Reply, work: Awaitable[Answer | None]) -> None:
        if isinstance(work, Commit) and not work.done():
            work.then = partial(self._committed, request, reply)
            return
        under_way = work if isinstance(work, asyncio.Future) else asyncio.ensure_future(work)
        self._under_way.add(under_way)
        under_way.add_done_callback(partial(self._done, request, reply))

    async def _later(self, request: Request, held: "asyncio.Future[None]") -> Answer | None:
        await held
        return await self._work(request)

    def _work(self, request: Request) -> Awaitable[Answer | None]:
        if self.keep is None:
            return self.settings.handlers[request.sub_path](request)
        return self._kept(self.keep, request)

    async def _kept(self, keep: Keep, request: Request) -> Answer | None:
        await keep(_post(request))
        return self.settings.kept(request)

    async def _passed_on(self, pass_on: PassOn, request: Request, shard: int) -> Answer | None:
        await pass_on(_post(request), shard)
        return self.settings.kept(request)

    def commit_kept(self, post: Post) -> Awaitable[Answer | None]:
        """Take a post that was kept; see `bindings.contract.PostListener`."""
        before, _, sub_path = post.sub_path.rpartition("/")
        if sub_path not in self.settings.handlers:
            raise NotificationError(f"the listener has no path {sub_path[:50]!r} any more")
        request = Request(method="POST", target=f"/?{post.query}", body=post.body, sub_path=sub_path, before=before)
        return self.settings.handlers[sub_path](request)

    def _committed(self, request: Request, reply: Reply, commit: Commit) -> None:
        error = commit.exception()
        if error is None:
            self._succeed(reply, None)
        else:
            self._not_taken(request, reply, error)

    def _done(self, request: Request, reply: Reply, work: asyncio.Future[Answer | None]) -> None:
        self._under_way.discard(work)
        error = asyncio.CancelledError() if work.cancelled() else work.exception()
        if error is None:
            self._succeed(reply, work.result())
        else:
            self._not_taken(request, reply, error)

    def _not_taken(self, request: Request, reply: Reply, error: BaseException) -> None:
        if isinstance(error, NotServedHere) and self.pass_on is not None:
            self._await(request, reply, self._passed_on(self.pass_on, request, error.shard))
        else:
            self._fail(request, reply, error)

    def _succeed(self, reply: Reply, answer: Answer | None) -> None:
        self.taken += 1
        reply(answer or self.settings.success)

    def not_kept(self, request: Request) -> None:
        """Learn that a request is answered 503: for callers that do not send it again."""

    def _fail(self, request: Request, reply: Reply, error: BaseException) -> None:
        if isinstance(error, NotificationError | UnknownDevice):
            kind = "unknown_device" if isinstance(error, UnknownDevice) else "refused"
            self.settings.count(f"{self.settings.names.messages}_{kind}")
            log.warning(
                "a callback of %s is answered %d: %s",
                self.settings.names.network,
                error.http_status,
                error,
                extra={"sample": self.settings.names.messages},
            )
            reply(problem(error.http_status, str(error)))
        elif isinstance(error, StoreUnavailable):
            self.settings.count(f"{self.settings.names.messages}_store_unavailable")
            log.warning(
                "a callback of %s is answered 503, and must be sent again: %s",
                self.settings.names.network,
                error,
                extra={"sample": f"{self.settings.names.messages} store"},
            )
            self.not_kept(request)
            reply(problem(503, "cannot be stored now; send it again later", _AGAIN_LATER))
        else:
            self.settings.count(self.settings.names.internal)
            log.error(
                "a callback of %s is answered 500 because of a bug in the bridge",
                self.settings.names.network,
                exc_info=error,
                extra={"sample": "callback 500"},
            )
            reply(problem(500, "internal error"))


async def _return(former: Sequence[tuple[HttpServer, tuple[str, int]]], why: BindingError) -> None:
    """Let servers listen again whose sockets were closed. Raises BindingError: then one of them does not listen."""
    for one, (host, port) in former:
        try:
            await one.listen(host, port)
        except OSError as error:
            raise BindingError(f"{why}; nor can it listen on {host} port {port} again: {error}") from error


def _post(request: Request) -> Post:
    sub_path = f"{request.before}/{request.sub_path}" if request.before else request.sub_path
    return Post(sub_path, request.query, request.body)


def _ends_with(path: str, secret: bytes) -> bool:
    return hmac.compare_digest(path[-len(secret) :].encode(), secret)


def _base(names: ListenerNames, listen: ListenSettings) -> str:
    """Return the start of the URL; empty: it is made from the address. Raises ConfigurationError."""
    base = listen.public_url.rstrip("/")
    if base and not base.startswith(("http://", "https://")):
        raise ConfigurationError(f"{names.setting}.public_url {base!r} must start with http:// or https://")
    if not base and listen.bind in _WILDCARDS:
        raise ConfigurationError(
            f"{names.setting}.public_url is empty, and nobody can reach bind {listen.bind!r}: set "
            f"public_url to the URL by which {names.network} reaches this machine"
        )
    return base
