"""Why is this message not out yet? The one question that people ask of a queue."""

from dataclasses import dataclass

from bindings.contract import SouthProfile
from bridge.delivery.deliveries import Deliveries
from bridge.delivery.downlinks import Downlink, ServerRequest
from bridge.delivery.states import DownlinkState
from bridge.enums import members

_S = members(DownlinkState)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One downlink that is not over. Times are wall-clock seconds."""

    downlink: int
    operation: str
    kind: str
    state: str
    since: float
    why: str
    next_at: float | None  # when something happens by itself at the latest; None: only an event can move it
    deliver_by: float | None
    answer_by: float | None
    attempts: int
    blocked_by: int | None  # the downlink that it waits for


def explain(d: Deliveries, now: float, profile: SouthProfile) -> list[Explanation]:
    """Give every live downlink of a device with the reason why it is where it is, in order."""
    holder = d.slot_holder(now, profile)
    return [_one(d, row, holder, now, profile) for row in d.live.values()]


def _one(d: Deliveries, row: Downlink, holder: Downlink | None, now: float, profile: SouthProfile) -> Explanation:
    why, blocked_by = _why(d, row, holder, now)
    return Explanation(
        row.id,
        row.operation,
        row.KIND,
        row.state.value,
        row.accepted_at,
        why,
        d.next_time(row, now, profile),
        row.deliver_by,
        row.answer_by if type(row) is ServerRequest else None,
        row.attempt,
        blocked_by,
    )


def _why(d: Deliveries, row: Downlink, holder: Downlink | None, now: float) -> tuple[str, int | None]:
    if row.state is _S.QUEUED:
        return _why_queued(d, row, holder, now)
    if row.id in d.cancelling:
        return "its deadline passed or it was cancelled: the network is asked to give it up", None
    if row.state is _S.SUBMITTING:
        then = "; it was cancelled, and is taken back as soon as that is over" if row.cancel_asked else ""
        return f"the network is being called{then}", None
    if row.state is _S.BUFFERED:
        return "the network holds it until the device can be reached", None
    if row.state is _S.SENT:
        copies = f", {row.sent} times" if row.sent > 1 else ""
        then = "; it was cancelled too late, no further copy goes" if row.cancel_asked else ""
        return f"it left for the device{copies}; no answer yet{then}", None
    if row.state is _S.DELIVERED:
        return "the device has it; no answer yet", None
    if row.id in d.to_look_up:
        return f"nobody knows whether the network took it ({row.reason}): its queue is being asked", None
    return f"nobody knows whether the network took it ({row.reason})", None


def _why_queued(d: Deliveries, row: Downlink, holder: Downlink | None, now: float) -> tuple[str, int | None]:
    if row.not_before is not None and row.not_before > now:
        return f"the network did not take it ({row.setback or 'waiting'}: {row.reason}): it is tried again later", None
    if d.to_look_up:
        first = next(iter(d.to_look_up))
        return "an earlier message's fate is unknown: nothing new before that is looked up", first
    if type(row) is ServerRequest and holder is not None:
        return f"one request at a time: {holder.operation} is {holder.state.value}", holder.id
    if d.call is not None:
        return "another message is being handed to the network", d.call
    ahead = next((other.id for other in d.live.values() if other.id < row.id and other.state is _S.QUEUED), None)
    return "it is its turn next" if ahead is None else "others are ahead of it", ahead
