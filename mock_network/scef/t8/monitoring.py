"""3gpp-monitoring-event/v1 (TS 29.122 §5.3.3)."""

import msgspec
from aiohttp import web

from mock_network.scef.core.monitoring_model import Report, Subscription
from mock_network.scef.schema.monitoring import MonitoringEventReports, MonitoringEventSubscription
from mock_network.scef.shell import Shell
from mock_network.scef.t8.bodies import plain
from mock_network.scef.t8.json_patch import patched
from mock_network.scef.t8.links import MONITORING
from mock_network.scef.t8.reading import JSON_PATCH, body_of, check_destination, converted, read
from mock_network.scef.t8.resources import Collection, created


class MonitoringApi:
    """Handlers of one SCEF."""

    def __init__(self, service: Shell) -> None:
        self._service, self._monitoring = service, service.core.monitoring
        path = f"{MONITORING}/{{scs_as}}/subscriptions"
        self._subscriptions = Collection(service, self._monitoring.all, service.bodies.subscription, path)

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path."""
        return self._subscriptions.routes(root, self.create, put=self.replace, patch=self.patch, delete=self.delete)

    async def create(self, request: web.Request) -> web.Response:
        """Subscribe; answer with 200 and the report where one was wanted and it is known already."""
        terms, scs_as = await read(request, MonitoringEventSubscription), request.match_info["scs_as"]
        check_destination(terms.notification_destination)
        await self._service.first_use(terms)
        subscription, known = self._service.act(lambda now: self._monitoring.create(scs_as, terms, now))
        if subscription.id not in self._monitoring.all:
            return web.json_response(self._reports(subscription, known))
        self._subscriptions.test(subscription, terms.request_test_notification)
        return created(self._service.bodies.subscription(subscription, known))

    def _reports(self, subscription: Subscription, known: list[Report]) -> object:
        reports = [self._service.bodies.report(subscription, one) for one in known]
        return (
            plain(reports[0]) if len(reports) == 1 else plain(MonitoringEventReports(monitoring_event_reports=reports))
        )

    async def replace(self, request: web.Request) -> web.Response:
        """Replace the terms of a subscription."""
        subscription, terms = self._subscriptions.find(request), await read(request, MonitoringEventSubscription)
        self._change(subscription, terms)
        return self._subscriptions.changed(subscription)

    async def patch(self, request: web.Request) -> web.Response:
        """Change members by a JSON patch (RFC 6902)."""
        subscription = self._subscriptions.find(request)
        changed = patched(plain(subscription.terms), await body_of(request, JSON_PATCH))
        self._change(subscription, converted(changed, MonitoringEventSubscription))
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        """End a subscription; answer with 200 and the reports that it held back, if there are any."""
        subscription = self._subscriptions.find(request)
        held = self._service.act(lambda now: self._monitoring.remove(subscription, now))
        if not held:
            return web.Response(status=204)
        reports = [self._service.bodies.report(subscription, one) for one in held]
        return web.json_response(msgspec.to_builtins(reports))

    def _change(self, subscription: Subscription, terms: MonitoringEventSubscription) -> None:
        check_destination(terms.notification_destination)
        self._service.act(lambda now: self._monitoring.change(subscription, terms, now))
