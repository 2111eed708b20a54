"""3gpp-monitoring-event/v1 (TS 29.122 §5.3.3)."""

import msgspec
from aiohttp import web

from mock_network.scef.core import Refusal, RefusedError, effects as e
from mock_network.scef.core.monitoring_model import Report, Subscription
from mock_network.scef.schema.monitoring import MonitoringEventReports, MonitoringEventSubscription
from mock_network.scef.shell import Shell
from mock_network.scef.t8.bodies import plain
from mock_network.scef.t8.json_patch import patched
from mock_network.scef.t8.links import MONITORING
from mock_network.scef.t8.reading import JSON_PATCH, body_of, check_destination, converted, read


class MonitoringApi:
    """Handlers of one SCEF."""

    def __init__(self, service: Shell) -> None:
        self._service, self._monitoring = service, service.core.monitoring

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path."""
        base = f"{root}{MONITORING}/{{scs_as}}/subscriptions"
        one = f"{base}/{{subscription}}"
        return [
            web.get(base, self.all),
            web.post(base, self.create),
            web.get(one, self.one),
            web.put(one, self.replace),
            web.patch(one, self.patch),
            web.delete(one, self.delete),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Answer with all subscriptions of the SCS/AS."""
        scs_as = request.match_info["scs_as"]
        mine = [one for one in self._monitoring.all.values() if one.scs_as == scs_as]
        return web.json_response([self._service.bodies.subscription(one) for one in mine])

    async def create(self, request: web.Request) -> web.Response:
        """Subscribe; answer with 200 and the report where one was wanted and it is known already."""
        terms, scs_as = await read(request, MonitoringEventSubscription), request.match_info["scs_as"]
        check_destination(terms.notification_destination)
        await self._service.first_use(terms)
        subscription, known = self._service.act(lambda now: self._monitoring.create(scs_as, terms, now))
        if subscription.id not in self._monitoring.all:
            return web.json_response(self._reports(subscription, known))
        if terms.request_test_notification:
            self._service.emit(e.NotifyTest(subscription))
        body = self._service.bodies.subscription(subscription, known)
        return web.json_response(body, status=201, headers={"Location": body["self"]})

    def _reports(self, subscription: Subscription, known: list[Report]) -> object:
        reports = [self._service.bodies.report(subscription, one) for one in known]
        return (
            plain(reports[0]) if len(reports) == 1 else plain(MonitoringEventReports(monitoring_event_reports=reports))
        )

    async def one(self, request: web.Request) -> web.Response:
        """Answer with one subscription."""
        return web.json_response(self._service.bodies.subscription(self._find(request)))

    async def replace(self, request: web.Request) -> web.Response:
        """Replace the terms of a subscription."""
        subscription, terms = self._find(request), await read(request, MonitoringEventSubscription)
        self._change(subscription, terms)
        if self._service.profile.no_content:
            return web.Response(status=204)
        return web.json_response(self._service.bodies.subscription(subscription))

    async def patch(self, request: web.Request) -> web.Response:
        """Change members by a JSON patch (RFC 6902)."""
        subscription = self._find(request)
        changed = patched(plain(subscription.terms), await body_of(request, JSON_PATCH))
        self._change(subscription, converted(changed, MonitoringEventSubscription))
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """End a subscription; answer with 200 and the reports that it held back, if there are any."""
        subscription = self._find(request)
        held = self._service.act(lambda now: self._monitoring.remove(subscription, now))
        if not held:
            return web.Response(status=204)
        reports = [self._service.bodies.report(subscription, one) for one in held]
        return web.json_response(msgspec.to_builtins(reports))

    def _change(self, subscription: Subscription, terms: MonitoringEventSubscription) -> None:
        check_destination(terms.notification_destination)
        self._service.act(lambda now: self._monitoring.change(subscription, terms, now))

    def _find(self, request: web.Request) -> Subscription:
        subscription = self._monitoring.all.get(request.match_info["subscription"])
        if subscription is None or subscription.scs_as != request.match_info["scs_as"]:
            raise RefusedError(Refusal.RESOURCE_UNKNOWN)
        return subscription
