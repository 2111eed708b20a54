"""What a start does about rows with times in the future: the wall clock was set back (`bridge.delivery.future`)."""

from typing import TypeVar

from bridge.delivery.effects import Count
from bridge.delivery.future import (
    APART,
    SET_BACK,
    kept_downlink_from_the_future,
    kept_uplink_from_the_future,
    uplink_from_the_future,
)
from bridge.delivery.kept import KeptRows
from bridge.delivery.uplinks import Uplink
from bridge.relay.state import EndpointState, Step

U = TypeVar("U", bound=Uplink)


def has_times_ahead(state: EndpointState, now: float) -> bool:
    """Return whether something is later than `now` of an endpoint that has no message without an outcome."""
    ahead = now + APART
    return (
        (state.relay is not None and state.relay.joined_at >= ahead)
        or any(max(one.awake_since, one.refreshed_at) >= ahead for one in state.registrations)
        or any(one.heard_at >= ahead for one in state.observations.values())
        or any(row.accepted_at >= ahead for row in state.deliveries.kept.values())
        or any(row.received_at >= ahead for row in state.kept_uplinks.values())
        or any(row.received_at >= ahead for row in state.kept_others.values())
    )


def move_times_back(step: Step) -> None:
    """Move times back that are later than now, but for those of downlinks without an outcome."""
    state, now = step.state, step.wall
    if state.relay is not None and state.relay.joined_at > now:
        step.relay_row().joined_at = now
    for registration in state.registrations:
        if max(registration.awake_since, registration.refreshed_at) >= now + APART:
            registration.since = min(registration.since, now)
            registration.awake_since = min(registration.awake_since, now)
            registration.refreshed_at = min(registration.refreshed_at, now)
            step.relay_row()
    for observation in state.observations.values():
        if observation.heard_at >= now + APART:
            observation.heard_at = now
            step.work.update(observation)
    for up in state.uplinks.values():
        if uplink_from_the_future(up, now):
            step.work.update(up)
            step.effect(Count("messages_from_the_future", "up", SET_BACK))
    for row in [*state.deliveries.kept.values()]:
        if kept_downlink_from_the_future(row, now):
            state.deliveries.kept.renew(row)
            step.work.update(row)
    _move_kept(step, state.kept_uplinks)
    _move_kept(step, state.kept_others)


def _move_kept(step: Step, kept: KeptRows[U]) -> None:
    for row in [*kept.values()]:
        if kept_uplink_from_the_future(row, step.wall):
            kept.renew(row)
            step.work.update(row)
