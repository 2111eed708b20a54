"""Says why a message has not been sent yet."""

from dataclasses import dataclass
from typing import NamedTuple

from bindings.contract import Refusal, SouthProfile
from bridge.delivery import rules
from bridge.delivery.attempts import Attempt
from bridge.delivery.deliveries import Deliveries, is_out_of_reach
from bridge.delivery.downlinks import Answer, Downlink, ServerRequest
from bridge.delivery.knowledge import Knowledge
from bridge.delivery.network import FREE, NetworkCondition, Turn
from bridge.delivery.states import DownlinkState
from bridge.enums import members

_S = members(DownlinkState)
_K = members(Knowledge)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One downlink without an outcome. Times are wall-clock seconds."""

    downlink: int
    operation: str
    kind: str
    state: str
    since: float
    why: str
    next_at: (
        float | None
    )  # the latest time at which something happens without an event; None: only an event can change it
    deliver_by: float | None
    answer_by: float | None
    attempts: int
    blocked_by: int | None  # id of the downlink that it waits for


class _Reason(NamedTuple):
    why: str
    blocked_by: int | None = None
    until: float | None = None  # when that reason ends


def explain(
    d: Deliveries, now: float, profile: SouthProfile, network: NetworkCondition = FREE, max_ttl: float | None = None
) -> list[Explanation]:
    """Return every live downlink of a device with the reason for its state, in order.

    `max_ttl`: seconds that a server may ask a request to wait, at most; None: no limit that is worth a word.
    """
    return [_one(d, row, now, profile, network, max_ttl) for row in d.live.values()]


def _one(
    d: Deliveries, row: Downlink, now: float, profile: SouthProfile, network: NetworkCondition, max_ttl: float | None
) -> Explanation:
    reason = _reason(d, row, now, profile, network)
    next_at = d.next_time(row, now, profile)
    if reason.until is not None:
        next_at = min(reason.until, row.deliver_by) if row.deliver_by > now else reason.until
    return Explanation(
        row.id,
        row.operation,
        row.KIND,
        row.state.value,
        row.accepted_at,
        reason.why + _limit_of(row, max_ttl),
        next_at,
        row.deliver_by,
        row.answer_by if type(row) is ServerRequest and not row.is_direct else None,
        row.attempts[-1].number if row.attempts else 0,
        reason.blocked_by,
    )


def _limit_of(row: Downlink, max_ttl: float | None) -> str:
    """Return words on a deadline that may be earlier than its server asked for, which no row says; else ""."""
    asked = type(row) is ServerRequest and not row.is_direct
    if not asked or max_ttl is None or row.deliver_by != row.accepted_at + max_ttl:
        return ""
    return f"; its deadline is the latest that a server may ask for, {max_ttl:g} s ([policy] max_ttl)"


def _reason(d: Deliveries, row: Downlink, now: float, profile: SouthProfile, network: NetworkCondition) -> _Reason:
    state = row.state
    if state is _S.QUEUED:
        return _why_queued(d, row, now, profile, network)
    if state is _S.SUBMITTING:
        then = (
            "; it was cancelled, and is removed from the network when this call has ended" if row.cancel_asked else ""
        )
        return _Reason(f"the network is being called{then}")
    if state is _S.BUFFERED:
        return _reason_held(d, row, now, profile, network)
    if state is _S.SENT:
        return _why_sent(d, row, now, profile, network)
    if state is _S.DELIVERED:
        return _Reason("the device has it; no answer yet")
    return _why_unknown(d, row, network)


def _reason_held(d: Deliveries, row: Downlink, now: float, profile: SouthProfile, network: NetworkCondition) -> _Reason:
    held = d.facts(row).held
    if held is not None and held.cancel_failed_at is not None:
        return _Reason(
            "its deadline passed, and the network did not say whether it removed the message: its report may still come"
        )
    if (d.call is not None and d.call[0] == row.id) or rules.cancel_is_due(row, held, now, profile):
        waits = _why_no_call(network)
        text = "its deadline passed or it was cancelled: the network is asked to remove it"
        if rules.latest_delivery(row) > now:
            text = "the device has another copy of it after all: the network is asked to remove this one"
        return _Reason(text) if waits is None else _Reason(f"{text}; {waits.why}", until=waits.until)
    return _Reason("the network holds it until the device can be reached")


def _why_sent(d: Deliveries, row: Downlink, now: float, profile: SouthProfile, network: NetworkCondition) -> _Reason:
    copies = sum(one.left_at is not None for one in row.attempts)
    text = f"it was sent to the device{f', {copies} times' if copies > 1 else ''}; no answer yet"
    if row.cancel_asked:
        return _Reason(f"{text}; it was cancelled too late; no further copy is sent")
    _, again = d.times(row, profile)
    if again is None or again >= row.deliver_by:
        return _Reason(f"{text}; no further copy is sent")
    if again > now:
        return _Reason(f"{text}; it is sent again if none comes", until=again)
    waits = _why_nothing_new(d, now) or _why_no_turn(d, row, now, network)
    return _Reason(f"{text}; it will be sent again; {waits.why}", waits.blocked_by, waits.until)


def _why_unknown(d: Deliveries, row: Downlink, network: NetworkCondition) -> _Reason:
    latest = d.facts(row).latest
    if latest is not None and latest.known is _K.GONE:
        return _Reason(f"the network no longer has it, and may have sent it ({row.reason})")
    text = f"it is unknown whether the network accepted it ({row.reason})"
    if latest is None or latest.look_up_at is None:
        return _Reason(text)
    waits = _why_no_call(network)
    if waits is not None:
        return _Reason(f"{text}: the network's queue will be asked; {waits.why}", until=waits.until)
    return _Reason(f"{text}: the network's queue is being asked", until=latest.look_up_at)


def _why_queued(d: Deliveries, row: Downlink, now: float, profile: SouthProfile, network: NetworkCondition) -> _Reason:
    """Return why a message is not sent, in the order of the checks of `Deliveries.call_next`."""
    if row.not_before is not None and row.not_before > now:
        return _why_later(row, row.not_before, network)
    return _why_nothing_new(d, now) or _why_behind(d, row, now, profile) or _why_no_turn(d, row, now, network)


def _why_later(row: Downlink, not_before: float, network: NetworkCondition) -> _Reason:
    why = _last_refusal(row)
    if why is Refusal.NETWORK_UNAVAILABLE and network.paused_until is not None:
        return _Reason(f"{_PAUSED} ({row.reason})", until=max(not_before, network.paused_until))
    return _Reason(f"{_OF_REFUSAL[why]} ({row.reason})" if row.reason else _OF_REFUSAL[why], until=not_before)


def _why_nothing_new(d: Deliveries, now: float) -> _Reason | None:
    """Return why no message of the device is sent."""
    until = d.paused_until(now)
    if until is not None:
        first = next(other for other in d.live.values() if other.not_before == until and is_out_of_reach(other))
        return _Reason("the network reports that the device cannot be reached", first.id, until)
    asked = next((other for other in d.live.values() if _is_looked_up(other)), None)
    if asked is not None:
        return _Reason(
            "it is unknown what became of an earlier message: nothing new is sent until the network was asked", asked.id
        )
    return None


def _why_behind(d: Deliveries, row: Downlink, now: float, profile: SouthProfile) -> _Reason | None:
    """Return the message that is sent before another one; None: this one is next."""
    is_request = type(row) is ServerRequest
    holder, transfer = d.occupied(now, profile) if is_request else (None, None)
    if holder is not None:
        return _Reason(f"one request at a time: {holder.operation} is {holder.state.value}", holder.id)
    if transfer is not None and transfer is not row:
        text = f"{transfer.operation} goes in several messages, and no other request goes between them"
        return _Reason(text, transfer.id, transfer.not_before)
    chosen = d.next_to_go(now, profile)
    if chosen is row:
        return None
    if is_request:
        first = next(other for other in d.live.values() if type(other) is ServerRequest and other.state is _S.QUEUED)
        if first.not_before is not None and first.not_before > now:
            return _Reason(f"requests keep their order: {first.operation} waits", first.id, first.not_before)
    return None if chosen is None else _Reason(f"{chosen.operation} is sent before it", chosen.id)


def _why_no_turn(d: Deliveries, row: Downlink, now: float, network: NetworkCondition) -> _Reason:
    if d.call is not None:
        return _Reason("the network is being called for another message of the device", d.call[0])
    is_answer = type(row) is Answer
    waits = _why_no_call(network, Turn.ANSWER if is_answer else Turn.OTHER)
    if waits is not None:
        return waits
    hold = d.hold_of(row, d.carrier.size(row), now, network)
    return _Reason("it is the next to be sent") if hold is None else _Reason(hold.why, until=hold.until)


def _why_no_call(network: NetworkCondition, turn: Turn = Turn.CHECK) -> _Reason | None:
    if network.takes(turn):
        return None
    paused_until = network.paused_until
    limited_until = None if turn is Turn.CHECK else network.limited_until  # a limit holds submits alone
    if limited_until is not None and (paused_until is None or limited_until > paused_until):
        return _Reason(network.why_limited, until=limited_until)
    if paused_until is not None:
        return _Reason(_PAUSED, until=paused_until)
    return _Reason("no further call of the network can begin now: it is this device's turn when another call has ended")


def _is_looked_up(row: Downlink) -> bool:
    return any(one.look_up_at is not None for one in row.attempts)


def _last_refusal(row: Downlink) -> Refusal | None:
    last: Attempt | None = row.attempts[-1] if row.attempts else None
    return None if last is None else last.why


_PAUSED = "the network is down, and is called again later"
_OF_REFUSAL = {
    None: "it is not yet time to send it",
    Refusal.UNREACHABLE: "the network reports that the device cannot be reached",
    Refusal.RATE_LIMITED: "the network's limit for it is used up",
    Refusal.FAILED: "the network failed to handle it, and is called again later",
    Refusal.NETWORK_UNAVAILABLE: "the network was down, and is called again later",
    Refusal.TOO_LARGE: "the message was too large for the network",
    Refusal.EXPIRED: "the network said that its time had passed",
    Refusal.REJECTED: "the network did not accept it",
}
