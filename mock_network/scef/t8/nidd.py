"""3gpp-nidd/v1: configurations and downlink data deliveries (TS 29.122 §5.6.3)."""

from typing import Any

from aiohttp import web

from mock_network.scef.core import Refusal, RefusedError
from mock_network.scef.core.nidd_model import Configuration, Delivery, GroupDelivery
from mock_network.scef.core.profile import CANCELLATION
from mock_network.scef.core.states import Situation, UeTrigger
from mock_network.scef.schema import DeliveryStatus
from mock_network.scef.schema.nidd import (
    NiddConfiguration,
    NiddConfigurationPatch,
    NiddDownlinkDataTransfer,
    NiddDownlinkDataTransferPatch,
)
from mock_network.scef.shell import Shell
from mock_network.scef.t8.links import NIDD
from mock_network.scef.t8.problems import BadRequestError
from mock_network.scef.t8.reading import MERGE_PATCH, changes_of, check_destination, read
from mock_network.scef.t8.resources import Collection, created, done

# A PUT replaces all of these; a missing member loses its value.
_REPLACED = ("data", "reliable_data_service", "rds_port", "maximum_latency", "priority", "pdn_establishment_option")


class NiddApi:
    """Handlers of one SCEF."""

    def __init__(self, service: Shell) -> None:
        self._service = service
        self._core, self._profile = service.core, service.profile
        self.configurations = Collection(
            service,
            self._core.configurations.all,
            service.bodies.configuration,
            f"{NIDD}/{{scs_as}}/configurations",
            Refusal.CONFIGURATION_UNKNOWN,
        )

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path."""
        deliveries = f"{root}{self.configurations.path}/{{id}}/downlink-data-deliveries"
        routes = [
            *self.configurations.routes(root, self.create, patch=self.modify, delete=self.delete),
            web.get(deliveries, self.deliveries),
            web.post(deliveries, self.submit),
            web.get(f"{deliveries}/{{delivery}}", self.delivery),
            web.put(f"{deliveries}/{{delivery}}", self.replace),
            web.delete(f"{deliveries}/{{delivery}}", self.cancel),
        ]
        if self._profile.patch_delivery:
            routes.append(web.patch(f"{deliveries}/{{delivery}}", self.patch))
        return routes

    # Configurations

    async def create(self, request: web.Request) -> web.Response:
        """Make a configuration."""
        terms, scs_as = await read(request, NiddConfiguration), request.match_info["scs_as"]
        check_destination(terms.notification_destination)
        transfers = terms.nidd_downlink_data_transfers or []
        if len(transfers) > 1 or any(one.identities() != terms.identities() for one in transfers):
            raise BadRequestError("/niddDownlinkDataTransfers", "a request holds one downlink, for the same subscriber")
        await self._service.first_use(terms)
        if self._core.configurations.exists(scs_as, terms):
            self._service.findings.note("second-configuration", terms.identity)

        def make(now: float) -> tuple[Configuration, Delivery | GroupDelivery | None]:
            configuration = self._core.configurations.create(scs_as, terms, now)
            return configuration, self._core.configurations.first_downlink(configuration, now)

        configuration, first = self._service.act(make)
        body = self._service.bodies.configuration(configuration, first)
        self.configurations.test(configuration, terms.request_test_notification)
        return created(body)

    async def modify(self, request: web.Request) -> web.Response:
        """Change a configuration by a merge patch."""
        configuration = self.configurations.find(request)
        changes = changes_of(await read(request, NiddConfigurationPatch, MERGE_PATCH))
        check_destination(changes.get("notification_destination"))
        self._service.act(lambda now: self._core.configurations.modify(configuration, changes, now))
        return self.configurations.changed(configuration)

    async def delete(self, request: web.Request) -> web.Response:
        """End a configuration."""
        configuration = self.configurations.find(request)
        self._service.act(lambda now: self._core.configurations.remove(configuration, now))
        return web.Response(status=204)

    # Deliveries

    async def deliveries(self, request: web.Request) -> web.Response:
        """Answer with all pending deliveries."""
        configuration, bodies = self.configurations.find(request), self._service.bodies
        return web.json_response([bodies.delivery(configuration, one) for one in bodies.pending(configuration)])

    async def submit(self, request: web.Request) -> web.Response:
        """Accept a downlink; answer with 200 if it was delivered immediately, with 201 if it is pending."""
        service, configuration = self._service, self.configurations.find(request)
        terms = await read(request, NiddDownlinkDataTransfer)
        ue = configuration.ue or configuration.group or ""
        race = service.guard.race("nidd", "deliveries", configuration.scs_as, ue)
        as_pending = race is not None
        self._look_at(configuration, terms)
        try:
            name = service.act(
                lambda now: self._core.configurations.submit(configuration, terms, now, as_pending=as_pending)
            )
        except RefusedError as refused:
            if refused.retry_at is not None:
                service.findings.refused_until(_same(configuration, terms), refused.retry_at)
            raise
        answer = await service.submit_answer(name)
        service.guard.note(request, delivery=name)
        if race is not None and answer.status is DeliveryStatus.SENDING:
            await service.settled(name, race)
        if answer.refused is not None:
            raise answer.refused
        body = service.bodies.delivery(configuration, answer.delivery, answer.status, answer.retry_at)
        return web.json_response(body) if answer.status.final else created(body)

    def _look_at(self, configuration: Configuration, terms: NiddDownlinkDataTransfer) -> None:
        """Record findings about a downlink that the client sent."""
        findings = self._service.findings
        if any(one.terms.data == terms.data for one in configuration.deliveries.values()):
            findings.note("same-data-pending", f"{terms.identity}: {terms.data.hex()}")
        ue = self._core.cell.ues.get(configuration.ue or "")
        if ue is not None and self._core.cell.situation(ue) is Situation.UNREACHABLE:
            findings.asked(_same(configuration, terms))

    async def delivery(self, request: web.Request) -> web.Response:
        """Answer with one pending delivery."""
        configuration, bodies = self.configurations.find(request), self._service.bodies
        for one in bodies.pending(configuration):
            if one.id == request.match_info["delivery"]:
                return web.json_response(bodies.delivery(configuration, one))
        raise RefusedError(Refusal.DELIVERY_UNKNOWN)

    async def replace(self, request: web.Request) -> web.Response:
        """Replace a pending delivery."""
        configuration = self._changeable(request)
        terms = await read(request, NiddDownlinkDataTransfer)
        self._core.configurations.check_identity(configuration, terms)
        return self._change(request, configuration, {name: getattr(terms, name) for name in _REPLACED})

    async def patch(self, request: web.Request) -> web.Response:
        """Change members of a pending delivery."""
        configuration = self._changeable(request)
        changes = changes_of(await read(request, NiddDownlinkDataTransferPatch))
        return self._change(request, configuration, changes)

    async def cancel(self, request: web.Request) -> web.Response:
        """Take a pending delivery back."""
        configuration, delivery = self._changeable(request), request.match_info["delivery"]
        self._race(request, configuration)
        self._service.act(lambda now: self._core.downlinks.cancel(configuration, delivery, now))
        return web.Response(status=204)

    def _change(self, request: web.Request, configuration: Configuration, changes: dict[str, Any]) -> web.Response:
        self._race(request, configuration)
        name = request.match_info["delivery"]
        delivery = self._service.act(lambda now: self._core.downlinks.change(configuration, name, changes, now))
        return done(self._service, self._service.bodies.delivery(configuration, delivery))

    def _changeable(self, request: web.Request) -> Configuration:
        """Return the configuration whose delivery is to be changed. Raises RefusedError where that is not offered."""
        configuration = self.configurations.find(request)
        if not (configuration.features or 0) & CANCELLATION:
            if self._profile.cancel_needs_feature:
                raise RefusedError(Refusal.FEATURE_NOT_NEGOTIATED)
            self._service.findings.note("feature-not-negotiated", f"{request.method} of a downlink data delivery")
        return configuration

    def _race(self, request: web.Request, configuration: Configuration) -> None:
        """Have a delivery leave just before it is changed, by fault: its UE is heard at this moment."""
        if not self._service.faults.any_armed or configuration.ue is None:
            return
        ue, scs_as = self._core.cell.ues[configuration.ue], configuration.scs_as
        if self._service.faults.draw(
            "delivery_race", api="nidd", method=request.method, resource="deliveries", scs_as=scs_as, ue=ue.name
        ):
            self._service.act(lambda now: self._core.move_ue(ue, UeTrigger.WAKE, now))


def _same(configuration: Configuration, terms: NiddDownlinkDataTransfer) -> str:
    """Return a text that is the same when a client sends a downlink again."""
    return f"downlink {terms.data.hex()} of configuration {configuration.id}"
