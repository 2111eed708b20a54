"""The part of the control API that is about UEs.

GET    /ues                           all; POST creates one: settings, `name`, `port`, `sms_udp_port`
GET    /ues/{ue}                      one; PATCH changes settings; DELETE removes it
POST   /ues/{ue}/{trigger}            attach, detach, pdn-connect, pdn-release, sleep, wake
POST   /ues/{ue}/uplink               {"data": hex, "rds_port": [ue, scef], "reliable", "exception"}: as if its
                                      application had sent it
POST   /ues/{ue}/sms                  {"data": hex}: as if its application had sent an SMS
POST   /ues/{ue}/rds-ports            {"ue", "scef", "app_id"}: the UE reserves a pair of RDS ports
"""

from typing import Annotated, Any

import msgspec
from aiohttp import web

from mock_network.control_api import Problem, body_of
from mock_network.scef.core import RefusedError, Ue, effects as e
from mock_network.scef.core.states import UeTrigger
from mock_network.scef.core.ue_settings import RdsNumber
from mock_network.scef.schema.nidd import ManagePort, RdsPort
from mock_network.scef.shell import Shell

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
_Hex = Annotated[str, msgspec.Meta(pattern=r"^([0-9A-Fa-f]{2})*$")]


class _UplinkBody(msgspec.Struct, forbid_unknown_fields=True):
    data: _Hex
    rds_port: tuple[RdsNumber, RdsNumber] | None = None
    reliable: bool = False
    exception: bool = False


class _SmsBody(msgspec.Struct, forbid_unknown_fields=True):
    data: _Hex


class _PortBody(msgspec.Struct, forbid_unknown_fields=True):
    ue: RdsNumber
    scef: RdsNumber
    app_id: str


class UesControl:
    """Handlers of one SCEF."""

    def __init__(self, service: Shell) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/ues", self.all),
            web.post("/ues", self.create),
            web.get("/ues/{ue}", self.one),
            web.patch("/ues/{ue}", self.change),
            web.delete("/ues/{ue}", self.remove),
            web.post("/ues/{ue}/uplink", self.uplink),
            web.post("/ues/{ue}/sms", self.sms),
            web.post("/ues/{ue}/rds-ports", self.reserve_port),
            web.post("/ues/{ue}/{trigger}", self.move),
        ]

    async def all(self, _: web.Request) -> web.Response:
        """Answer with all UEs."""
        return web.json_response([self._body(ue) for ue in self._service.core.cell.ues.values()])

    async def create(self, request: web.Request) -> web.Response:
        """Create a UE."""
        ue = await self._service.add_ue(await body_of(request))
        return web.json_response(self._body(ue), status=201)

    async def one(self, request: web.Request) -> web.Response:
        """Answer with one UE."""
        return web.json_response(self._body(self._find(request)))

    async def change(self, request: web.Request) -> web.Response:
        """Change settings."""
        ue, values = self._find(request), await body_of(request)
        if {"external_id", "msisdn", "rds_ports"} & set(values):
            raise Problem(400, "the identity of a UE and its RDS ports cannot be changed")
        self._service.act(lambda now: self._service.core.change_ue(ue, values, now))
        return web.json_response(self._body(ue))

    async def remove(self, request: web.Request) -> web.Response:
        """Remove a UE."""
        self._service.remove_ue(self._find(request))
        return web.Response(status=204)

    async def move(self, request: web.Request) -> web.Response:
        """Have a trigger happen to a UE."""
        ue, trigger = self._find(request), _TRIGGERS.get(request.match_info["trigger"])
        if trigger is None:
            raise Problem(404, f"no such trigger; there are {', '.join(_TRIGGERS)}")
        self._service.act(lambda now: self._service.core.move_ue(ue, trigger, now))
        return web.json_response(self._body(ue))

    async def uplink(self, request: web.Request) -> web.Response:
        """Send an uplink as the UE's application."""
        ue, body = self._find(request), msgspec.convert(await body_of(request), _UplinkBody)
        uplink = e.Uplink(bytes.fromhex(body.data), body.rds_port, body.reliable, body.exception)
        self._service.act(lambda now: self._service.core.uplink(ue, uplink, now))
        return web.json_response(self._body(ue))

    async def sms(self, request: web.Request) -> web.Response:
        """Send an SMS as the UE's application."""
        ue, body = self._find(request), msgspec.convert(await body_of(request), _SmsBody)
        self._service.act(lambda now: self._service.core.mo_sms(ue, bytes.fromhex(body.data), now))
        return web.json_response(self._body(ue))

    async def reserve_port(self, request: web.Request) -> web.Response:
        """Reserve a pair of RDS ports as the UE, in its newest configuration."""
        ue, body = self._find(request), msgspec.convert(await body_of(request), _PortBody)
        configurations = self._service.core.configurations.of_ue(ue.name)
        if not configurations:
            raise Problem(409, "the UE has no NIDD configuration")
        port, terms = RdsPort(ue=body.ue, scef=body.scef), ManagePort(app_id=body.app_id)
        ports = self._service.core.rds_ports
        try:
            self._service.act(lambda _: ports.reserve_by_ue(configurations[-1], port, terms))
        except RefusedError as refused:
            raise Problem(409, str(refused)) from refused
        return web.json_response(self._body(ue))

    def _find(self, request: web.Request) -> Ue:
        ue = self._service.core.subscribers.find(request.match_info["ue"])
        if ue is None:
            raise Problem(404, "no such UE")
        return ue

    def _body(self, ue: Ue) -> dict[str, Any]:
        service, cell = self._service, self._service.core.cell
        return {
            "name": ue.name,
            "state": ue.state.value,
            "since": ue.since,
            "reachable": cell.reach(ue).data,
            "reachable_for_sms": cell.reach(ue).sms,
            "next_contact": cell.next_contact(ue),
            "in_flight": ue.in_flight.id if ue.in_flight else None,
            "queue": [delivery.id for delivery in ue.queue],
            "sms_queue": [trigger.id for trigger in ue.sms_queue],
            "modem": service.modems.address(ue.name),
            "channels": service.modems.channels(ue.name),
            "application": service.modems.application(ue.name),
            "settings": msgspec.structs.asdict(ue.settings),
        }
