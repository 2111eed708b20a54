"""The control API: the operator's and the tester's hand. No credentials, so on loopback only.

GET    /                              addresses, profile, token
GET    /statistics                    counters, and the answers that notifications got
GET    /clock                         {"wall", "monotonic", "skew"}, in seconds
GET    /settings                      clock_skew, mo_sms_url, nidd_trigger_url,
                                      callback_authorization, client_secrets; PATCH
       /ues …                         see `control_ues`
GET    /groups                        {External Group Identifier: [UE]}; POST {"external_group_id", "members"} makes one
GET    /configurations                all, of every SCS/AS
POST   /configurations/{id}/terminate {"status"}: the operator ends it
GET    /triggers, /subscriptions, /parameters   the same of the other APIs
GET    /air-log                       ?since=NUMBER &ue= &what= &wait=SECONDS &format=lines (JSON lines)
GET    /findings                      misuse by the client: kind, count, example
GET    /notifications, /requests      each attempt and its answer, ?since=NUMBER &wait=SECONDS
GET    /faults                        armed, known, happened; POST arms one; DELETE disarms all
DELETE /faults/{id}                   disarms one
POST   /tokens/revoke                 issued access tokens are void from now on
POST   /sink, /sink/…                 takes notifications, for a client without listener; GET shows them, ?since= &wait=
"""

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import web

from mock_network.control_api import Problem, body_of, errors_as_json, fault_routes
from mock_network.scef.control_ues import UesControl
from mock_network.scef.options import Group
from mock_network.scef.schema import NiddStatus
from mock_network.scef.shell import Shell

Line = dict[str, Any]
SUNK_KEPT = 1_000  # notifications that came to the sink


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What can be changed of a running SCEF."""

    clock_skew: float = 0.0
    mo_sms_url: str | None = None
    nidd_trigger_url: str | None = None
    callback_authorization: str | None = None
    client_secrets: tuple[str, ...]  # of `client_id`, for OAuth 2.0 and Basic: two while one replaces the other


def control_app(service: Shell) -> web.Application:
    """Return the control side of an emulated SCEF."""
    api = _Control(service)
    app = web.Application(middlewares=[errors_as_json])
    app.add_routes(
        [
            web.get("/", api.root),
            web.get("/statistics", api.statistics),
            web.get("/clock", api.clock),
            web.get("/settings", api.settings),
            web.patch("/settings", api.set),
            *UesControl(service).routes(),
            web.get("/groups", api.groups),
            web.post("/groups", api.add_group),
            web.get("/configurations", api.configurations),
            web.post("/configurations/{configuration}/terminate", api.terminate),
            web.get("/triggers", api.triggers),
            web.get("/subscriptions", api.subscriptions),
            web.get("/parameters", api.parameters),
            web.get("/findings", api.findings),
            web.get("/air-log", api.air_log),
            web.get("/notifications", api.notifications),
            web.get("/requests", api.requests),
            *fault_routes(lambda: service.faults),
            web.post("/tokens/revoke", api.revoke),
            web.post("/sink{path:.*}", api.sink),
            web.get("/sink", api.sunk),
        ]
    )
    return app


class _Control:
    def __init__(self, service: Shell) -> None:
        self._service = service
        self._sunk: deque[Line] = deque(maxlen=SUNK_KEPT)
        self._numbers = itertools.count(1)

    async def root(self, _: web.Request) -> web.Response:
        return web.json_response(self._service.ready())

    async def clock(self, _: web.Request) -> web.Response:
        clock, skew = self._service.clock, self._service.core.context.skew
        return web.json_response({"wall": clock.wall(), "monotonic": clock.monotonic(), "skew": skew})

    async def statistics(self, _: web.Request) -> web.Response:
        service = self._service
        return web.json_response(
            {
                "air": service.core.air_log.counts,
                "deliveries": service.core.context.counts,
                "notifications": service.notifier.counts,
                "notifications_waiting": service.notifier.waiting,
                "faults": service.faults.happened,
                "ues": len(service.core.cell.ues),
                "configurations": len(service.core.configurations.all),
            }
        )

    # Settings

    def _settings(self) -> Settings:
        service = self._service
        return Settings(
            clock_skew=service.core.context.skew,
            mo_sms_url=service.destinations.urls.mo_sms,
            nidd_trigger_url=service.destinations.urls.nidd_trigger,
            callback_authorization=service.notifier.access.authorization,
            client_secrets=service.authority.secrets,
        )

    async def settings(self, _: web.Request) -> web.Response:
        return web.json_response(msgspec.to_builtins(self._settings()))

    async def set(self, request: web.Request) -> web.Response:
        service = self._service
        wanted = msgspec.convert({**msgspec.structs.asdict(self._settings()), **await body_of(request)}, Settings)
        service.core.context.skew = wanted.clock_skew
        service.destinations.urls.mo_sms = wanted.mo_sms_url
        service.destinations.urls.nidd_trigger = wanted.nidd_trigger_url
        service.notifier.access.authorization = wanted.callback_authorization
        service.authority.secrets = wanted.client_secrets
        return await self.settings(request)

    # Groups and resources

    async def groups(self, _: web.Request) -> web.Response:
        return web.json_response(self._service.core.subscribers.groups)

    async def add_group(self, request: web.Request) -> web.Response:
        group = msgspec.convert(await body_of(request), Group)
        self._service.core.subscribers.add_group(group.external_group_id, group.members)
        return web.json_response(self._service.core.subscribers.groups, status=201)

    async def configurations(self, _: web.Request) -> web.Response:
        service = self._service
        return web.json_response(
            [
                {
                    "id": c.id,
                    "scs_as": c.scs_as,
                    "ue": c.ue,
                    "group": c.group,
                    "destination": c.terms.notification_destination,
                    "duration": c.ends,
                    "features": c.features,
                    "deliveries": {d.id: service.core.downlinks.status(d).value for d in c.deliveries.values()},
                }
                for c in service.core.configurations.all.values()
            ]
        )

    async def terminate(self, request: web.Request) -> web.Response:
        core = self._service.core
        configuration = core.configurations.all.get(request.match_info["configuration"])
        if configuration is None:
            raise Problem(404, "no such configuration")
        status = NiddStatus((await body_of(request)).get("status", "TERMINATED"))
        self._service.act(lambda now: core.configurations.terminate(configuration, status, now))
        return web.Response(status=204)

    async def triggers(self, _: web.Request) -> web.Response:
        bodies, all_of = self._service.bodies, self._service.core.sms.all
        return web.json_response([bodies.trigger(one) | {"ue": one.ue} for one in all_of.values()])

    async def subscriptions(self, _: web.Request) -> web.Response:
        bodies, all_of = self._service.bodies, self._service.core.monitoring.all
        return web.json_response([bodies.subscription(one) | {"ues": one.ues} for one in all_of.values()])

    async def parameters(self, _: web.Request) -> web.Response:
        bodies, all_of = self._service.bodies, self._service.core.parameters.all
        return web.json_response([bodies.provision(one) | {"ues": one.ues} for one in all_of.values()])

    # Records

    async def air_log(self, request: web.Request) -> web.Response:
        query = request.query

        def lines() -> list[Line]:
            found = (entry.to_json() for entry in self._service.core.air_log.lines)
            return [
                line
                for line in _since(request, found)
                if all(line[name] == query[name] for name in ("ue", "what") if name in query)
            ]

        chosen = await self._waited(request, lines)
        if query.get("format") == "lines":
            text = "".join(json.dumps(line) + "\n" for line in chosen)
            return web.Response(text=text, content_type="application/x-ndjson")
        return web.json_response(chosen)

    async def findings(self, _: web.Request) -> web.Response:
        return web.json_response(self._service.findings.to_json())

    async def notifications(self, request: web.Request) -> web.Response:
        found = await self._waited(request, lambda: _since(request, self._service.notifier.records))
        return web.json_response(found)

    async def requests(self, request: web.Request) -> web.Response:
        found = await self._waited(request, lambda: _since(request, self._service.guard.records))
        return web.json_response(found)

    async def _waited(self, request: web.Request, lines: Callable[[], list[Line]]) -> list[Line]:
        """Return lines as soon as there are some, or after the time that the request allows."""
        try:
            wait = float(request.query.get("wait", "0"))
        except ValueError as error:
            raise Problem(400, "wait is a number of seconds") from error
        clock = self._service.clock
        end = clock.monotonic() + min(max(wait, 0.0), 3600.0)
        while not (found := lines()) and (left := end - clock.monotonic()) > 0:
            await self._service.happenings.wait(left)
        return found

    async def sink(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        time = round(self._service.clock.wall(), 6)
        self._sunk.append({"number": next(self._numbers), "time": time, "path": request.path, "body": body})
        self._service.happenings.happened()
        return web.Response(status=204)

    async def sunk(self, request: web.Request) -> web.Response:
        return web.json_response(await self._waited(request, lambda: _since(request, self._sunk)))

    # Tokens

    async def revoke(self, _: web.Request) -> web.Response:
        return web.json_response({"revoked": self._service.authority.revoke()})


def _since(request: web.Request, lines: Iterable[Line]) -> list[Line]:
    """Return the lines after number `since`."""
    since = request.query.get("since", "0")
    if not since.isdecimal():
        raise Problem(400, "since is a number")
    return [line for line in lines if line["number"] > int(since)]
