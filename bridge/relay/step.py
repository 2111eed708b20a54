"""The one step of an endpoint: `(state, event, now) → (changes, effects, wake)`.

The caller commits `changes`, then releases `effects` in order, and steps again when `wake` seconds have passed. `state`
is changed in place: if the commit fails, the caller drops it together with the effects, and loads it again.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from bindings.contract import SouthProfile
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.delivery import words
from bridge.delivery.downlinks import Answer, ServerRequest
from bridge.delivery.network import FREE, NetworkCondition, Turn
from bridge.delivery.rows import FOREVER, Change
from bridge.delivery.states import UplinkState
from bridge.delivery.uplinks import DeviceRequest, Notification
from bridge.delivery.work import Now, Work
from bridge.enums import members
from bridge.quota.account import Charge
from bridge.quota.limits import NO_LIMITS, Limits
from bridge.relay import (
    awake,
    direct,
    events as ev,
    from_device,
    from_server,
    new_link,
    observations,
    removed_servers,
    responses,
    toward_server,
    transfers,
    verdict,
    waking,
)
from bridge.relay.effects import Effect
from bridge.relay.set_back import move_times_back
from bridge.relay.state import EndpointState, Step, always

_U = members(UplinkState)


class Result(msgspec.Struct, frozen=True):
    """What the caller of a step has to do."""

    changes: list[Change]
    effects: list[Effect]
    wake: float | None  # seconds until the next `Tick` is due; None: only an event can change this endpoint
    begins_call: bool  # one of the effects is a network call
    charges: list[Charge]  # charges and refunds: the caller adds them to shared quotas
    waits_for_call: Turn | None  # a network call should begin; a `Tick` is due when it is the endpoint's turn
    is_held: bool = False  # the next message is held by a quota, or by a limit of the network


def step(
    state: EndpointState,
    event: ev.Event,
    now: Now,
    south: SouthProfile,
    random: Callable[[], float],
    new_id: Callable[[], int],
    network: NetworkCondition = FREE,
    limits: Limits = NO_LIMITS,
    link_carries: Callable[[str, bytes, bool], bool] = always,
) -> Result:
    """Process one event. Nothing that a peer sends makes it raise; an exception is a bug.

    `network` is the condition of the endpoint's network now. A step has an effect that calls the network only if the
    network has room for a call; the caller reserves that call before anything else. `limits` are the endpoint's quotas,
    with what other endpoints used of shared ones. `link_carries` returns whether a message to a server, or to its DTLS
    port, would leave now.
    """
    work = Work(now, random, new_id)
    at = Step(state, work, south, now.wall, now.mono, link_carries=link_carries)
    deliveries = state.deliveries
    deliveries.begins_call = False
    deliveries.held_until = None
    deliveries.waits_for_call = deliveries.is_next_soon = None
    account = state.account
    account.take_limits(limits)
    account.charges = []
    if south is not state.south:
        _profile_changed(at)
    _HANDLERS[type(event)](at, event)
    _time_passes(at)
    if deliveries.ended:
        verdict.answer_ended_requests(at)
    if deliveries.live:
        too_large = deliveries.call_next(work, south, network)
        while too_large is not None:
            transfers.fit(at, too_large)
            too_large = deliveries.call_next(work, south, network)
        if deliveries.ended:
            verdict.answer_ended_requests(at)
    if state.uplinks:
        toward_server.send_queued(at)
    if state.empty_ack_due:
        from_server.send_due_empty_acks(at)
    state.sweep(now.wall)
    if deliveries.live and state.endpoint.wake is not None:
        at.look_again_at = waking.wake_if_needed(at)
    wake = _next_wake(at) if state.uplinks or deliveries.live else None
    deliveries.touched.clear()
    return Result(
        work.changes(),
        work.effects,
        wake,
        deliveries.begins_call,
        account.charges,
        deliveries.waits_for_call,
        deliveries.held_until is not None,
    )


def _profile_changed(at: Step) -> None:
    """Set a new south profile; the times of all rows are computed again."""
    state, south = at.state, at.south
    before, state.south = state.south, south
    state.deliveries.keep = max(EXCHANGE_LIFETIME, south.exchange_span)
    state.deliveries.touch_all()
    if before is not None and south.max_downlink != before.max_downlink:
        state.deliveries.size_changed(at.work)
    if south.max_uplink != (None if before is None else before.max_uplink):
        transfers.uplink_changed(at)


def _time_passes(at: Step) -> None:
    """Do everything that is due. Every step does so, so that no answer depends on when a timer fires."""
    state = at.state
    deliveries = state.deliveries
    if state.uplinks:
        toward_server.expire(at)
        if state.retransmissions:
            toward_server.repeat_due(at)
        if state.hold_due:
            responses.acknowledge_held(at)
    if deliveries.live:
        rows = deliveries.in_need(at.wall)
        verdict.unanswered_in_time(at, rows)
        deliveries.expire(rows, at.work, at.south)
    for row in deliveries.ended:
        if type(row) is Answer:
            from_device.note_delivered_reply(at, row)


def _next_wake(at: Step) -> float | None:
    """Find the next time at which something is due; wall times are also stored in the changed rows as `due`."""
    state = at.state
    deliveries = state.deliveries
    wall = at.wall
    # by the wall clock, and by the monotonic clock
    soonest, earliest = _downlinks_due(at) if deliveries.live else (FOREVER, FOREVER)
    for up in state.uplinks.values():
        # A message that no server has yet is due at once after a restart, whatever its deadline.
        up.due = wall if up.state is _U.RECEIVED and type(up) is not DeviceRequest else up.expires_at
        if up.expires_at is not None and up.expires_at < soonest:
            soonest = up.expires_at
    for timer in state.retransmissions.values():
        if timer.at < earliest:
            earliest = timer.at
    for due in state.hold_due.values():
        if due < earliest:
            earliest = due
    wake = min(soonest - wall, earliest - at.mono)
    return None if soonest == earliest == FOREVER else max(wake, 0.0)


def _downlinks_due(at: Step) -> tuple[float, float]:
    """Find the next times at which something is due for downlinks: by the wall clock, and by the monotonic clock."""
    deliveries = at.state.deliveries
    soonest = min(deliveries.held_until or FOREVER, at.look_again_at or FOREVER)
    for row in deliveries.touched.values():
        if not row.over:
            due = deliveries.next_time(row, at.wall, at.south)
            if type(row) is ServerRequest and not row.answered and row.answer_by < (FOREVER if due is None else due):
                due = row.answer_by
            row.due = due
    for row in deliveries.live.values():
        if row.due is not None and row.due < soonest:
            soonest = row.due
    return soonest, min(at.state.empty_ack_due.values(), default=FOREVER)


def _started(at: Step, _event: ev.Event) -> None:
    """Resume after a restart: results of network calls are unknown, accepted requests are acknowledged (R32)."""
    words.restarted(at.state.deliveries, at.work, at.south)
    removed_servers.end_what_waits(at)
    toward_server.resume(at)
    for row in at.state.deliveries.live.values():
        if type(row) is ServerRequest and not row.is_direct and row.confirmable and not row.answered:
            if from_server.needs_piggybacking(at, row):
                at.state.empty_ack_due[row.id] = at.mono + max(row.answer_by - at.wall, 0.0)
            else:
                toward_server.acknowledge(at, row.server, row.north_mid)
    move_times_back(at)
    for up in at.state.uplinks.values():
        if type(up) is Notification and up.confirmable and up.reply_type is None:
            at.state.hold_due[up.id] = at.mono


def _tick(_at: Step, _event: ev.Event) -> None:
    """Do nothing: every step does what is due, in `_time_passes`."""


def _submitted(at: Step, event: ev.Submitted) -> None:
    words.submitted(at.state.deliveries, event.downlink, event.attempt, event.result, at.work, at.south)


def _reported(at: Step, event: ev.Reported) -> None:
    words.reported(
        at.state.deliveries,
        event.handle,
        event.outcome,
        event.detail,
        event.retry_at,
        at.work,
        at.south,
        nack=event.nack,
        shard=at.state.endpoint.shard,
        endpoint=at.state.endpoint.id,
    )


def _looked_up(at: Step, event: ev.LookedUp) -> None:
    words.looked_up(at.state.deliveries, event.downlink, event.attempt, event.result, at.work, at.south)


def _cancel_done(at: Step, event: ev.CancelDone) -> None:
    words.cancel_done(at.state.deliveries, event.downlink, event.attempt, event.result, at.work, at.south)


def _cancel_asked(at: Step, event: ev.CancelAsked) -> None:
    words.cancel_asked(at.state.deliveries, direct.current(at, event.downlink), at.work, at.south)


def _reachable(at: Step, event: ev.DeviceReachable) -> None:
    heard_at = at.wall if event.heard_at is None else min(event.heard_at, at.wall)
    words.heard(at.state.deliveries, at.work, at.south, heard_at)
    awake.reachable(at, heard_at)


def _joined(at: Step, event: ev.DeviceJoined) -> None:
    """Forget earlier messages: the device's message IDs start again, so that equal messages are new ones (R13)."""
    at.state.by_digest.clear()
    at.relay_row().joined_at = at.wall
    if not event.queue_kept:
        words.flushed(at.state.deliveries, "the device joined anew", at.work, at.south)


def _flushed(at: Step, event: ev.NetworkFlushed) -> None:
    words.flushed(at.state.deliveries, event.detail, at.work, at.south, event.handle)


def _north_changed(at: Step, _event: ev.NorthChanged) -> None:
    """End observations, and make the device register anew: the server knew another address (R24)."""
    observations.end_all(at, None)
    removed_servers.end_what_waits(at)
    at.relay_row().refuse_update = True


def _servers_changed(at: Step, _event: ev.ServersChanged) -> None:
    removed_servers.end_what_waits(at)


def _network_removed(at: Step, _event: ev.NetworkRemoved) -> None:
    _give_up_downlinks(at, "its network is not configured any more")


def _give_up_downlinks(at: Step, why: str) -> None:
    """End all downlinks: with a certain outcome if no attempt can have reached the device, else UNKNOWN."""
    for row in list(at.state.deliveries.live.values()):
        if type(row) is ServerRequest:
            row.answered = True
        at.state.deliveries.give_up(row, at.work, why)


def _removed(at: Step, event: ev.EndpointRemoved) -> None:
    """End everything of the endpoint: nothing goes to the device or to a server any more."""
    _give_up_downlinks(at, event.why)
    for up in list(at.state.uplinks.values()):
        if up.state is _U.RECEIVED:
            toward_server.settle(at, up, _U.EXPIRED, event.why)
    for token in list(at.state.observations):
        observations.drop_observation(at, token)


_HANDLERS: dict[type[ev.Event], Callable[[Step, Any], None]] = {  # each function accepts its own event
    ev.Started: _started,
    ev.Tick: _tick,
    ev.ServerDatagram: from_server.datagram,
    ev.DirectRequest: direct.accept_request,
    ev.DeviceMessage: from_device.message,
    ev.Submitted: _submitted,
    ev.Reported: _reported,
    ev.LookedUp: _looked_up,
    ev.CancelDone: _cancel_done,
    ev.CancelAsked: _cancel_asked,
    ev.DeviceReachable: _reachable,
    ev.DeviceJoined: _joined,
    ev.NetworkFlushed: _flushed,
    ev.LeftForServer: toward_server.end_sent_notification,
    ev.AddressCame: toward_server.send_what_waits,
    ev.LinkOpened: new_link.process_open_link,
    ev.NorthChanged: _north_changed,
    ev.ServersChanged: _servers_changed,
    ev.NetworkRemoved: _network_removed,
    ev.EndpointRemoved: _removed,
    ev.TriggerAsked: waking.queue_trigger,
}
