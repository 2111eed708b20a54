"""The device's responses to servers' requests, and its notifications (R7, R12, R16, R18, R30)."""

from bridge.coap.message import ACK, CON, NON, Message
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Notification, Response
from bridge.enums import members
from bridge.relay import direct, observations, toward_device, toward_server, transfers, verdict
from bridge.relay.effects import Count
from bridge.relay.model import Observation, ObservationState
from bridge.relay.state import Step

_S = members(DownlinkState)
_O = members(ObservationState)
_U = members(UplinkState)
_CONTINUE = int(Code.CONTINUE)
ENDS_EARLY = "the device asked for no further part, and did not get the rest"


def from_device(step: Step, message: Message, digest: bytes, duplicate_key: str | None) -> None:
    """Process a response or notification of the device, found by its token."""
    state = step.state
    row = _request_of(step, message)
    observation = state.observations.get(message.token)
    has_observe = message.option(OptionNumber.OBSERVE) is not None
    waits = row is not None and not row.over and row.attempts != []
    # With an Observe option it answers an Observe, or belongs to an observation that began earlier (RFC 7641 §3.2).
    is_answer = row is not None and (row.observe == 0 or not has_observe or message.type is ACK)
    if row is not None and waits and is_answer:
        _responded(step, row, message, digest, duplicate_key)
    elif observation is not None and message.type is not ACK:
        _notification(step, observation, message, digest, duplicate_key, continues=has_observe)
    elif row is not None and (is_answer or not waits) and not _notifies_after_the_end(row, message):
        _record_late(step, row, message, digest, duplicate_key)
    else:
        _refuse(step, message)


def _refuse(step: Step, message: Message) -> None:
    """Answer a response that belongs to nothing with a Reset, so that the device stops (RFC 7641 §3.6)."""
    step.effect(Count("responses_without_request", "south"))
    if message.type is CON or (message.type is NON and message.option(OptionNumber.OBSERVE) is not None):
        toward_device.reset(step, None, message.mid)


def _request_of(step: Step, message: Message) -> ServerRequest | None:
    """Return the request that a response answers: by its token, and by its message ID if it is piggybacked.

    Two requests may share a token: one that begins an observation and one that ends it (R1).
    """
    state = step.state
    latest = state.by_token.get(message.token)
    if latest is None or (latest.attempts and (message.type is not ACK or message.mid == latest.south_mid)):
        return latest
    for row in (*state.deliveries.live.values(), *state.deliveries.kept.values()):
        if type(row) is not ServerRequest or row.south_token != message.token or not row.attempts:
            continue
        if message.type is not ACK or message.mid == row.south_mid:
            return row
    return None


def _notifies_after_the_end(row: ServerRequest, message: Message) -> bool:
    """Return whether a device notifies an ended observation: the Reset was lost, or nobody waited (R12, R19, R20).

    The device's repeat of its first response was recognised by its digest before.
    """
    began = row.over and row.observe == 0 and (row.state is _S.RESPONDED or row.late)
    return began and message.type is not ACK and message.option(OptionNumber.OBSERVE) is not None


def _store(step: Step, row: ServerRequest, message: Message, digest: bytes, duplicate_key: str | None) -> Response:
    endpoint = step.state.endpoint
    response = Response.received(
        step.work.new_id(),
        endpoint.id,
        endpoint.shard,
        step.heard_at,
        row.server,
        row.operation,
        None if row.is_direct else row.answer_by,
        message.code,
        message.body,
        row.north_token,
        message.type is CON,
        message.mid,
        message.token,
        digest,
        duplicate_key,
        row.id,
    )
    toward_server.add(step, response)
    return response


def _responded(step: Step, row: ServerRequest, message: Message, digest: bytes, duplicate_key: str | None) -> None:
    """Record that the device responded: any state that is not an outcome becomes RESPONDED (R7)."""
    if row.answered:
        _record_late(step, row, message, digest, duplicate_key)
        return
    up = _store(step, row, message, digest, duplicate_key)
    following = None if row.split_from is None else transfers.next_part(row, message)
    ends_early = following is None and transfers.ends_early(row, message)
    further = direct.next_block(row, message) if row.is_direct and following is None and not ends_early else None
    reason = ENDS_EARLY if ends_early else ""
    if further is not None and row.cancel_asked:
        further, reason = None, "cancelled on request: no further block of the answer is asked for"
    if further is not None:
        toward_server.settle(step, up, _U.FORWARDED)
        transfers.send_next(step, row, further)
        step.state.deliveries.answered(row, _S.RESPONDED, step.work, "a block of the answer; the next one is asked for")
    elif following is not None:
        toward_server.settle(step, up, _U.REPLACED, "the server gets the answer to the last part of this block")
        transfers.send_next(step, row, following)
        follows = "no further one, for it was cancelled" if row.cancel_asked else "the next one follows"
        step.state.deliveries.answered(row, _S.RESPONDED, step.work, f"a part of a block; {follows}")
    elif ends_early and not row.is_direct and transfers.is_of_last_block(row):
        toward_server.settle(step, up, _U.REPLACED, ENDS_EARLY)
        step.state.deliveries.answered(row, _S.RESPONDED, step.work, reason)
        verdict.answer_instead(step, row, Code.BAD_GATEWAY)
    else:
        observations.follow(step, row, message)
        row.answered = True
        step.state.round_trips.append(step.wall - row.accepted_at)
        in_blocks = (row.split_from is not None or message.code == _CONTINUE) and not row.is_direct
        body = transfers.relayed_body(step, row, message) if in_blocks else message.body
        toward_server.respond(step, row, up, message.code, body)
        step.state.deliveries.answered(row, _S.RESPONDED, step.work, reason)
    if message.type is CON:
        toward_device.acknowledge(step, up, message.mid)


def _record_late(step: Step, row: ServerRequest, message: Message, digest: bytes, duplicate_key: str | None) -> None:
    """Record a late answer, for which nobody waits; an observation that it began is cancelled (R12)."""
    if row.over and (row.state is _S.RESPONDED or row.late):
        _answered_before(step, row, message)
        return
    up = _store(step, row, message, digest, duplicate_key)
    toward_server.settle(step, up, _U.EXPIRED, "late: the server no longer waited")
    row.late = True
    step.effect(Count("late_responses"))
    if row.over:
        step.work.update(row)
    else:
        step.state.deliveries.answered(row, _S.RESPONDED, step.work, "late")
    if message.type is CON:
        toward_device.acknowledge(step, up, message.mid)
    if row.observe == 0 and message.option(OptionNumber.OBSERVE) is not None:
        observations.begun_too_late(step, row, row.south_token)


def _answered_before(step: Step, row: ServerRequest, message: Message) -> None:
    """Acknowledge a response that is stored already, repeated in another message; refuse any other (R18)."""
    is_known = any(
        type(up) is Response and up.downlink == row.id and up.code == message.code and up.body == message.body
        for up in (*step.state.uplinks.values(), *step.state.kept_others.values())
    )
    if is_known:
        step.effect(Count("device_repeats", "response"))
        if message.type is CON:
            toward_device.acknowledge(step, None, message.mid)
        return
    _refuse(step, message)


def _notification(
    step: Step, observation: Observation, message: Message, digest: bytes, duplicate_key: str | None, *, continues: bool
) -> None:
    """Store a notification and send it on as confirmable; if it is a CON, it is acknowledged later (R16).

    `continues`: it has an Observe option, without which it ends the observation.
    """
    state = step.state
    server = state.server(observation.server)
    if observation.state is _O.CANCELLED or server is None:
        toward_device.reset(step, None, message.mid)
        step.effect(Count("notifications_after_cancel"))
        return
    if not make_room(step):
        return
    up = Notification.received(
        step.work.new_id(),
        state.endpoint.id,
        state.endpoint.shard,
        step.heard_at,
        observation.server,
        "Notify",
        step.accepted_at + state.policy.long_ttl,
        message.code,
        message.body,
        observation.north_token,
        message.type is CON,
        message.mid,
        message.token,
        digest,
        duplicate_key,
    )
    toward_server.add(step, up)
    toward_server.originate(step, up)
    observations.record_notification(step, observation)
    if up.confirmable and server.profile.acknowledges_notifications:
        state.hold_due[up.id] = step.mono + state.policy.notify_hold
    elif up.confirmable:
        toward_device.acknowledge(step, up, up.south_mid)
    if message.code >> 5 != 2 or not continues:  # noqa: PLR2004
        observations.drop_observation(step, observation.south_token)  # the device ended it (RFC 7641 §4.2)


def make_room(step: Step) -> bool:
    """Make room for one more uplink (R30).

    The oldest request that the server acknowledged and does not answer is dropped, then the oldest Notify or Send.
    """
    state = step.state
    if len(state.uplinks) < state.policy.max_uplinks:
        return True
    for row in state.uplinks.values():
        if row.state is _U.FORWARDED:
            toward_server.abandon_response(step, row)
            return True
    for row in state.uplinks.values():
        if row.state is _U.RECEIVED and row.operation in ("Notify", "Send"):
            toward_server.settle(step, row, _U.EXPIRED, "too many stored uplinks: the oldest was dropped")
            step.effect(Count("uplinks_dropped", "oldest was dropped"))
            return True
    step.effect(Count("uplinks_dropped", "full", "an uplink was dropped: too many wait for the server"))
    return False


def acknowledge_held(step: Step) -> None:
    """Acknowledge notifications that the server did not acknowledge quickly: the bridge has stored them (R16)."""
    state = step.state
    for uplink, due in list(state.hold_due.items()):
        if due <= step.mono:
            del state.hold_due[uplink]
            row = state.uplinks[uplink]
            if type(row) is Notification:
                toward_device.acknowledge(step, row, row.south_mid)
