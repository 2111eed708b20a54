"""Answers to the device's own messages: acknowledgements, Resets and piggybacked responses (R13, R14, R16, R25)."""

from bridge.coap.message import ACK, NON, RST, Message, parse
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery import words
from bridge.delivery.attempts import nobody_has_it
from bridge.delivery.downlinks import Answer
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import DeviceRequest, DeviceUplink, Notification
from bridge.enums import members
from bridge.relay.blocks import Fits, block_of, shorter_response
from bridge.relay.effects import Count
from bridge.relay.size import LARGEST_SZX
from bridge.relay.state import Step

MADE_WAY = "too many answers wait: the oldest was dropped"
_S = members(DownlinkState)
_U = members(UplinkState)


def respond(step: Step, uplink: DeviceUplink, code: int, body: bytes, operation: str) -> None:
    """Answer a device's request: piggybacked on its CON, else as a NON with a message ID of the bridge (R14)."""
    if uplink.confirmable:
        _answer(step, uplink, ACK, code, uplink.south_mid, body, operation)
    else:
        state = step.state
        _answer(step, uplink, NON, code, state.south_mids.allocate(state.by_south_mid), body, operation)


def acknowledge(step: Step, uplink: DeviceUplink | None, mid: int) -> None:
    """Acknowledge a device's message; the acknowledgement is stored in `uplink`, for repeats."""
    _answer(step, uplink, ACK, Code.EMPTY, mid, b"", "Acknowledgement")


def reset(step: Step, uplink: DeviceUplink | None, mid: int) -> None:
    """Answer a device's message with a Reset, so that the device stops (RFC 7252 §4.2, RFC 7641 §3.6)."""
    _answer(step, uplink, RST, Code.EMPTY, mid, b"", "Reset")


def repeat_answer(step: Step, uplink: DeviceUplink) -> None:
    """Send the stored answer to a repeated message again, unless the answer still waits to be delivered (R13)."""
    if uplink.reply_type is None:
        if type(uplink) is Notification and uplink.confirmable and uplink.finished_at is not None:
            wanted = uplink.south_token in step.state.observations and uplink.state is not _U.REJECTED
            (acknowledge if wanted else reset)(step, uplink, uplink.south_mid)
        else:
            step.effect(Count("device_repeats", "no reply yet"))
        return
    if uplink.reply_downlink in step.state.deliveries.live:
        step.effect(Count("device_repeats", "reply still waits"))
        return
    step.effect(Count("device_repeats", "reply sent again"))
    _answer(step, uplink, uplink.reply_type, uplink.reply_code, uplink.reply_mid, uplink.reply_body, "Repeated answer")


def shortened(uplink: DeviceUplink | None, answer: Message, fits: Fits) -> bytes | None:
    """Return the first block of an answer that does not fit, no larger than the device asked for.

    None: it cannot be shortened.
    """
    if uplink is None or uplink.operation == "OSCORE" or not answer.code:
        return None
    asked = block_of(parse(uplink.code, uplink.body), OptionNumber.BLOCK2)
    return shorter_response(answer, fits, LARGEST_SZX if asked is None else asked.szx)


def unavailable(step: Step, uplink: DeviceUplink | None, refused: Answer) -> None:
    """Return the shortest answer that says that there is an answer which cannot be sent (R25)."""
    if uplink is None or uplink.operation == "OSCORE" or refused.code in (Code.EMPTY, Code.SERVICE_UNAVAILABLE):
        return
    largest = step.south.max_downlink
    if largest is None or step.state.south_hop.size_of(refused.south_token, b"") <= largest:
        code = Code.SERVICE_UNAVAILABLE
        _answer(step, uplink, refused.coap_type, code, refused.south_mid, b"", refused.operation)


def _answer(
    step: Step, uplink: DeviceUplink | None, coap_type: int, code: int, mid: int, body: bytes, operation: str
) -> None:
    """Queue an answer ahead of all requests; it is stored in the uplink, for the device's repeats.

    If too many answers wait already, it is not queued: the device gets it when it repeats its message. If it does not
    fit, its first block is queued; the device gets the other blocks from the stored answer (R25).
    """
    state = step.state
    largest = step.south.max_downlink
    token = uplink.south_token if code and uplink is not None else b""
    carried = body
    if largest is not None and state.south_hop.size_of(token, body) > largest:
        shorter = shortened(uplink, parse(code, body, token), state.fits(token, largest))
        carried = body if shorter is None else shorter
    if uplink is not None:
        uplink.reply_type, uplink.reply_code, uplink.reply_mid, uplink.reply_body = coap_type, code, mid, body
        step.work.update(uplink)
    if not _make_room(step):
        return
    received = uplink.received_at if uplink is not None else step.wall
    row = Answer.new(
        step.work.new_id(),
        state.endpoint.id,
        state.endpoint.shard,
        step.wall,
        operation,
        max(received + step.south.exchange_span, step.wall),
        carried,
        coap_type,
        code,
        mid,
        token,
        uplink.id if uplink is not None else None,
        step.port if uplink is None else state.deliveries.ports.get(uplink.server),
    )
    state.deliveries.add(row, step.work)
    if row.own_mid is not None:
        state.by_south_mid[mid] = row
    if uplink is not None:
        uplink.reply_downlink = row.id
    if largest is not None and state.south_hop.size(row) > largest:
        reason = f"{state.south_hop.size_of(token, body)} bytes, {largest} fit"
        state.deliveries.end(row, _S.TOO_LARGE, step.work, reason)
        unavailable(step, uplink, row)


def _make_room(step: Step) -> bool:
    """Make room for one more answer (R30): a device that goes on sending does not need the oldest.

    False: the network holds all of them. Then the network is asked to remove the oldest, which takes a while.
    """
    deliveries = step.state.deliveries
    if len(deliveries.live) < step.state.policy.max_answers:
        return True
    waiting = [row for row in deliveries.live.values() if type(row) is Answer]
    if len(waiting) < step.state.policy.max_answers:
        return True
    for row in waiting:
        if row.state is not _S.QUEUED:
            continue
        if nobody_has_it(row.attempts):
            deliveries.end(row, _S.SUPERSEDED, step.work, MADE_WAY)
        else:  # it was sent once
            deliveries.give_up(row, step.work, MADE_WAY)
        step.effect(Count("answers_superseded"))
        return True
    if not any(row.cancel_asked for row in waiting):
        words.cancel_asked(deliveries, waiting[0].id, step.work, step.south)
    step.effect(Count("answers_held_back"))
    return False


def is_delivered(row: Answer, uplink: DeviceRequest) -> bool:
    """Return whether the answer to a device's request certainly reached the device."""
    return row.state is _S.DELIVERED and uplink.reply_downlink == row.id
