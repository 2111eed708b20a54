"""3gpp-nidd/v1 over HTTP (TS 29.122 §5.6.3), and the token endpoint."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from mock_network.faults import Fault
from mock_network.scef import messages as m
from mock_network.scef.model import Configuration, Delivery
from mock_network.scef.tables import Refusal, Status
from mock_network.scef.wire import BadRequestError, Reader, timestamp

if TYPE_CHECKING:
    from mock_network.scef.service import ScefService

MAXIMUM_BODY = 64 * 1024  # octets
REQUESTS_KEPT = 100_000
_MERGE_PATCH = "application/merge-patch+json"
_JSON = "application/json"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, cause: str | None = None, detail: str | None = None, **more: Any) -> web.Response:
    """Make a problem details answer (TS 29.122 §5.2.1.2.12)."""
    headers = more.pop("headers", None)
    body = {"title": web.Response(status=status).reason, "status": status, "detail": detail, "cause": cause, **more}
    text = json.dumps({name: value for name, value in body.items() if value is not None})
    return web.Response(status=status, text=text, content_type="application/problem+json", headers=headers)


def t8_app(service: "ScefService") -> web.Application:
    """Make the T8 side of an emulated SCEF."""
    api = _T8(service)
    app = web.Application(middlewares=[api.record, api.problems, api.guard], client_max_size=MAXIMUM_BODY)
    base = f"{service.profile.api_prefix}/3gpp-nidd/v1/{{scs_as}}/configurations"
    one = f"{base}/{{configuration}}"
    app.add_routes(
        [
            web.post(f"{service.profile.api_prefix}/oauth2/token", api.token),
            web.get(base, api.configurations),
            web.post(base, api.create),
            web.get(one, api.configuration),
            web.patch(one, api.modify),
            web.delete(one, api.delete),
            web.get(f"{one}/downlink-data-deliveries", api.deliveries),
            web.post(f"{one}/downlink-data-deliveries", api.submit),
            web.get(f"{one}/downlink-data-deliveries/{{delivery}}", api.delivery),
            web.put(f"{one}/downlink-data-deliveries/{{delivery}}", api.replace),
            web.delete(f"{one}/downlink-data-deliveries/{{delivery}}", api.cancel),
        ]
    )
    if service.profile.patch_delivery:
        app.router.add_patch(f"{one}/downlink-data-deliveries/{{delivery}}", api.patch)
    return app


class _UnknownConfigurationError(Exception):
    """The path names no configuration of this SCS/AS."""


class _T8:
    def __init__(self, service: "ScefService") -> None:
        self._service = service
        self._numbers = 0
        self._notes: dict[int, dict[str, Any]] = {}  # of requests under way, for the record

    # Around every request

    @web.middleware
    async def record(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        notes = self._notes[id(request)] = {}
        try:
            response = await handler(request)
        finally:
            del self._notes[id(request)]
        requests = self._service.requests
        self._numbers += 1
        requests.append(
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
        if len(requests) > REQUESTS_KEPT:
            del requests[: REQUESTS_KEPT // 10]
        return response

    @web.middleware
    async def problems(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadRequestError as error:
            invalid = [{"param": error.param, "reason": error.reason}]
            return problem(400, "INVALID_MSG_FORMAT", str(error), invalidParams=invalid)
        except _UnknownConfigurationError:
            return self._refusal(Refusal.CONFIGURATION_UNKNOWN)
        except web.HTTPException as error:
            headers = {name: value for name, value in error.headers.items() if name == "Allow"}
            return problem(error.status, None, error.reason, headers=headers)

    @web.middleware
    async def guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Check credentials, and let faults happen around the request."""
        if request.path.endswith("/oauth2/token"):
            return await handler(request)
        service = self._service
        if not service.authority.allows(request.headers.get("Authorization"), service.clock.wall()):
            return _unauthorised()
        resource = "deliveries" if "downlink-data-deliveries" in request.path else "configurations"
        context = {"method": request.method, "resource": resource, "scs_as": request.match_info.get("scs_as", "")}
        if service.fault("cut_before_processing", **context):
            return self._cut(request)
        error = service.fault("http_error", **context)
        if error is not None and not error.params.get("processed", False):
            return _error(error)
        response = await handler(request)
        if error is not None:
            return _error(error)
        if slow := service.fault("slow_answer", **context):
            await asyncio.sleep(float(slow.params.get("seconds", 5.0)))
        if service.fault("cut_after_processing", **context):
            return self._cut(request)
        return response

    def _cut(self, request: web.Request) -> web.Response:
        """Break the connection; what is returned never leaves."""
        self._notes[id(request)]["cut"] = True
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def token(self, request: web.Request) -> web.Response:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        headers = {"Cache-Control": "no-store"}
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400, headers=headers)
        service = self._service
        token = service.authority.issue(request.headers.get("Authorization"), form, service.clock.wall())
        if token is None:
            return web.json_response({"error": "invalid_client"}, status=401, headers=headers)
        return web.json_response(token, headers=headers)

    # Configurations

    async def configurations(self, request: web.Request) -> web.Response:
        scs_as = request.match_info["scs_as"]
        mine = [c for c in self._service.core.configurations.values() if c.scs_as == scs_as]
        return web.json_response([self._body(configuration) for configuration in mine])

    async def create(self, request: web.Request) -> web.Response:
        reader = await self._read(request, _JSON)
        scs_as = request.match_info["scs_as"]
        answer = await self._service.ask(lambda ticket: reader.configuration(ticket, scs_as))
        if not isinstance(answer, m.Configured):
            return self._refused(answer)
        configuration = answer.configuration
        body = self._body(configuration, answer)
        return web.json_response(body, status=201, headers={"Location": body["self"]})

    async def configuration(self, request: web.Request) -> web.Response:
        return web.json_response(self._body(self._find(request)))

    async def modify(self, request: web.Request) -> web.Response:
        configuration = self._find(request)
        changes = (await self._read(request, _MERGE_PATCH)).configuration_changes()
        answer = await self._service.ask(lambda ticket: m.Modify(ticket, configuration.id, changes))
        if not isinstance(answer, m.Configured):
            return self._refused(answer)
        if self._service.profile.no_content:
            return web.Response(status=204)
        return web.json_response(self._body(configuration))

    async def delete(self, request: web.Request) -> web.Response:
        configuration = self._find(request)
        answer = await self._service.ask(lambda ticket: m.Delete(ticket, configuration.id))
        return web.Response(status=204) if isinstance(answer, m.Done) else self._refused(answer)

    # Deliveries

    async def deliveries(self, request: web.Request) -> web.Response:
        configuration = self._find(request)
        return web.json_response([self._pending(configuration, one) for one in configuration.deliveries.values()])

    async def submit(self, request: web.Request) -> web.Response:
        service, configuration = self._service, self._find(request)
        downlink = (await self._read(request, _JSON)).downlink()
        race = service.fault("status_before_answer", ue=configuration.ue)
        answer = await service.ask(
            lambda ticket: m.Submit(ticket, configuration.id, downlink, as_pending=race is not None)
        )
        if not isinstance(answer, m.Taken):
            return self._refused(answer)
        self._notes[id(request)]["delivery"] = answer.delivery.id
        if race is not None and answer.status is Status.SENDING:
            await service.settled(answer.delivery.id, float(race.params.get("seconds", 5.0)))
        body = service.writer.delivery(configuration, answer.delivery, answer.status, answer.retry_at)
        if answer.status.final:
            return web.json_response(body)
        return web.json_response(body, status=201, headers={"Location": body["self"]})

    async def delivery(self, request: web.Request) -> web.Response:
        configuration = self._find(request)
        delivery = configuration.deliveries.get(request.match_info["delivery"])
        if delivery is None:
            return self._refusal(Refusal.DELIVERY_UNKNOWN)
        return web.json_response(self._pending(configuration, delivery))

    def _pending(self, configuration: Configuration, delivery: Delivery) -> dict[str, Any]:
        """Write a delivery as it is now."""
        downlinks = self._service.core.downlinks
        status, retry_at = downlinks.status(delivery), downlinks.retry_at(delivery)
        return self._service.writer.delivery(configuration, delivery, status, retry_at)

    async def replace(self, request: web.Request) -> web.Response:
        reader = await self._read(request, _JSON)
        if reader.downlink().ue != self._find(request).ue:
            return self._refusal(Refusal.IDENTITY_MISMATCH)
        changes = reader.downlink_changes()
        absent = {"reliable": False, "rds_port": None, "maximum_latency": None, "priority": 0, "pdn_option": None}
        return await self._change(request, {**absent, "has_priority": False, **changes})

    async def patch(self, request: web.Request) -> web.Response:
        return await self._change(request, (await self._read(request, _JSON)).downlink_changes())

    async def _change(self, request: web.Request, changes: dict[str, Any]) -> web.Response:
        service, configuration, delivery = self._service, self._find(request), request.match_info["delivery"]
        answer = await service.ask(lambda ticket: m.Replace(ticket, configuration.id, delivery, changes))
        if not isinstance(answer, m.Taken):
            return self._refused(answer)
        if service.profile.no_content:
            return web.Response(status=204)
        return web.json_response(
            service.writer.delivery(configuration, answer.delivery, answer.status, answer.retry_at)
        )

    async def cancel(self, request: web.Request) -> web.Response:
        configuration, delivery = self._find(request), request.match_info["delivery"]
        answer = await self._service.ask(lambda ticket: m.Cancel(ticket, configuration.id, delivery))
        return web.Response(status=204) if isinstance(answer, m.Done) else self._refused(answer)

    # Common parts

    async def _read(self, request: web.Request, kind: str) -> Reader:
        if request.content_type != kind:
            raise web.HTTPUnsupportedMediaType(reason=f"the body must be {kind}")
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError) as error:
            raise BadRequestError("/", f"is not JSON: {error}") from error
        return Reader(body, self._service.core.find)

    def _find(self, request: web.Request) -> Configuration:
        """Find the configuration that the path names, of this SCS/AS only."""
        configuration = self._service.core.configurations.get(request.match_info["configuration"])
        if configuration is None or configuration.scs_as != request.match_info["scs_as"]:
            raise _UnknownConfigurationError
        return configuration

    def _body(self, configuration: Configuration, answer: m.Configured | None = None) -> dict[str, Any]:
        size = self._service.core.downlinks.packet_size(self._service.core.cell.ues[configuration.ue])
        return self._service.writer.configuration(configuration, size, answer.deliveries if answer else ())

    def _refused(self, answer: m.Effect) -> web.Response:
        if not isinstance(answer, m.Refused):
            raise TypeError(f"the core gave {answer!r}")
        return self._refusal(answer.why, answer)

    def _refusal(self, why: Refusal, answer: m.Refused | None = None) -> web.Response:
        profile = self._service.profile
        status, cause = profile.refusal(why)
        detail = why.value if profile.coded_detail is None else f"{profile.coded_detail}: {why.value}"
        retry_at = None if answer is None or answer.retry_at is None else timestamp(answer.retry_at)
        headers = None
        if answer is not None and answer.wait is not None:
            headers = {"Retry-After": str(max(1, round(answer.wait)))}
        if answer is None or not answer.downlink or status != 500 or profile.problem_json_for_failures:  # noqa: PLR2004
            return problem(status, cause, detail, headers=headers, requestedRetransmissionTime=retry_at)
        body: dict[str, Any] = {
            "problemDetail": {"title": "Internal Server Error", "status": status, "detail": detail, "cause": cause}
        }
        if retry_at is not None:
            body["requestedRetransmissionTime"] = retry_at
        return web.json_response(body, status=status)


def _unauthorised() -> web.Response:
    return problem(401, None, "credentials are missing, wrong or expired", headers={"WWW-Authenticate": "Bearer"})


def _error(fault: Fault) -> web.Response:
    status = int(fault.params.get("status", 503))
    if status == 401:  # noqa: PLR2004
        return _unauthorised()
    headers = {"Retry-After": str(fault.params["retry_after"])} if "retry_after" in fault.params else None
    return problem(status, None, "by fault http_error", headers=headers)
