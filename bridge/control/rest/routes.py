"""The table of methods and paths with their operations. The description and the server are both made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bridge.operations.types import (
    access,
    bulk,
    cluster,
    config,
    direct,
    endpoints,
    events,
    history,
    messages,
    networks,
    quotas,
    state,
    stories,
    tracing,
)
from bridge.operations.types.request import Request, result_type

VERSION = "/v1"


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `fields`: fields of the request that the path has under another name.

    `query` are fields that are in the query although the method has a body, `headers` those that a header has.
    """

    method: str
    path: str  # below VERSION
    request: type[Request[Any]]
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)
    conditional: type[Request[Any]] | None = None  # If-Match is compared with the answer to this request
    query: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    pending: int | None = None  # status of a result that says that it is not `over`
    location: str = ""  # path below VERSION of what a result is about, with its `id`

    @property
    def result(self) -> Any:
        return result_type(self.request)

    @property
    def in_path(self) -> dict[str, str]:
        """Return the names in the path, and the field of the request that each sets."""
        names = [part[1:-1] for part in self.path.split("/") if part.startswith("{")]
        return {name: self.fields.get(name, name) for name in names}

    @property
    def in_query(self) -> bool:
        """Return whether the other fields are in the query; else they are in the body."""
        return self.method in {"GET", "DELETE"}

    @property
    def rest(self) -> tuple[str, ...]:
        """Return the fields of the request that are not in the path."""
        taken = {*self.in_path.values(), *self.headers.values(), *(() if self.in_query else self.query)}
        return tuple(one.encode_name for one in msgspec.structs.fields(self.request) if one.name not in taken)

    @property
    def id(self) -> str:
        """Return the operation's name as an identifier: endpoint_list."""
        return self.request.NAME.replace(".", "_")


_E, _D, _U, _N = "/endpoints/{name}", "/downlinks/{id}", "/uplinks/{id}", "/networks/{network}"
_SHOW = endpoints.ShowEndpoint

ROUTES = (
    Route("GET", "/status", state.GetStatus),
    Route("GET", "/ready", state.GetReadiness),
    Route("GET", "/metrics", state.GetMetrics),
    Route("GET", "/history", history.GetHistory),
    Route("GET", "/endpoints", endpoints.ListEndpoints),
    Route("POST", "/endpoints", endpoints.AddEndpoints, 201),
    Route("GET", "/endpoint-count", endpoints.CountEndpoints),
    Route("GET", "/endpoint-summary", endpoints.SummarizeEndpoints),
    Route("POST", "/endpoint-imports", endpoints.ImportEndpoints),
    Route("POST", "/endpoint-actions", bulk.ActOnEndpoints),
    Route("POST", "/endpoint-removals", bulk.RemoveEndpoints),
    Route("POST", "/endpoint-moves", bulk.MoveEndpoints),
    Route("GET", _E, _SHOW),
    Route("PATCH", _E, endpoints.UpdateEndpoint, fields={"name": "endpoint"}, conditional=_SHOW),
    Route("DELETE", _E, endpoints.RemoveEndpoint, conditional=_SHOW),
    Route("GET", f"{_E}/state", endpoints.GetEndpointState),
    Route("GET", f"{_E}/events", events.ListEndpointEvents),
    Route("GET", f"{_E}/explanation", endpoints.ExplainEndpoint),
    Route("POST", f"{_E}/enable", endpoints.EnableEndpoint),
    Route("POST", f"{_E}/disable", endpoints.DisableEndpoint),
    Route("POST", f"{_E}/provision", endpoints.ProvisionEndpoint),
    Route("GET", f"{_E}/transfer-estimate", quotas.EstimateTransfer, fields={"name": "endpoint"}),
    Route("GET", "/waiting", endpoints.ListWaiting),
    Route("GET", "/usage", quotas.ListUsage),
    Route("GET", "/quotas", quotas.ListQuotas),
    Route("GET", "/cluster", cluster.GetCluster),
    Route("GET", "/cluster/shards", cluster.ListShards),
    Route("POST", "/cluster/nodes/{node}/drain", cluster.DrainNode),
    Route("GET", "/downlinks", messages.ListDownlinks),
    Route("GET", _D, stories.ShowDownlink),
    Route("GET", f"{_D}/payload", stories.GetDownlinkPayload),
    Route("POST", f"{_D}/cancel", messages.CancelDownlink),
    Route(
        "POST",
        f"{_E}/downlinks",
        direct.SendDownlink,
        fields={"name": "endpoint"},
        query=("wait",),
        headers={"Idempotency-Key": "idempotency_key"},
        pending=202,
        location=f"{_D}/outcome",
    ),
    Route("GET", f"{_D}/outcome", direct.GetOutcome),
    Route("GET", "/uplinks", messages.ListUplinks),
    Route("GET", _U, stories.ShowUplink),
    Route("GET", f"{_U}/payload", stories.GetUplinkPayload),
    Route("GET", "/message-count", messages.CountMessages),
    Route("POST", "/traces", tracing.BeginTrace, 201),
    Route("GET", "/traces/{id}", tracing.ReadTrace),
    Route("DELETE", "/traces/{id}", tracing.EndTrace),
    Route("GET", "/events", events.ListEvents),
    Route("GET", "/webhooks", events.ListWebhooks),
    Route("POST", "/webhooks", events.CreateWebhook, 201),
    Route("DELETE", "/webhooks/{id}", events.RemoveWebhook),
    Route("GET", "/dead-letters", events.ListDeadLetters),
    Route("GET", "/networks", networks.ListNetworks),
    Route("POST", "/network-checks", networks.CheckNetworks),
    Route("POST", f"{_N}/limits-forgotten", networks.ForgetLimits),
    Route("POST", f"{_N}/integration", networks.SetIntegration),
    Route("POST", f"{_N}/devices", networks.AddDevice, 201),
    Route("POST", f"{_N}/adoptions", networks.AdoptDevices),
    Route("POST", "/config-reloads", config.ReloadConfig),
    Route("GET", "/keys", access.ListKeys),
    Route("POST", "/keys", access.CreateKey, 201),
    Route("DELETE", "/keys/{id}", access.RevokeKey),
    Route("POST", "/dashboard-links", access.MakeDashboardLink, 201),
    Route("GET", "/audit", access.ListAudit),
)
