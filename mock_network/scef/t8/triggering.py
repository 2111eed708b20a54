"""3gpp-device-triggering/v1: SMS with application ports to UEs (TS 29.122 §5.7.3)."""

from typing import Any

from aiohttp import web

from mock_network.scef.core import Refusal, RefusedError, effects as e
from mock_network.scef.core.sms_model import Trigger
from mock_network.scef.schema.sms import DeviceTriggering, DeviceTriggeringPatch
from mock_network.scef.shell import Shell
from mock_network.scef.t8.links import TRIGGERING
from mock_network.scef.t8.reading import changes_of, check_destination, read

_REPLACED = (
    "validity_period",
    "priority",
    "application_port_id",
    "app_src_port_id",
    "trigger_payload",
    "notification_destination",
)


class TriggeringApi:
    """Handlers of one SCEF."""

    def __init__(self, service: Shell) -> None:
        self._service, self._sms = service, service.core.sms

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path."""
        base = f"{root}{TRIGGERING}/{{scs_as}}/transactions"
        one = f"{base}/{{transaction}}"
        routes = [
            web.get(base, self.all),
            web.post(base, self.create),
            web.get(one, self.one),
            web.put(one, self.replace),
            web.delete(one, self.recall),
        ]
        if self._service.profile.patch_delivery:
            routes.append(web.patch(one, self.patch))
        return routes

    async def all(self, request: web.Request) -> web.Response:
        """Answer with all transactions of the SCS/AS that are remembered."""
        scs_as = request.match_info["scs_as"]
        mine = [one for one in self._sms.all.values() if one.scs_as == scs_as]
        return web.json_response([self._service.bodies.trigger(one) for one in mine])

    async def create(self, request: web.Request) -> web.Response:
        """Accept a device trigger; its end is notified."""
        terms, scs_as = await read(request, DeviceTriggering), request.match_info["scs_as"]
        check_destination(terms.notification_destination)
        await self._service.first_use(terms)
        trigger = self._service.act(lambda now: self._sms.create(scs_as, terms, now))
        if terms.request_test_notification:
            self._service.emit(e.NotifyTest(trigger))
        body = self._service.bodies.trigger(trigger)
        if (race := self._service.guard.race("triggering", "transactions", scs_as, trigger.ue)) is not None:
            await self._service.settled(trigger.id, race)
        return web.json_response(body, status=201, headers={"Location": body["self"]})

    async def one(self, request: web.Request) -> web.Response:
        """Answer with one transaction."""
        return web.json_response(self._service.bodies.trigger(self._find(request)))

    async def replace(self, request: web.Request) -> web.Response:
        """Replace a trigger that is pending."""
        trigger, terms = self._find(request), await read(request, DeviceTriggering)
        if terms.identities() != trigger.terms.identities():
            raise RefusedError(Refusal.IDENTITY_MISMATCH)
        return self._change(trigger, {name: getattr(terms, name) for name in _REPLACED})

    async def patch(self, request: web.Request) -> web.Response:
        """Change members of a trigger that is pending."""
        trigger = self._find(request)
        changes = changes_of(await read(request, DeviceTriggeringPatch))
        wanted = {name: value for name, value in changes.items() if name in _REPLACED}
        return self._change(trigger, wanted)

    async def recall(self, request: web.Request) -> web.Response:
        """Take a pending trigger back."""
        trigger = self._find(request)
        self._service.act(lambda now: self._sms.recall(trigger, now))
        if self._service.profile.no_content:
            return web.Response(status=204)
        return web.json_response(self._service.bodies.trigger(trigger))

    def _change(self, trigger: Trigger, changes: dict[str, Any]) -> web.Response:
        check_destination(changes.get("notification_destination"))
        self._service.act(lambda now: self._sms.change(trigger, changes, now))
        if self._service.profile.no_content:
            return web.Response(status=204)
        return web.json_response(self._service.bodies.trigger(trigger))

    def _find(self, request: web.Request) -> Trigger:
        trigger = self._sms.all.get(request.match_info["transaction"])
        if trigger is None or trigger.scs_as != request.match_info["scs_as"]:
            raise RefusedError(Refusal.RESOURCE_UNKNOWN)
        return trigger
