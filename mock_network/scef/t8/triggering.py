"""3gpp-device-triggering/v1: SMS with application ports to UEs (TS 29.122 §5.7.3)."""

from typing import Any

from aiohttp import web

from mock_network.scef.core import Refusal, RefusedError
from mock_network.scef.core.sms_model import Trigger
from mock_network.scef.schema.sms import DeviceTriggering, DeviceTriggeringPatch
from mock_network.scef.shell import Shell
from mock_network.scef.t8.links import TRIGGERING
from mock_network.scef.t8.reading import changes_of, check_destination, read
from mock_network.scef.t8.resources import Collection, created, done

# A PUT or PATCH may change these.
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
        path = f"{TRIGGERING}/{{scs_as}}/transactions"
        self._transactions = Collection(service, self._sms.all, service.bodies.trigger, path)

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path."""
        patch = {"patch": self.patch} if self._service.profile.patch_delivery else {}
        return self._transactions.routes(root, self.create, put=self.replace, delete=self.recall, **patch)

    async def create(self, request: web.Request) -> web.Response:
        """Accept a device trigger; its end is notified."""
        terms, scs_as = await read(request, DeviceTriggering), request.match_info["scs_as"]
        check_destination(terms.notification_destination)
        await self._service.first_use(terms)
        trigger = self._service.act(lambda now: self._sms.create(scs_as, terms, now))
        self._transactions.test(trigger, terms.request_test_notification)
        body = self._service.bodies.trigger(trigger)
        if (race := self._service.guard.race("triggering", "transactions", scs_as, trigger.ue)) is not None:
            await self._service.settled(trigger.id, race)
        return created(body)

    async def replace(self, request: web.Request) -> web.Response:
        """Replace a trigger that is pending."""
        trigger, terms = self._transactions.find(request), await read(request, DeviceTriggering)
        if terms.identities() != trigger.terms.identities():
            raise RefusedError(Refusal.IDENTITY_MISMATCH)
        return self._change(trigger, {name: getattr(terms, name) for name in _REPLACED})

    async def patch(self, request: web.Request) -> web.Response:
        """Change members of a trigger that is pending."""
        trigger = self._transactions.find(request)
        changes = changes_of(await read(request, DeviceTriggeringPatch))
        return self._change(trigger, {name: value for name, value in changes.items() if name in _REPLACED})

    async def recall(self, request: web.Request) -> web.Response:
        """Take a pending trigger back."""
        trigger = self._transactions.find(request)
        self._service.act(lambda now: self._sms.recall(trigger, now))
        return done(self._service, self._service.bodies.trigger(trigger))

    def _change(self, trigger: Trigger, changes: dict[str, Any]) -> web.Response:
        check_destination(changes.get("notification_destination"))
        self._service.act(lambda now: self._sms.change(trigger, changes, now))
        return self._transactions.changed(trigger)
