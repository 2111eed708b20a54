"""What a request is about, in the words by which faults are chosen."""

import json
from typing import Any, NamedTuple

from aiohttp import web

from mock_network.scef.core import Scef
from mock_network.scef.core.nidd_model import Configuration
from mock_network.scef.core.sms_model import Trigger
from mock_network.scef.t8.links import MONITORING, NIDD, PARAMETERS, TRIGGERING

_APIS = {NIDD: "nidd", TRIGGERING: "triggering", MONITORING: "monitoring", PARAMETERS: "parameters"}
_IDENTITIES = ("externalId", "msisdn", "externalGroupId")


class Occasion(NamedTuple):
    """`resource` is the collection: configurations, deliveries, rds-ports, transactions or subscriptions."""

    api: str
    method: str
    resource: str
    scs_as: str
    ue: str  # by its name; a group by its identity; empty if the request has none

    @classmethod
    async def of(cls, request: web.Request, scef: Scef) -> "Occasion":
        """Return the occasion of a request; its body is read, and can be read again."""
        path = request.path
        api = next((name for base, name in _APIS.items() if f"{base}/" in path), "")
        resource = "configurations"
        for name in ("transactions", "subscriptions", "rds-ports"):
            if f"/{name}" in path:
                resource = name
        if "/downlink-data-deliveries" in path:
            resource = "deliveries"
        scs_as = request.match_info.get("scs_as", "")
        return cls(api, request.method, resource, scs_as, await _ue(request, scef, api))


async def _ue(request: web.Request, scef: Scef, api: str) -> str:
    owner = owner_of(request, scef, api)
    if owner is None:
        return _named_in(await request.read(), scef)
    if isinstance(owner, Trigger):
        return owner.ue
    if isinstance(owner, Configuration):
        return owner.ue or owner.group or ""
    return owner.ues[0] if owner.ues else ""


def owner_of(request: web.Request, scef: Scef, api: str) -> Any:
    """Return the configuration, transaction or subscription that a path names; None if it names none that exists."""
    name = request.match_info.get("id", "")
    match api:
        case "nidd":
            return scef.configurations.all.get(name)
        case "triggering":
            return scef.sms.all.get(name)
        case "monitoring":
            return scef.monitoring.all.get(name)
        case _:
            return scef.parameters.all.get(name)


def _named_in(body: bytes, scef: Scef) -> str:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if isinstance(members, dict):
        for name in _IDENTITIES:
            if isinstance(members.get(name), str):
                ue = scef.subscribers.find(members[name])
                return members[name] if ue is None else ue.name
    return ""
