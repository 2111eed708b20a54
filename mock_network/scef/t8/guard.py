"""Middleware of every T8 request: the record, problem details, credentials, faults."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

from aiohttp import web

from mock_network.faults import Fault
from mock_network.scef.core import Refusal, RefusedError
from mock_network.scef.schema import NiddStatus
from mock_network.scef.shell import Shell
from mock_network.scef.t8 import odd_answers
from mock_network.scef.t8.occasion import Occasion, owner_of
from mock_network.scef.t8.problems import BadRequestError, failed_downlink, problem, refusal, timestamp, unauthorised
from mock_network.scef.t8.reading import check_headers

REQUESTS_KEPT = 100_000
OTHER_ROOT = "/other"  # before the apiRoot's own path: the same APIs, to which redirects point

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>gateway</body></html>\n"
_FAILED = 500
_SLOW_PIECES = 1000  # at most, of a body that is written slowly; a body of fewer octets comes octet by octet


class Guard:
    """The middlewares of one SCEF, and its record of requests."""

    def __init__(self, service: Shell) -> None:
        self.records: list[dict[str, Any]] = []
        self._service = service
        self._numbers = 0
        self._dated = (-1, "")
        self._notes: dict[int, dict[str, Any]] = {}  # of requests under way, for the record

    def note(self, request: web.Request, **what: Any) -> None:
        """Add to the record of a request."""
        self._notes[id(request)].update(what)

    def middlewares(self) -> list[Any]:
        """Return them, the outermost first."""
        return [self.record, self.problems, self.check]

    async def date(self, _: web.Request, response: web.StreamResponse) -> None:
        """Write the Date of the SCEF's own clock."""
        second = math.floor(self._service.clock.wall() + self._service.core.context.skew)
        if second != self._dated[0]:
            self._dated = (second, formatdate(second, usegmt=True))
        response.headers["Date"] = self._dated[1]

    @web.middleware
    async def record(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Record the request and its answer."""
        notes = self._notes[id(request)] = {}
        try:
            response = await handler(request)
        finally:
            del self._notes[id(request)]
        self._numbers += 1
        self.records.append(
            {
                "number": self._numbers,
                "time": round(self._service.clock.wall(), 6),
                "method": request.method,
                "path": request.path,
                "status": response.status,
                "delivery": notes.get("delivery"),
                "cut": notes.get("cut", False),
            }
        )
        if len(self.records) > REQUESTS_KEPT:
            del self.records[: REQUESTS_KEPT // 10]
        self._service.happenings.happened()
        return response

    @web.middleware
    async def problems(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer errors with problem details."""
        try:
            return await handler(request)
        except BadRequestError as error:
            invalid = [{"param": error.param, "reason": error.reason}]
            return problem(400, "INVALID_MSG_FORMAT", str(error), invalidParams=invalid)
        except web.HTTPException as error:
            headers = {name: value for name, value in error.headers.items() if name == "Allow"}
            return problem(error.status, None, error.reason, headers=headers)

    @web.middleware
    async def check(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Check credentials, and let faults happen around the request."""
        if request.path.endswith("/oauth2/token"):
            return await handler(request)
        if not self._service.faults.any_armed:
            return await self._handled(request, handler)
        occasion = (await Occasion.of(request, self._service.core))._asdict()

        def take(kind: str) -> Fault | None:
            return self._service.faults.draw(kind, **occasion)

        if (early := self._before(request, take, occasion["api"])) is not None:
            return early
        late = take("http_error") or take("proxy_page")
        if late is not None and not late.params.get("processed", False):
            return self._error(late)
        response = await self._handled(request, handler)
        if late is not None:
            return self._error(late)
        if isinstance(response, web.Response):
            odd_answers.alter(response, take, self._service.now())
        return await self._sent(request, response, take)

    def race(self, api: str, resource: str, scs_as: str, ue: str) -> float | None:
        """Return how long the answer to a POST is to wait for the notification of its end; None: not at all."""
        faults = self._service.faults
        if not faults.any_armed:
            return None
        occasion = Occasion(api, "POST", resource, scs_as, ue)
        fault = faults.draw("status_before_answer", **occasion._asdict())
        return None if fault is None else float(fault.params.get("seconds", 5.0))

    async def _handled(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        service = self._service
        client = service.authority.client(request.headers.get("Authorization"), service.clock.wall())
        if client is None:
            return unauthorised()
        if not client.may_be(request.match_info.get("scs_as", "")):
            return self.refused(RefusedError(Refusal.NOT_ALLOWED))
        check_headers(request)
        asked, now = f"{request.method} {request.path}", service.clock.wall()
        service.findings.asked(asked)
        try:
            return await handler(request)
        except RefusedError as refused:
            if refused.wait is not None:
                service.findings.refused_until(asked, now + refused.wait)
            return self.refused(refused)

    def refused(self, refused: RefusedError) -> web.Response:
        """Return a refusal as this SCEF writes it."""
        again = None if refused.retry_at is None else self._service.core.context.written(refused.retry_at)
        return refusal(self._service.profile, refused, again)

    # Faults

    def _before(self, request: web.Request, take: Callable[[str], Fault | None], api: str) -> web.StreamResponse | None:
        """Let faults happen that come before the request is looked at; return an answer if that is the end of it."""
        if take("cut_before_processing"):
            return self._cut(request)
        redirected = request.path.startswith(OTHER_ROOT)
        if not redirected and (fault := take("redirect")):
            location = f"{self._service.origin}{OTHER_ROOT}{request.path_qs}"
            return web.Response(status=int(fault.params.get("status", 307)), headers={"Location": location})
        if take("tokens_revoked"):
            self._service.authority.revoke()
        configuration = owner_of(request, self._service.core, api) if api == "nidd" else None
        if configuration is not None:
            configurations = self._service.core.configurations
            if take("configuration_lost"):
                self._service.act(lambda now: configurations.remove(configuration, now))
            elif take("configuration_terminated"):
                self._service.act(lambda now: configurations.terminate(configuration, NiddStatus.TERMINATED, now))
        if fault := take("refuse"):
            return self._refusal_on_purpose(request, fault)
        return None

    def _refusal_on_purpose(self, request: web.Request, fault: Fault) -> web.Response:
        why = Refusal.__members__.get(str(fault.params.get("why", "")), Refusal.QUEUE_FULL)
        retry_in = fault.params.get("retry_in")
        retry_at = None if retry_in is None else self._service.clock.wall() + float(retry_in)
        downlink = "/downlink-data-deliveries" in request.path and request.method != "GET"
        return self.refused(RefusedError(why, downlink=downlink, retry_at=retry_at))

    def _error(self, fault: Fault) -> web.Response:
        params = fault.params
        if fault.kind == "proxy_page":
            status = int(params.get("status", 502))
            title = f"{status} {web.Response(status=status).reason}"
            return web.Response(status=status, text=_PAGE.format(title), content_type="text/html")
        status = int(params.get("status", 503))
        if status == 401:  # noqa: PLR2004  # Unauthorized has its own header
            return unauthorised()
        headers = {"Retry-After": str(params["retry_after"])} if "retry_after" in params else None
        cause = None if params.get("cause") is None else str(params["cause"])
        if "retry_in" not in params:
            return problem(status, cause, "by fault http_error", headers=headers)
        moment = self._service.clock.wall() + float(params["retry_in"])
        again = timestamp(self._service.core.context.written(moment))
        if status == _FAILED:
            return failed_downlink(status, cause, "by fault http_error", again)
        return problem(status, cause, "by fault http_error", headers=headers, requestedRetransmissionTime=again)

    async def _sent(
        self, request: web.Request, response: web.StreamResponse, take: Callable[[str], Fault | None]
    ) -> web.StreamResponse:
        if fault := take("slow_answer"):
            await asyncio.sleep(float(fault.params.get("seconds", 5.0)))
        if take("cut_after_processing"):
            return self._cut(request)
        body = response.body if isinstance(response, web.Response) else None
        if not isinstance(body, bytes) or not body:
            return response
        if take("cut_in_answer"):
            stream = await self._begun(request, response, len(body))
            await stream.write(body[: len(body) // 2])
            self._cut(request)
            return stream
        if fault := take("slow_body"):
            stream = await self._begun(request, response, len(body))
            size = -(-len(body) // _SLOW_PIECES)
            pieces = [body[at : at + size] for at in range(0, len(body), size)]
            for piece in pieces:
                await stream.write(piece)
                await asyncio.sleep(float(fault.params.get("seconds", 5.0)) / len(pieces))
            return stream
        return response

    @staticmethod
    async def _begun(request: web.Request, response: web.StreamResponse, length: int) -> web.StreamResponse:
        stream = web.StreamResponse(status=response.status, headers=response.headers)
        stream.content_length = length
        await stream.prepare(request)
        return stream

    def _cut(self, request: web.Request) -> web.Response:
        """Break the connection; the returned response is never sent."""
        self.note(request, cut=True)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
