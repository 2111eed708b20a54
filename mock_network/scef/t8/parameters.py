"""3gpp-network-parameter-configuration/v1 (TS 29.122 §5.13.3)."""

from typing import Any

import msgspec
from aiohttp import web

from mock_network.scef.core import Refusal, RefusedError, effects as e
from mock_network.scef.core.parameters_model import Provision
from mock_network.scef.schema.parameters import NpConfiguration, NpConfigurationPatch
from mock_network.scef.shell import Shell
from mock_network.scef.t8.links import PARAMETERS
from mock_network.scef.t8.reading import MERGE_PATCH, changes_of, check_destination, read


class ParametersApi:
    """Handlers of one SCEF."""

    def __init__(self, service: Shell) -> None:
        self._service, self._parameters = service, service.core.parameters

    def routes(self, root: str) -> list[web.RouteDef]:
        """Return the routes under an apiRoot's path."""
        base = f"{root}{PARAMETERS}/{{scs_as}}/configurations"
        one = f"{base}/{{configuration}}"
        return [
            web.get(base, self.all),
            web.post(base, self.create),
            web.get(one, self.one),
            web.put(one, self.replace),
            web.patch(one, self.patch),
            web.delete(one, self.delete),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Answer with all resources of the SCS/AS."""
        scs_as = request.match_info["scs_as"]
        mine = [one for one in self._parameters.all.values() if one.scs_as == scs_as]
        return web.json_response([self._service.bodies.provision(one) for one in mine])

    async def create(self, request: web.Request) -> web.Response:
        """Want parameters for a UE or a group."""
        terms, scs_as = await read(request, NpConfiguration), request.match_info["scs_as"]
        check_destination(terms.notification_destination)
        await self._service.first_use(terms)
        provision = self._service.act(lambda now: self._parameters.create(scs_as, terms, now))
        if terms.request_test_notification and terms.notification_destination is not None:
            self._service.emit(e.NotifyTest(provision))
        body = self._service.bodies.provision(provision)
        return web.json_response(body, status=201, headers={"Location": body["self"]})

    async def one(self, request: web.Request) -> web.Response:
        """Answer with one resource."""
        return web.json_response(self._service.bodies.provision(self._find(request)))

    async def replace(self, request: web.Request) -> web.Response:
        """Replace what is wanted; who it is for cannot change."""
        provision, terms = self._find(request), await read(request, NpConfiguration)
        if terms.identities() != provision.terms.identities():
            raise RefusedError(Refusal.IDENTITY_MISMATCH)
        kept = {"supported_features": provision.terms.supported_features}
        return self._change(provision, msgspec.structs.asdict(terms) | kept)

    async def patch(self, request: web.Request) -> web.Response:
        """Change members by a merge patch."""
        provision = self._find(request)
        changes = changes_of(await read(request, NpConfigurationPatch, MERGE_PATCH))
        if "group_report_guard_time" in changes:  # so spelt in the patch, and otherwise in the resource
            changes["group_reporting_guard_time"] = changes.pop("group_report_guard_time")
        return self._change(provision, changes)

    async def delete(self, request: web.Request) -> web.Response:
        """End what is wanted; answer with 200 and the refusals that were not told yet, if there are any."""
        provision = self._find(request)
        refused = self._service.act(lambda _: self._parameters.remove(provision))
        return web.json_response(msgspec.to_builtins(refused)) if refused else web.Response(status=204)

    def _change(self, provision: Provision, changes: dict[str, Any]) -> web.Response:
        check_destination(changes.get("notification_destination"))
        self._service.act(lambda _: self._parameters.change(provision, changes))
        if self._service.profile.no_content:
            return web.Response(status=204)
        return web.json_response(self._service.bodies.provision(provision))

    def _find(self, request: web.Request) -> Provision:
        provision = self._parameters.all.get(request.match_info["configuration"])
        if provision is None or provision.scs_as != request.match_info["scs_as"]:
            raise RefusedError(Refusal.RESOURCE_UNKNOWN)
        return provision
