"""The control API: the operator's, the UE's and the tester's hand. No credentials, so on loopback only.

GET    /                              addresses, profile, token
GET    /statistics                    counters, and the answers that notifications got
GET    /clock                         {"wall", "monotonic"}, in seconds
GET    /ues                           all UEs; POST creates one: settings, `name`, `port`
GET    /ues/{ue}                      one; PATCH changes settings; DELETE takes it away
POST   /ues/{ue}/{trigger}            attach, detach, pdn-connect, pdn-release, sleep, wake
POST   /ues/{ue}/uplink               {"data": hex}: as if its application had sent it
GET    /configurations                all, of every SCS/AS
POST   /configurations/{id}/terminate {"status"}: the operator ends it
GET    /air-log                       ?since=NUMBER &ue= &what= &format=lines (JSON lines)
GET    /notifications, /requests      each attempt and its answer, ?since=NUMBER
GET    /faults                        armed, known, happened; POST arms one; DELETE disarms all
DELETE /faults/{id}                   disarms one
POST   /tokens/revoke                 issued access tokens are void from now on
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from mock_network.control_api import Problem, body_of, errors_as_json, fault_routes
from mock_network.scef import messages as m
from mock_network.scef.model import Ue
from mock_network.scef.tables import NiddStatus, Situation, UeTrigger

if TYPE_CHECKING:
    from mock_network.scef.service import ScefService

_TRIGGERS = {
    trigger.value: trigger
    for trigger in (
        UeTrigger.ATTACH,
        UeTrigger.DETACH,
        UeTrigger.PDN_CONNECT,
        UeTrigger.PDN_RELEASE,
        UeTrigger.SLEEP,
        UeTrigger.WAKE,
    )
}


def control_app(service: "ScefService") -> web.Application:
    """Make the control side of an emulated SCEF."""
    api = _Control(service)
    app = web.Application(middlewares=[errors_as_json])
    app.add_routes(
        [
            web.get("/", api.root),
            web.get("/statistics", api.statistics),
            web.get("/clock", api.clock),
            web.get("/ues", api.ues),
            web.post("/ues", api.create),
            web.get("/ues/{ue}", api.ue),
            web.patch("/ues/{ue}", api.change),
            web.delete("/ues/{ue}", api.remove),
            web.post("/ues/{ue}/uplink", api.uplink),
            web.post("/ues/{ue}/{trigger}", api.move),
            web.get("/configurations", api.configurations),
            web.post("/configurations/{configuration}/terminate", api.terminate),
            web.get("/air-log", api.air_log),
            web.get("/notifications", api.notifications),
            web.get("/requests", api.requests),
            *fault_routes(lambda: service.faults),
            web.post("/tokens/revoke", api.revoke),
        ]
    )
    return app


class _Control:
    def __init__(self, service: "ScefService") -> None:
        self._service = service

    async def root(self, _: web.Request) -> web.Response:
        return web.json_response(self._service.ready())

    async def clock(self, _: web.Request) -> web.Response:
        clock = self._service.clock
        return web.json_response({"wall": clock.wall(), "monotonic": clock.monotonic()})

    async def statistics(self, _: web.Request) -> web.Response:
        service = self._service
        return web.json_response(
            {
                "air": service.core.cell.counts,
                "deliveries": service.core.counts,
                "notifications": service.notifier.counts,
                "notifications_waiting": service.notifier.waiting,
                "faults": service.faults.happened,
                "ues": len(service.core.cell.ues),
                "configurations": len(service.core.configurations),
            }
        )

    # UEs

    async def ues(self, _: web.Request) -> web.Response:
        return web.json_response([self._body(ue) for ue in self._service.core.cell.ues.values()])

    async def create(self, request: web.Request) -> web.Response:
        ue = await self._service.add_ue(await body_of(request))
        return web.json_response(self._body(ue), status=201)

    async def ue(self, request: web.Request) -> web.Response:
        return web.json_response(self._body(self._find(request)))

    async def change(self, request: web.Request) -> web.Response:
        ue, values = self._find(request), await body_of(request)
        if {"external_id", "msisdn"} & set(values):
            raise Problem(400, "the identity of a UE cannot be changed")
        self._service.apply(m.Change(ue.name, values))
        return web.json_response(self._body(ue))

    async def remove(self, request: web.Request) -> web.Response:
        self._service.remove_ue(self._find(request))
        return web.Response(status=204)

    async def move(self, request: web.Request) -> web.Response:
        ue, trigger = self._find(request), _TRIGGERS.get(request.match_info["trigger"])
        if trigger is None:
            raise Problem(404, f"no such trigger; there are {', '.join(_TRIGGERS)}")
        self._service.apply(m.Move(ue.name, trigger))
        return web.json_response(self._body(ue))

    async def uplink(self, request: web.Request) -> web.Response:
        ue, body = self._find(request), await body_of(request)
        try:
            data = bytes.fromhex(body["data"])
        except (KeyError, TypeError, ValueError) as error:
            raise Problem(400, "data must be hexadecimal") from error
        self._service.apply(m.Radio(ue.name, data))
        return web.json_response(self._body(ue))

    def _find(self, request: web.Request) -> Ue:
        ue = self._service.core.find(request.match_info["ue"])
        if ue is None:
            raise Problem(404, "no such UE")
        return ue

    def _body(self, ue: Ue) -> dict[str, Any]:
        service = self._service
        settings = ue.settings
        return {
            "name": ue.name,
            "state": ue.state.value,
            "since": ue.since,
            "reachable": service.core.cell.situation(ue) is Situation.REACHABLE,
            "next_contact": service.core.cell.next_contact(ue),
            "in_flight": ue.in_flight.id if ue.in_flight else None,
            "queue": [delivery.id for delivery in ue.queue],
            "modem": service.modem.address(ue.name),
            "application": service.modem.application(ue.name),
            "settings": {name: getattr(settings, name) for name in settings.__slots__},
        }

    # Configurations

    async def configurations(self, _: web.Request) -> web.Response:
        core = self._service.core
        return web.json_response(
            [
                {
                    "id": c.id,
                    "scs_as": c.scs_as,
                    "ue": c.ue,
                    "destination": c.destination,
                    "duration": c.duration,
                    "deliveries": {d.id: core.downlinks.status(d).value for d in c.deliveries.values()},
                }
                for c in core.configurations.values()
            ]
        )

    async def terminate(self, request: web.Request) -> web.Response:
        name = request.match_info["configuration"]
        if name not in self._service.core.configurations:
            raise Problem(404, "no such configuration")
        body = await body_of(request)
        try:
            status = NiddStatus(body.get("status", "TERMINATED"))
        except ValueError as error:
            raise Problem(400, str(error)) from error
        self._service.apply(m.Terminate(name, status))
        return web.Response(status=204)

    # Records

    async def air_log(self, request: web.Request) -> web.Response:
        query = request.query
        lines = (entry.to_json() for entry in self._service.core.cell.air)
        chosen = [
            line
            for line in _since(request, lines)
            if all(line[name] == query[name] for name in ("ue", "what") if name in query)
        ]
        if query.get("format") == "lines":
            text = "".join(json.dumps(line) + "\n" for line in chosen)
            return web.Response(text=text, content_type="application/x-ndjson")
        return web.json_response(chosen)

    async def notifications(self, request: web.Request) -> web.Response:
        return web.json_response(_since(request, self._service.notifier.records))

    async def requests(self, request: web.Request) -> web.Response:
        return web.json_response(_since(request, self._service.requests))

    # Tokens

    async def revoke(self, _: web.Request) -> web.Response:
        return web.json_response({"revoked": self._service.authority.revoke()})


def _since(request: web.Request, lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the lines after number `since`."""
    since = request.query.get("since", "0")
    if not since.isdecimal():
        raise Problem(400, "since is a number")
    return [line for line in lines if line["number"] > int(since)]
