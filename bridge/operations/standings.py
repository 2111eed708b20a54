"""Views of endpoints and their state, and filters."""

from collections.abc import Callable

from msgspec.structs import asdict

from bridge.directory import EndpointRecord
from bridge.operations.types.endpoints import (
    EndpointFilter,
    EndpointItem,
    EndpointView,
    ProvisioningView,
    RegistrationState,
    SeenView,
)
from bridge.relay.register import DEFAULT_LIFETIME
from bridge.store.fleet import EndpointConditions, FleetEntry, LatestMessage, is_late, lapses_at


def view(record: EndpointRecord) -> EndpointView:
    """Return the view of a record."""
    return EndpointView(
        name=record.name,
        network=record.network,
        address=record.device,
        servers=record.servers,
        profile=record.profile,
        default_ttl=record.default_ttl,
        object_list=record.object_list,
        confirmed=record.confirmed,
        options=dict(record.options),
        enabled=record.enabled,
        created_at=record.created_at,
        changed_at=record.changed_at,
        scheme=record.scheme,
        seen_as=record.locals,
    )


def item(
    standing: FleetEntry,
    now: float,
    holder: Callable[[int], str | None],
    ports: Callable[[EndpointRecord], dict[str, str]],
) -> EndpointItem:
    """Return the view of an endpoint and its state.

    `holder` returns the node that serves a shard, `ports` the application port of each server.
    """
    provisioning = standing.provisioning
    return EndpointItem(
        **asdict(view(standing.record)),
        provisioning=ProvisioningView(
            state=provisioning.state,
            reason=provisioning.reason,
            since=provisioning.since,
            retry_at=provisioning.retry_at,
        ),
        registrations=tuple(
            RegistrationState(
                server=one.server,
                path=one.path,
                lifetime=one.lifetime or DEFAULT_LIFETIME,
                since=one.since,
                renewed_at=one.refreshed_at,
                late=is_late(one, now),
                lapses_at=lapses_at(one),
                live=lapses_at(one) > now,
            )
            for one in standing.registrations
        ),
        last_uplink=_latest(standing.uplink),
        last_downlink=_latest(standing.downlink),
        waiting=standing.waiting,
        application_ports=ports(standing.record),
        shard=standing.record.shard,
        node=holder(standing.record.shard),
    )


def conditions_of(asked: EndpointFilter, now: float) -> EndpointConditions:
    """Return a filter of a request as conditions for the store."""
    return EndpointConditions(
        network=asked.network,
        server=asked.server,
        enabled=asked.enabled,
        prefix=asked.prefix,
        text=asked.text,
        provisioning=frozenset(asked.provisioning) or None,
        registered=asked.registered,
        waiting=asked.waiting,
        silent_since=None if asked.silent_for is None else now - asked.silent_for,
        now=now,
    )


def _latest(message: LatestMessage | None) -> SeenView | None:
    return None if message is None else SeenView(id=message.id, at=message.at)
