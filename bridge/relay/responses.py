"""Responses of servers to the device's requests, of the device to servers' requests, and notifications.

Rules R7, R12, R14, R16, R20, R30.
"""

from bridge.coap.message import ACK, CON, NON, Message
from bridge.coap.numbers import Code, OptionNumber
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import DeviceRequest, Notification, Response
from bridge.enums import members
from bridge.relay import toward_device, toward_server, transfers
from bridge.relay.effects import Count
from bridge.relay.model import Observation, ObservationState
from bridge.relay.register import location_of
from bridge.relay.state import Step

_S = members(DownlinkState)
_O = members(ObservationState)
_U = members(UplinkState)
_CONTINUE = int(Code.CONTINUE)


# -- a server's response to the device's request -------------------------------------------------------------------


def from_server(step: Step, server: str, message: Message) -> None:
    """Take a server's response: piggybacked in its acknowledgement, or separate."""
    for row in step.state.uplinks.values():
        if type(row) is DeviceRequest and row.server == server and row.north_token == message.token:
            if message.type is ACK and message.mid != row.north_mid:
                continue
            _answered(step, row, message)
            return
    if message.type is CON:
        repeated = any(
            type(row) is DeviceRequest
            and row.server == server
            and row.server_mid == message.mid
            and row.north_token == message.token
            for row in step.state.kept_uplinks.values()
        )
        if repeated:
            toward_server.acknowledge(step, server, message.mid)
        else:
            toward_server.reset(step, server, message.mid)  # RFC 7252 §5.3.2: nobody asked
    step.effect(Count("responses_without_request", "north"))


def _answered(step: Step, row: DeviceRequest, message: Message) -> None:
    toward_server.acknowledged(step, row)
    if message.type is CON:
        row.server_mid = message.mid
        toward_server.acknowledge(step, row.server, message.mid)
    step.state.settle_uplink(row, max(row.received_at + step.south.exchange_span, step.wall + EXCHANGE_LIFETIME))
    step.work.update(row)
    _registration_follows(step, row, message)
    if _is_unwanted(row, message):
        if row.confirmable:
            toward_device.acknowledge(step, row, row.south_mid)
        return
    toward_device.respond(step, row, message.code, message.body, f"{row.operation} answer")


def _is_unwanted(row: DeviceRequest, message: Message) -> bool:
    """Whether the device asked not to be sent such a response (No-Response, RFC 7967 §2.1)."""
    unwanted = row.no_response
    return unwanted is not None and bool(unwanted >> (message.code >> 5) - 1 & 1)


def _registration_follows(step: Step, row: DeviceRequest, message: Message) -> None:
    """Begin or end a registration where the server's answer says so; observations of the one before end (R20)."""
    if row.operation == "Register" and message.code == Code.CREATED:
        relay = step.relay_row()
        relay.location = location_of(message)
        relay.refuse_update = False
        end_observations(step)
    elif (row.operation == "De-register" and message.code == Code.DELETED) or (
        row.operation == "Update" and message.code == Code.NOT_FOUND
    ):
        relay = step.relay_row()
        relay.location = ""
        end_observations(step)


def end_observations(step: Step) -> None:
    """End all observations on both sides; a device that still notifies is answered RST (R20)."""
    for observation in step.state.observations.values():
        cancel_observation(step, observation)


def cancel_observation(step: Step, observation: Observation) -> None:
    """It is over here, which the device may not know: what it still notifies is answered RST (R19, R20).

    Its token names nothing else, over restarts too, until another observation needs the room (R1, R30).
    """
    if observation.state is not _O.CANCELLED:
        observation.state = _O.CANCELLED
        step.work.update(observation)


def observation_fits(step: Step, server: str, north_token: bytes) -> bool:
    """Whether one more may be observed (R30)."""
    state = step.state
    if state.observation_of(server, north_token) is not None:
        return True  # the same once more
    pending = sum(type(row) is ServerRequest and row.observe == 0 for row in state.deliveries.live.values())
    return _has_room(step, pending)


def _has_room(step: Step, pending: int) -> bool:
    """Whether there is room for one more observation; the oldest that is cancelled makes way."""
    state = step.state
    if len(state.observations) + pending < state.policy.max_observations:
        return True
    for observation in state.observations.values():
        if observation.state is _O.CANCELLED:
            drop_observation(step, observation.south_token)
            return True
    return False


def drop_observation(step: Step, south_token: bytes) -> None:
    observation = step.state.observations.pop(south_token, None)
    if observation is not None:
        step.state.retire(south_token)
        step.work.delete(observation)


# -- the device's response to a server's request -------------------------------------------------------------------


def from_device(step: Step, message: Message, digest: bytes, duplicate_key: str | None) -> None:
    """Take a response or notification from the device, by its token."""
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
        _notification(step, observation, message, digest, duplicate_key)
    elif row is not None and (is_answer or not waits) and not _notifies_after_the_end(row, message):
        _late(step, row, message, digest, duplicate_key)
    else:
        _refuse(step, message)


def _refuse(step: Step, message: Message) -> None:
    """Answer a Reset to what goes nowhere: it must not be acknowledged, and the device must stop (RFC 7641 §3.6)."""
    step.effect(Count("responses_without_request", "south"))
    if message.type is CON or (message.type is NON and message.option(OptionNumber.OBSERVE) is not None):
        toward_device.reset(step, None, message.mid)


def _request_of(step: Step, message: Message) -> ServerRequest | None:
    """Return the request that a response is for: by its token, and by its MID where it is piggybacked.

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
    """Whether a device goes on with an ended observation: it did not get the RST, or nobody waited (R12, R19, R20).

    Its own repeat of the first response is known by its digest and does not come here.
    """
    began = row.over and row.observe == 0 and (row.state is _S.RESPONDED or row.late)
    return began and message.type is not ACK and message.option(OptionNumber.OBSERVE) is not None


def _take(step: Step, row: ServerRequest, message: Message, digest: bytes, duplicate_key: str | None) -> Response:
    endpoint = step.state.endpoint
    response = Response.received(
        step.work.new_id(),
        endpoint.id,
        endpoint.shard,
        step.wall,
        row.server,
        row.operation,
        row.answer_by,
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
    """A response moves any state that is no outcome to RESPONDED (R7)."""
    if row.answered:
        _late(step, row, message, digest, duplicate_key)
        return
    up = _take(step, row, message, digest, duplicate_key)
    following = None if row.split_from is None else transfers.next_part(row, message)
    if following is not None:
        toward_server.settle(step, up, _U.REPLACED, "the server gets the answer to the last part of its block")
        transfers.send_next(step, row, following)
        step.state.deliveries.answered(row, _S.RESPONDED, step.work, "a part of a block; the next one follows")
    else:
        _observation_follows(step, row, message)
        row.answered = True
        in_blocks = row.split_from is not None or message.code == _CONTINUE
        body = transfers.relayed_body(step, row, message) if in_blocks else message.body
        toward_server.respond(step, row, up, message.code, body)
        step.state.deliveries.answered(row, _S.RESPONDED, step.work)
    if message.type is CON:
        toward_device.acknowledge(step, up, message.mid)


def _observation_follows(step: Step, row: ServerRequest, message: Message) -> None:
    """Begin, keep or end an observation as the response says (RFC 7641 §3.1, §3.6)."""
    if row.observe is None:
        return
    state = step.state
    begins = row.observe == 0 and message.code >> 5 == 2 and message.option(OptionNumber.OBSERVE) is not None  # noqa: PLR2004
    if not begins:
        drop_observation(step, row.south_token)
    elif row.south_token not in state.observations:
        observation = Observation(
            state.endpoint.id, row.south_token, state.endpoint.shard, row.server, row.north_token, step.wall
        )
        state.observations[row.south_token] = observation
        step.work.insert(observation)


def _late(step: Step, row: ServerRequest, message: Message, digest: bytes, duplicate_key: str | None) -> None:
    """Nobody waits any more: it is recorded, and an observation that it began is cancelled (R12)."""
    if row.over and (row.state is _S.RESPONDED or row.late):
        _answered_before(step, row, message)
        return
    up = _take(step, row, message, digest, duplicate_key)
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
        _begun_too_late(step, row, row.south_token)


def _answered_before(step: Step, row: ServerRequest, message: Message) -> None:
    """Acknowledge what is on disk already, in another message; anything else goes nowhere, and is refused (R18)."""
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


def _begun_too_late(step: Step, row: ServerRequest, south_token: bytes) -> None:
    """The device observes, and nobody wants it: cancelled from the beginning."""
    state = step.state
    if south_token in state.observations:
        return
    if not _has_room(step, 0):
        state.retire(south_token)
        return
    cancelled = Observation(
        state.endpoint.id, south_token, state.endpoint.shard, row.server, row.north_token, step.wall, _O.CANCELLED
    )
    state.observations[south_token] = cancelled
    step.work.insert(cancelled)


def _notification(
    step: Step, observation: Observation, message: Message, digest: bytes, duplicate_key: str | None
) -> None:
    """Store a notification and send it on as confirmable; the device's own CON is acknowledged by R16."""
    state = step.state
    if observation.state is _O.CANCELLED:
        toward_device.reset(step, None, message.mid)
        step.effect(Count("notifications_after_cancel"))
        return
    if not make_room(step):
        return
    up = Notification.received(
        step.work.new_id(),
        state.endpoint.id,
        state.endpoint.shard,
        step.wall,
        observation.server,
        "Notify",
        step.wall + state.policy.long_ttl,
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
    if up.confirmable:
        state.hold_due[up.id] = step.mono + state.policy.notify_hold
    if message.code >> 5 != 2 or message.option(OptionNumber.OBSERVE) is None:  # noqa: PLR2004
        drop_observation(step, observation.south_token)  # the device ended it (RFC 7641 §4.2)


def make_room(step: Step) -> bool:
    """See that one more uplink may be stored (R30).

    The oldest request that the server has and does not answer makes way, then the oldest Notify or Send.
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
            toward_server.settle(step, row, _U.EXPIRED, "too many stored uplinks: the oldest made way")
            step.effect(Count("uplinks_dropped", "oldest made way"))
            return True
    step.effect(Count("uplinks_dropped", "full", "an uplink was dropped: too many wait for the server"))
    return False


def acknowledge_held(step: Step) -> None:
    """Acknowledge the notifications that the server did not acknowledge quickly: the bridge has them (R16)."""
    state = step.state
    for uplink, due in list(state.hold_due.items()):
        if due <= step.mono:
            del state.hold_due[uplink]
            row = state.uplinks[uplink]
            if type(row) is Notification:
                toward_device.acknowledge(step, row, row.south_mid)
