"""A proxy between bridge and SCEF that records all T8 traffic and holds it against 3GPP's OpenAPI files.

    async with T8Proxy(scef_root, openapi_dir=openapi_dir()) as proxy:
        ... api_root = proxy.url ...
    # leaving raises T8Violations if anything was not conforming

Both directions pass through: notificationDestination is replaced by a URL of the proxy on its way to the SCEF, and put
back on the way to the bridge. What is judged and recorded is what the parties sent, before any such change.
"""

import asyncio
import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from tests.t8.files import APIS
from tests.t8.openapi import Answer, Request, judge

_HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "te"}
_BODY_LIMIT = 1 << 28  # bytes


class T8Violations(AssertionError):
    """Traffic that is not as TS 29.122 has it."""


class T8Proxy:
    """Start with `async with`. `url` is the api_root for the bridge; `records` and `violations` grow with the traffic.

    `upstream` is the SCEF's apiRoot; `openapi_dir` the folder with 3GPP's files, without which all is recorded and
    nothing judged; `record` a file for the records as JSON lines; `strict`: leaving raises on any violation; `tolerate`
    are texts that make a violation none.
    """

    def __init__(
        self,
        upstream: str,
        openapi_dir: Path | None,
        *,
        record: Path | None = None,
        strict: bool = True,
        tolerate: tuple[str, ...] = (),
        port: int = 0,
    ) -> None:
        self._upstream = upstream.rstrip("/")
        self._judge = judge(openapi_dir)
        self._record = record
        self._strict = strict
        self._tolerate = tolerate
        self._port = port
        self._destinations: dict[str, str] = {}  # proxy's callback URL → the bridge's
        self.records: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=True, timeout=aiohttp.ClientTimeout(total=120), connector=aiohttp.TCPConnector(limit=0)
        )
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None, request_factory=_request))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()
        if self._strict and kind is None:
            self.check()

    def check(self) -> None:
        """Raise T8Violations if there were any so far."""
        if self.violations:
            raise T8Violations(f"{len(self.violations)} in all, the first ones:\n" + "\n".join(self.violations[:20]))

    def callback(self, destination: str) -> str:
        """Return the URL that stands for one of the bridge's, for what the SCEF is configured with."""
        for ours, theirs in self._destinations.items():
            if theirs == destination:
                return ours
        ours = f"{self.url}/t8-proxy-callback/{len(self._destinations) + 1}"
        self._destinations[ours] = destination
        return ours

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.path.startswith("/t8-proxy-callback/"):
            return await self._callback(request, body)
        return await self._api(request, body)

    async def _api(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        sent = Request(request.method.lower(), _judged_path(request.path), body or None, request.content_type)
        found = self._judge.request(sent)
        try:
            status, headers, answer = await self._forward(
                request, self._upstream + request.rel_url.raw_path_qs, self._outward(body)
            )
        except aiohttp.ClientError as error:
            self._note("api", request, body, None, f"no answer: {error!r}".encode(), found)
            _cut(request)
            return web.Response()
        got = Answer(status, answer or None, _media_type(headers), headers)
        found += self._judge.answer(sent, got)
        self._note("api", request, body, status, answer, found)
        return web.Response(status=status, headers=_end_to_end(headers), body=self._inward(answer))

    async def _callback(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        found = self._judge.callback(body)
        if request.method != "POST":
            found.append(f"callback: method {request.method}")
        if request.content_type != "application/json":
            found.append(f"callback: as {request.content_type}, not application/json")
        destination = self._destinations.get(self.url + request.path)
        if destination is None:
            self._note("callback", request, body, 404, b"", [*found, "callback: to a URL that nobody gave"])
            return web.Response(status=404)
        try:
            status, headers, answer = await self._forward(request, destination, body)
        except aiohttp.ClientError as error:
            self._note("callback", request, body, None, f"no answer: {error!r}".encode(), found)
            _cut(request)
            return web.Response()
        found += self._judge.callback_answer(status, headers.get("Content-Type", ""), answer, body)
        self._note("callback", request, body, status, answer, found)
        return web.Response(status=status, headers=_end_to_end(headers), body=answer or None)

    async def _forward(self, request: web.BaseRequest, url: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        async with self._session.request(
            request.method,
            URL(url, encoded=True),
            data=body or None,
            headers=_end_to_end(request.headers),
            allow_redirects=False,
            skip_auto_headers={"User-Agent", "Content-Type"},
        ) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    def _outward(self, body: bytes) -> bytes:
        """Put a URL of ours instead of the bridge's notificationDestination."""
        content = _parsed(body)
        if not isinstance(content, dict) or not isinstance(content.get("notificationDestination"), str):
            return body
        content["notificationDestination"] = self.callback(content["notificationDestination"])
        return json.dumps(content).encode()

    def _inward(self, body: bytes) -> bytes:
        """Put the bridge's own notificationDestination back into an answer."""
        for ours, theirs in sorted(self._destinations.items(), key=lambda pair: -len(pair[0])):
            body = body.replace(json.dumps(ours).encode(), json.dumps(theirs).encode())
        return body

    def _note(
        self, way: str, request: web.BaseRequest, body: bytes, status: int | None, answer: bytes, found: list[str]
    ) -> None:
        bad = [text for text in found if not any(word in text for word in self._tolerate)]
        entry = {
            "at": time.time(),
            "way": way,
            "method": request.method,
            "path": request.path,
            "request": _shown(body),
            "status": status,
            "answer": _shown(answer),
            "violations": bad,
        }
        self.records.append(entry)
        self.violations += [f"{way} {request.method} {request.path} {status}: {text}" for text in bad]
        if self._record is not None:
            with self._record.open("a") as lines:
                lines.write(json.dumps(entry) + "\n")


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_BODY_LIMIT)


def _cut(request: web.BaseRequest) -> None:
    """Let the caller see what we saw: a connection that breaks."""
    if request.transport is not None:
        request.transport.abort()


def _judged_path(path: str) -> str:
    """Drop the prefix of the apiRoot, which the files know nothing of."""
    for api in APIS:
        _, found, after = path.partition(api)
        if found:
            return found + after
    return path


def _media_type(headers: dict[str, str]) -> str:
    return headers.get("Content-Type", "").lower()


def _end_to_end(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _shown(body: bytes) -> Any:
    content = _parsed(body)
    return content if content is not None else body.decode(errors="replace")
