"""Answers to the device's own messages: acknowledgements, Resets and piggybacked responses (R13, R14, R16, R25)."""

from bridge.coap.codec import ACK, HEADER, NON, RST, decode, empty, frame
from bridge.coap.numbers import Code, OptionNumber
from bridge.delivery.deliveries import ANSWER
from bridge.delivery.ledger import Downlink, DownlinkState, Uplink, UplinkState
from bridge.enums import members
from bridge.relay.blocks import block_of, shorter_response
from bridge.relay.effects import Count
from bridge.relay.size import LARGEST_SZX
from bridge.relay.state import Step

_S = members(DownlinkState)
_U = members(UplinkState)


def answer(step: Step, uplink: Uplink | None, data: bytes, operation: str, *, south_mid: int | None = None) -> None:
    """Queue an answer ahead of all requests; it is kept with the uplink for the device's repeats.

    `south_mid` is said where the answer has a message ID of the bridge's own. Of one that does not fit the first block
    goes; the device gets the others out of what is kept (R25).
    """
    state = step.state
    largest = step.south.max_downlink
    payload = data
    if largest is not None and len(data) > largest:
        payload = shortened(uplink, data, largest) or data
    received = uplink.received_at if uplink is not None else step.wall
    row = Downlink(
        id=step.work.new_id(),
        endpoint=state.endpoint.id,
        shard=state.endpoint.shard,
        kind=ANSWER,
        accepted_at=step.wall,
        server="",
        north_mid=None,
        north_token=b"",
        confirmable=False,
        operation=operation,
        observe=None,
        repeatable=True,  # the device takes a repeated answer for what it is
        south_mid=south_mid,
        south_token=None,
        answers=uplink.id if uplink is not None else None,
        priority=1,
        payload=payload,
        deliver_by=max(received + step.south.exchange_span, step.wall),
    )
    _make_room(step)
    state.deliveries.add(row, step.work)
    if uplink is not None:
        uplink.answer = data
        uplink.answer_downlink = row.id
        step.work.update(uplink)
    if largest is not None and len(payload) > largest:
        state.deliveries.end(row, _S.TOO_LARGE, step.work, f"{len(data)} bytes, {largest} fit")
        unavailable(step, uplink, row)


def respond(step: Step, uplink: Uplink, code: int, body: bytes, operation: str) -> None:
    """Answer a device's request: piggybacked on its CON, else as a NON with a message ID of the bridge's own (R14)."""
    if uplink.confirmable:
        answer(step, uplink, frame(ACK, code, uplink.south_mid or 0, uplink.south_token, body), operation)
        return
    own = step.state.allocate_south_mid()
    answer(step, uplink, frame(NON, code, own, uplink.south_token, body), operation, south_mid=own)


def shortened(uplink: Uplink | None, data: bytes, largest: int) -> bytes | None:
    """Give a response that does not fit as its first block, no larger than the device asked for; None: it cannot be."""
    if uplink is None or uplink.operation == "OSCORE" or not data[1]:
        return None
    asked = block_of(decode(uplink.payload), OptionNumber.BLOCK2) if uplink.payload else None
    return shorter_response(data, largest, LARGEST_SZX if asked is None else asked.szx)


def unavailable(step: Step, uplink: Uplink | None, refused: Downlink) -> None:
    """Tell the device in as few bytes as can be that there is an answer which it cannot get (R25)."""
    data = refused.payload
    if uplink is None or uplink.operation == "OSCORE" or data[1] in (0, Code.SERVICE_UNAVAILABLE):
        return
    bare = bytes((data[0], Code.SERVICE_UNAVAILABLE)) + data[2 : HEADER + (data[0] & 0x0F)]
    if step.south.max_downlink is None or len(bare) <= step.south.max_downlink:
        answer(step, uplink, bare, refused.operation, south_mid=refused.south_mid)


def _make_room(step: Step) -> None:
    """See that one more answer may wait: a device that goes on sending has no use for the oldest (R30)."""
    deliveries = step.state.deliveries
    if len(deliveries.live) < step.state.policy.max_answers:
        return
    waiting = [row for row in deliveries.live.values() if row.kind == ANSWER]
    if len(waiting) >= step.state.policy.max_answers:
        oldest = next((row for row in waiting if row.state is _S.QUEUED), None)
        if oldest is not None:
            deliveries.end(oldest, _S.SUPERSEDED, step.work, "too many answers wait: the oldest made way")
            step.effect(Count("answers_superseded"))


def acknowledge(step: Step, uplink: Uplink | None, mid: int) -> None:
    """Acknowledge a device's message."""
    answer(step, uplink, empty(ACK, mid), "Acknowledgement")


def reset(step: Step, uplink: Uplink | None, mid: int) -> None:
    """Refuse a device's message, so that it stops what it belongs to (RFC 7252 §4.2, RFC 7641 §3.6)."""
    answer(step, uplink, empty(RST, mid), "Reset")


def repeat_answer(step: Step, uplink: Uplink) -> None:
    """The device repeats itself: it gets the kept reply again, unless that still waits to be delivered (R13)."""
    if uplink.answer is None:
        if uplink.kind == "notification" and uplink.confirmable and uplink.finished_at is not None:
            wanted = uplink.south_token in step.state.observations and uplink.state is not _U.REJECTED
            (acknowledge if wanted else reset)(step, uplink, uplink.south_mid or 0)
        return
    waiting = uplink.answer_downlink in step.state.deliveries.live
    if waiting:
        step.effect(Count("device_repeats", "reply still waits"))
        return
    step.effect(Count("device_repeats", "reply sent again"))
    answer(step, uplink, uplink.answer, "Repeated answer")
