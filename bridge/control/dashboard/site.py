"""Serves the dashboard's files of this package, and the sessions of browsers.

GET    /dashboard/            the page; everything that it needs is below
GET    /dashboard/session     who is signed in
POST   /dashboard/session     sign in with a key: {"key": "..."}
DELETE /dashboard/session     sign out
"""

import asyncio
import hashlib
import mimetypes
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from bridge.control.dashboard.sessions import COOKIE, LIFETIME
from bridge.control.rest.callers import Callers
from bridge.errors import NotFound, RequestError, UnknownCaller
from bridge.operations.access import Caller, holder_of
from bridge.operations.bridge import Bridge

ROOT = "/dashboard/"
_INDEX = "index.html"
_JSON = "application/json"
_LARGEST = 4096  # bytes of a sign-in
_PATIENCE = 10.0  # seconds for these bytes

# Trusted types: no text becomes markup, whatever a name contains.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",  # revalidated each time, and answered 304 until the next release
}
_PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class _SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[str, Meta(max_length=1000)] = ""
    code: Annotated[str, Meta(max_length=1000)] = ""


class _SignedIn(msgspec.Struct, frozen=True):
    """The signed-in user; `role` is null if nobody is signed in."""

    name: str = ""
    key: int = 0
    role: str | None = None
    events: bool = False  # whether there are events to follow


class Site:
    """Serves the dashboard on the listener of the API."""

    def __init__(self, bridge: Bridge, callers: Callers) -> None:
        self._bridge = bridge
        self._callers = callers

    def add_to(self, app: web.Application) -> None:
        """Add the dashboard's routes."""
        app.router.add_get("/", _to_the_page)
        app.router.add_get(ROOT.rstrip("/"), _to_the_page)
        app.router.add_get(ROOT, self._file)
        app.router.add_get(f"{ROOT}session", self._who)
        app.router.add_post(f"{ROOT}session", self._sign_in)
        app.router.add_delete(f"{ROOT}session", self._sign_out)
        app.router.add_get(f"{ROOT}{{file}}", self._file)

    @cached_property
    def _files(self) -> Mapping[str, bytes]:
        """Return all files, read at the first request, so that they cost nothing without a browser."""
        folder = resources.files(__package__) / "pages"
        return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info.get("file", _INDEX)
        body = self._files.get(name)
        if body is None:
            raise NotFound(f"the dashboard has no such file; it is at {ROOT}")
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {**_HEADERS, "ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        charset = None if kind.startswith("image/") else "utf-8"
        return web.Response(body=body, content_type=kind, charset=charset, headers=headers)

    async def _who(self, request: web.Request) -> web.Response:
        cookie = request.cookies.get(COOKIE)
        if cookie is None:
            return self._signed_in(None)
        try:
            return self._signed_in(await self._callers.holder_of_session(cookie))
        except UnknownCaller:
            return _without_cookie(self._signed_in(None))

    async def _sign_in(self, request: web.Request) -> web.Response:
        if request.content_type != _JSON or not 0 < (request.content_length or 0) <= _LARGEST:
            raise RequestError(f"the body must be {_JSON} of at most {_LARGEST} bytes, and its length be told")
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await request.read()
            asked = msgspec.json.decode(body, type=_SignIn)
        except TimeoutError:
            raise RequestError(f"the body did not come within {_PATIENCE:.0f} s") from None
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError, RecursionError) as error:
            raise RequestError(f"to sign in, send the key: {error}") from error
        caller = await self._caller(asked, request.remote or "")
        answer = self._signed_in(caller)
        answer.set_cookie(
            COOKIE,
            self._callers.sessions.begin(caller.id),
            max_age=int(LIFETIME),
            path="/",
            secure=request.secure or request.headers.get("Origin", "").startswith("https://"),
            httponly=True,
            samesite="Strict",
        )
        return answer

    async def _caller(self, asked: _SignIn, address: str) -> Caller:
        if not asked.code:
            return await self._callers.holder(f"Bearer {asked.key}", address)
        key = self._bridge.codes.redeem(asked.code)
        if key is None:
            raise UnknownCaller("this link was used, or is too old; lwm2m-bridge dashboard makes a new one")
        return await holder_of(self._bridge, key)

    async def _sign_out(self, request: web.Request) -> web.Response:
        self._callers.sessions.end(request.cookies.get(COOKIE, ""))
        return _without_cookie(self._signed_in(None))

    def _signed_in(self, caller: Caller | None) -> web.Response:
        who = _SignedIn(events=self._bridge.has_events)
        if caller is not None:
            who = msgspec.structs.replace(who, name=caller.name, key=caller.id, role=caller.role.value)
        return web.Response(body=msgspec.json.encode(who), content_type=_JSON, headers=_PRIVATE)


async def _to_the_page(_request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": ROOT, **_PRIVATE})


def _without_cookie(answer: web.Response) -> web.Response:
    answer.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
    return answer
