"""3gpp-network-parameter-configuration/v1 (TS 29.122 §5.13.3)."""

from typing import Any

import msgspec
from aiohttp import web

from mock_network.scef.core import Refusal, RefusedError
from mock_network.scef.core.parameters_model import Provision
from mock_network.scef.schema.parameters import NpConfiguration, NpConfigurationPatch
from mock_network.scef.shell import Shell
from mock_network.scef.t8.links import PARAMETERS
from mock_network.scef.t8.reading import MERGE_PATCH, changes_of, check_destination, read
from mock_network.scef.t8.resources import Collection, created


class ParametersApi:
    """Handlers of one SCEF."""

    def __init__(self, service: Shell) -> None:
        self._service, self._parameters = service, service.core.parameters
        path = f"{PARAMETERS}/{{scs_as}}/configurations"
        self._configurations = Collection(service, self._parameters.all, service.bodies.provision, path)

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path."""
        return self._configurations.routes(root, self.create, put=self.replace, patch=self.patch, delete=self.delete)

    async def create(self, request: web.Request) -> web.Response:
        """Create a resource for a UE or a group."""
        terms, scs_as = await read(request, NpConfiguration), request.match_info["scs_as"]
        check_destination(terms.notification_destination)
        await self._service.first_use(terms)
        provision = self._service.act(lambda now: self._parameters.create(scs_as, terms, now))
        self._configurations.test(provision, terms.request_test_notification)
        return created(self._service.bodies.provision(provision))

    async def replace(self, request: web.Request) -> web.Response:
        """Replace a resource; the UE or group cannot change."""
        provision, terms = self._configurations.find(request), await read(request, NpConfiguration)
        if terms.identities() != provision.terms.identities():
            raise RefusedError(Refusal.IDENTITY_MISMATCH)
        kept = {"supported_features": provision.terms.supported_features}
        return self._change(provision, msgspec.structs.asdict(terms) | kept)

    async def patch(self, request: web.Request) -> web.Response:
        """Change members by a merge patch."""
        provision = self._configurations.find(request)
        changes = changes_of(await read(request, NpConfigurationPatch, MERGE_PATCH))
        if "group_report_guard_time" in changes:  # so spelt in the patch, and otherwise in the resource
            changes["group_reporting_guard_time"] = changes.pop("group_report_guard_time")
        return self._change(provision, changes)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a resource; answer with 200 and the refusals that were not notified yet, if there are any."""
        provision = self._configurations.find(request)
        refused = self._service.act(lambda _: self._parameters.remove(provision))
        return web.json_response(msgspec.to_builtins(refused)) if refused else web.Response(status=204)

    def _change(self, provision: Provision, changes: dict[str, Any]) -> web.Response:
        check_destination(changes.get("notification_destination"))
        self._service.act(lambda _: self._parameters.change(provision, changes))
        return self._configurations.changed(provision)
