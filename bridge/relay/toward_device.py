"""Answers to the device's own messages: acknowledgements, Resets and piggybacked responses (R13, R14, R16)."""

from bridge.coap.codec import ACK, RST, empty
from bridge.delivery.deliveries import ANSWER
from bridge.delivery.ledger import Downlink, DownlinkState, Uplink, UplinkState
from bridge.enums import members
from bridge.relay.effects import Count
from bridge.relay.state import Step

_S = members(DownlinkState)
_U = members(UplinkState)


def answer(step: Step, uplink: Uplink | None, data: bytes, operation: str, *, south_mid: int | None = None) -> None:
    """Queue an answer ahead of all requests; it is kept with the uplink for the device's repeats.

    `south_mid` is said where the answer has a message ID of the bridge's own.
    """
    state = step.state
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
        payload=data,
        deliver_by=max(received + step.south.exchange_span, step.wall),
    )
    _make_room(step)
    state.deliveries.add(row, step.work)
    if uplink is not None:
        uplink.answer = data
        uplink.answer_downlink = row.id
        step.work.update(uplink)
    largest = step.south.max_downlink
    if largest is not None and len(data) > largest:
        state.deliveries.end(row, _S.TOO_LARGE, step.work, f"{len(data)} bytes, {largest} fit")


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
