"""Operations on endpoints."""

import io
from collections import Counter
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict

from bindings.provisioning import ProvisioningState
from bridge.directory import Draft, EndpointRecord, import_csv
from bridge.errors import ConfigurationError, NotFound
from bridge.operations.bridge import Bridge
from bridge.operations.cursors import cursor_of, page_end_at
from bridge.operations.operation import Operation
from bridge.operations.standings import conditions_of, item, view
from bridge.operations.types.endpoints import (
    IMPORTING,
    AddEndpoints,
    CountEndpoints,
    DisableEndpoint,
    EnableEndpoint,
    EndpointCount,
    EndpointExplanation,
    EndpointItem,
    EndpointPage,
    EndpointsAdded,
    EndpointsImported,
    EndpointView,
    ExplainEndpoint,
    Fault,
    FleetSummary,
    GetEndpointState,
    ImportedRow,
    ImportEndpoints,
    LinkView,
    ListEndpoints,
    NetworkSummary,
    NewEndpoint,
    ProvisionEndpoint,
    RegistrationView,
    RemoveEndpoint,
    ShowEndpoint,
    SummarizeEndpoints,
    UnreachableView,
    UpdateEndpoint,
)
from bridge.operations.waiting import explained, reported_state
from bridge.relay.awake import awake_until
from bridge.relay.model import ServerProfile
from bridge.relay.register import DEFAULT_LIFETIME
from bridge.store.fleet import EndpointConditions, is_late, page_end_of


async def list_endpoints(bridge: Bridge, asked: ListEndpoints) -> EndpointPage:
    now = bridge.now()
    found = await bridge.fleet.page(
        conditions_of(asked, now),
        order=asked.sort,
        descending=asked.descending,
        after=page_end_at(asked.after, asked.sort),
        limit=asked.limit + 1,
    )
    page = found[: asked.limit]
    following = cursor_of(page_end_of(page[-1], asked.sort), asked.sort) if len(found) > asked.limit else None
    return EndpointPage(
        items=tuple(item(one, now, bridge.holder, bridge.directory.catalogue.ports) for one in page),
        next=following,
        time=now,
    )


async def count_endpoints(bridge: Bridge, asked: CountEndpoints) -> EndpointCount:
    return EndpointCount(endpoints=await bridge.fleet.count(conditions_of(asked, bridge.now())))


async def summarize_endpoints(bridge: Bridge, _asked: SummarizeEndpoints) -> FleetSummary:
    counts = await bridge.fleet_counts()
    enabled: dict[str, dict[ProvisioningState, int]] = {name: {} for name in bridge.networks}
    disabled: Counter[str] = Counter()
    for (network, is_enabled, state), number in counts.endpoints.items():
        states = enabled.setdefault(network, {})  # an endpoint's network may not be configured any more
        if is_enabled:
            states[state] = states.get(state, 0) + number
        else:
            disabled[network] += number
    return FleetSummary(
        time=bridge.now(),
        networks={
            name: NetworkSummary(enabled=sum(states.values()), disabled=disabled[name], provisioning=states)
            for name, states in enabled.items()
        },
        registered=counts.registered,
        downlinks=dict(counts.downlinks),
        uplinks=counts.uplinks,
    )


async def show_endpoint(bridge: Bridge, asked: ShowEndpoint) -> EndpointView:
    return view(await existing(bridge, asked.name))


async def get_endpoint_state(bridge: Bridge, asked: GetEndpointState) -> EndpointItem:
    found = await bridge.fleet.page(EndpointConditions(names=frozenset({asked.name})), limit=1)
    if not found:
        raise NotFound(f"no endpoint {asked.name!r}")
    return item(found[0], bridge.now(), bridge.holder, bridge.directory.catalogue.ports)


async def explain_endpoint(bridge: Bridge, asked: ExplainEndpoint) -> EndpointExplanation:
    record = await existing(bridge, asked.name)
    bridge.check_served(record)  # why messages wait is known where they wait
    waiting = await explained(bridge, record)
    links = tuple(
        LinkView(server=server, state=link.state, reason=link.reason, retry_in=link.retry_in)
        for server, link in bridge.links(record).items()
    )
    profiles, now = _profiles(bridge, record), bridge.now()
    registrations = tuple(
        RegistrationView(
            server=one.server,
            path=one.path,
            since=one.since,
            renewed_at=one.refreshed_at,
            lifetime=one.lifetime or DEFAULT_LIFETIME,
            late=is_late(one, now),
            observations=observations,
            awake_until=awake_until(one, profiles[one.server]) if one.server in profiles else None,
        )
        for one, observations in await bridge.registrations(record.id)
    )
    state = await get_endpoint_state(bridge, GetEndpointState(record.name))
    reported = reported_state(bridge, record)
    return EndpointExplanation(
        endpoint=state,
        time=now,
        unreachable=None
        if reported is None
        else UnreachableView(since=reported.since, detail=reported.detail, until=reported.until),
        links=links,
        registrations=registrations,
        waiting=waiting,
    )


def _profiles(bridge: Bridge, record: EndpointRecord) -> dict[str, ServerProfile]:
    """Return the profile of each server of an endpoint; none if the endpoint is down for want of its own profile."""
    try:
        return {server.key: server.profile for server in bridge.directory.endpoint(record).servers}
    except ConfigurationError:
        return {}


async def add_endpoints(bridge: Bridge, asked: AddEndpoints) -> EndpointsAdded:
    made = await bridge.directory.add_all([_draft(one) for one in asked.endpoints])
    return EndpointsAdded(items=tuple(map(view, made)))


async def update_endpoint(bridge: Bridge, asked: UpdateEndpoint) -> EndpointView:
    before = await existing(bridge, asked.endpoint)
    changes: dict[str, Any] = {name: value for name, value in asdict(asked).items() if value is not UNSET}
    del changes["endpoint"]
    if "address" in changes:
        changes["device"] = changes.pop("address")
    if "options" in changes:
        merged = {**before.options, **changes["options"]}
        changes["options"] = {name: value for name, value in merged.items() if value is not None}
    return view(await bridge.directory.update(before.name, **changes))


async def enable_endpoint(bridge: Bridge, asked: EnableEndpoint) -> EndpointView:
    return view(await bridge.directory.update((await existing(bridge, asked.name)).name, enabled=True))


async def disable_endpoint(bridge: Bridge, asked: DisableEndpoint) -> EndpointView:
    return view(await bridge.directory.update((await existing(bridge, asked.name)).name, enabled=False))


async def provision_endpoint(bridge: Bridge, asked: ProvisionEndpoint) -> EndpointView:
    record = await existing(bridge, asked.name)
    await bridge.provision(record)
    return view(record)


async def remove_endpoint(bridge: Bridge, asked: RemoveEndpoint) -> EndpointView:
    return view(await bridge.remove_endpoint(asked.name))


async def import_endpoints(bridge: Bridge, asked: ImportEndpoints) -> EndpointsImported:
    # Bytes that are not UTF-8 become a fault of their line.
    lines = io.StringIO(asked.csv.decode("utf-8-sig", "surrogateescape"), newline="")
    with bridge.work(IMPORTING, max(asked.csv.count(b"\n") - 1, 0)) as work:
        done = await import_csv(
            bridge.directory,
            lines,
            partial=asked.partial,
            update=asked.update,
            dry_run=asked.dry_run,
            step=work.step,
        )
    faults = tuple(Fault(line=fault.line, reason=fault.reason) for fault in done.faults)
    rows = (
        tuple(ImportedRow(line=row.line, name=row.name, outcome=row.outcome.value) for row in done.rows)
        if asked.rows
        else ()
    )
    return EndpointsImported(added=done.added, changed=done.changed, unchanged=done.unchanged, faults=faults, rows=rows)


async def existing(bridge: Bridge, name: str) -> EndpointRecord:
    """Return an endpoint of the directory by its name. Raises NotFound."""
    record = await bridge.directory.by_name(name)
    if record is None:
        raise NotFound(f"no endpoint {name!r}")
    return record


def _draft(new: NewEndpoint) -> Draft:
    return Draft(
        network=new.network,
        device=new.address,
        name=new.name,
        servers=new.servers,
        profile=new.profile,
        default_ttl=new.default_ttl,
        object_list=new.object_list,
        confirmed=new.confirmed,
        options=new.options,
        enabled=new.enabled,
    )


OPERATIONS = (
    Operation(ListEndpoints, list_endpoints),
    Operation(CountEndpoints, count_endpoints),
    Operation(SummarizeEndpoints, summarize_endpoints),
    Operation(ShowEndpoint, show_endpoint),
    Operation(GetEndpointState, get_endpoint_state),
    Operation(ExplainEndpoint, explain_endpoint),
    Operation(AddEndpoints, add_endpoints),
    Operation(UpdateEndpoint, update_endpoint),
    Operation(EnableEndpoint, enable_endpoint),
    Operation(DisableEndpoint, disable_endpoint),
    Operation(ProvisionEndpoint, provision_endpoint),
    Operation(RemoveEndpoint, remove_endpoint),
    Operation(ImportEndpoints, import_endpoints),
)
