"""What the network's words do to a downlink: answers to submit, reports, look-ups, cancels, flushes.

Rules R7, R8, R9, R11, R31, R32.
"""

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
    SubmitResult,
)
from bridge.delivery.deliveries import Deliveries
from bridge.delivery.downlinks import Downlink, ServerRequest
from bridge.delivery.effects import Count
from bridge.delivery.reports import UnattributedReport, parse_outcome
from bridge.delivery.states import DownlinkState
from bridge.delivery.work import Work
from bridge.enums import members

BACKOFF = 5.0  # seconds before the first repetition that no network gave a time for; doubles
BACKOFF_CAP = 300.0  # seconds
LEAST_PAUSE = 1.0  # seconds: a network that names a time already past is not called in a loop
_S = members(DownlinkState)
_N = members(NetworkState)
_R = members(Refusal)
_SETBACK = {
    _R.UNREACHABLE: _S.UNREACHABLE,
    _R.RATE_LIMITED: _S.RATE_LIMITED,
    _R.FAILED: _S.FAILED,
    _R.NETWORK_UNAVAILABLE: _S.FAILED,
}


LONGEST_DETAIL = 300  # characters of what a network says that are kept


def plain(detail: str) -> str:
    """Give a network's text as it can be kept and sent on: short, and without halves of surrogate pairs."""
    return detail[:LONGEST_DETAIL].encode("utf-8", "replace").decode()


def submitted(
    d: Deliveries, downlink: int, attempt: int, result: SubmitResult, work: Work, profile: SouthProfile
) -> Downlink | None:
    """Take a network's answer to an attempt; give the row, or None if it is not known any more."""
    if d.call == downlink:
        d.call = None
    row = d.find(downlink)
    if row is None or row.attempt != attempt:
        work.effect(Count("stale_submit_results"))
        return None
    if isinstance(result, Accepted):
        if not row.over:
            row.handle = result.handle
            work.update(row)
            _advance(d, row, result.state, work)
        _attribute(d, row, result.handle, work, profile)
    elif row.state is not _S.SUBMITTING:
        pass  # a report or the device's answer was quicker, and knows better
    elif isinstance(result, Refused):
        _set_back(d, row, result.why, plain(result.detail), result.retry_at, work, profile)
    else:
        _ambiguous(d, row, result, work)
    return row


def reported(
    d: Deliveries,
    handle: str,
    outcome: NetworkState | Refusal | None,
    detail: str,
    retry_at: float | None,
    work: Work,
    profile: SouthProfile,
    *,
    nack: bool = False,
    shard: int = 0,
    endpoint: int = 0,
) -> Downlink | None:
    """Take a report. One whose handle is not known yet is kept until it is (R7); the row is given if it is known."""
    detail = plain(detail)
    for row in d.live.values():
        if row.handle == handle:
            _report(d, row, outcome, detail, retry_at, work, profile, nack=nack)
            return row
    for row in reversed(d.kept.values()):  # a report that is late is so by little
        if row.handle == handle:
            return row
    if not _a_handle_is_to_come(d):
        work.effect(Count("reports_without_downlink"))
        return None
    if len(d.reports) >= d.max_reports:
        work.delete(d.reports.pop(0))
        work.effect(Count("reports_dropped"))
    value = outcome.value if outcome is not None else ""
    report = UnattributedReport(work.new_id(), endpoint, shard, handle, value, detail, retry_at, nack, work.now.wall)
    d.reports.append(report)
    work.insert(report)
    return None


def _a_handle_is_to_come(d: Deliveries) -> bool:
    """Whether an attempt may still get its handle; a repetition has that of the copy before until then."""
    return any(row.state in (_S.SUBMITTING, _S.UNKNOWN) for row in d.live.values())


def _attribute(d: Deliveries, row: Downlink, handle: str | None, work: Work, profile: SouthProfile) -> None:
    """Apply the reports that came before their handle was known, and let go those of a handle that nothing has."""
    for report in [r for r in d.reports if r.handle == handle]:
        d.reports.remove(report)
        work.delete(report)
        if not row.over:
            outcome = parse_outcome(report.outcome)
            _report(d, row, outcome, report.detail, report.retry_at, work, profile, nack=report.nack)
    if d.reports and not _a_handle_is_to_come(d):
        for report in d.reports:
            work.delete(report)
        d.reports.clear()


def _report(
    d: Deliveries,
    row: Downlink,
    outcome: NetworkState | Refusal | None,
    detail: str,
    retry_at: float | None,
    work: Work,
    profile: SouthProfile,
    *,
    nack: bool,
) -> None:
    if isinstance(outcome, NetworkState):
        _advance(d, row, outcome, work, heard=True)  # QUEUED under this handle: it had left before it was flushed
    elif nack:
        _nacked(d, row, detail, work, profile)
    elif outcome is None:
        if row.state in (_S.SUBMITTING, _S.BUFFERED, _S.SENT):
            row.move(_S.UNKNOWN, work.now.wall, detail)
            work.update(row)
    elif row.id in d.presumed and row.sent == 1:
        # A cancel found it gone; now the network says that it gave it up itself. Both are true: it never left.
        d.end(row, _taken_back(row), work, detail)
    elif row.state in (_S.SUBMITTING, _S.BUFFERED, _S.UNKNOWN):
        _set_back(d, row, outcome, detail, retry_at, work, profile)


def _advance(d: Deliveries, row: Downlink, state: NetworkState, work: Work, *, heard: bool = False) -> None:
    """Move forward, never back: reports overtake each other. `heard`: also while it is QUEUED."""
    now = work.now.wall
    if row.over or (row.state is _S.QUEUED and not heard):
        return
    if state is _N.BUFFERED:
        if row.state in (_S.SUBMITTING, _S.UNKNOWN):
            row.move(_S.BUFFERED, now)
            work.update(row)
            d.to_look_up.pop(row.id, None)
        return
    if row.state is _S.DELIVERED or (row.state is _S.SENT and state is _N.SENT):
        return
    if row.state is not _S.SENT:
        row.sent += 1
        row.sent_at = now
    d.to_look_up.pop(row.id, None)
    d.cancelling.discard(row.id)
    reached = _S.SENT if state is _N.SENT else _S.DELIVERED
    if type(row) is ServerRequest:
        row.move(reached, now)
        work.update(row)
    else:
        d.end(row, reached, work)


def _back_to_sent(d: Deliveries, row: Downlink, not_before: float | None, work: Work) -> None:
    """A repetition did not go; the earlier copy did."""
    row.move(_S.SENT, work.now.wall)
    row.not_before = not_before
    d.to_look_up.pop(row.id, None)
    work.update(row)


def _set_back(
    d: Deliveries,
    row: Downlink,
    why: Refusal,
    detail: str,
    retry_at: float | None,
    work: Work,
    profile: SouthProfile,
) -> None:
    now = work.now.wall
    if why is _R.FAILED:
        row.failures += 1
    pause = min(BACKOFF * 2 ** min(row.attempt - 1, 8), BACKOFF_CAP)
    again = max(retry_at, now + LEAST_PAUSE) if retry_at is not None else now + pause
    certain = row.setback != _S.UNKNOWN
    if row.setback == _S.NACKED:
        if why in _SETBACK and row.failures < profile.max_attempts:
            _back_to_queue(row, again, detail, work)
        else:
            d.end(row, _S.NACKED, work, detail)
    elif row.sent:
        if why not in _SETBACK:
            row.failures = profile.max_attempts  # no further copy
        _back_to_sent(d, row, again, work)
    elif why is _R.EXPIRED:
        d.end(row, _S.EXPIRED if certain else _S.UNKNOWN, work, detail)
    elif why is _R.TOO_LARGE and certain and row.id not in d.cancelling and _is_known_to_be_too_large(d, row, profile):
        _back_to_queue(row, None, detail, work)  # `pump` gives it to be made smaller
    elif why is _R.TOO_LARGE or why is _R.REJECTED:
        named = _S.TOO_LARGE if why is _R.TOO_LARGE else _S.REJECTED
        d.end(row, named if certain else _S.UNKNOWN, work, detail)
    elif row.failures >= profile.max_attempts:
        d.end(row, _S.FAILED if certain else _S.UNKNOWN, work, detail)
    else:
        if row.id in d.cancelling:
            d.end(row, _taken_back(row), work, "cancelled; the network gave it back")
            return
        if certain:
            row.setback = _SETBACK[why]
        d.to_look_up.pop(row.id, None)
        _back_to_queue(row, again, detail, work)


def _taken_back(row: Downlink) -> DownlinkState:
    """Give the outcome of what the network does not deliver any more: only where no earlier attempt is in doubt."""
    if row.setback == _S.UNKNOWN:
        return _S.UNKNOWN
    return _S.CANCELLED if row.cancel_asked else _S.EXPIRED


def _is_known_to_be_too_large(d: Deliveries, row: Downlink, profile: SouthProfile) -> bool:
    """Whether the binding has learned from the refusal: what it says that fits is less now."""
    return profile.max_downlink is not None and d.carrier.size(row) > profile.max_downlink


def _back_to_queue(row: Downlink, not_before: float | None, detail: str, work: Work) -> None:
    row.handle = None
    row.not_before = not_before
    row.move(_S.QUEUED, work.now.wall, detail)
    work.update(row)


def _nacked(d: Deliveries, row: Downlink, detail: str, work: Work, profile: SouthProfile) -> None:
    """The device's acknowledgement failed to come: back into the queue, at most `max_attempts` times (R8)."""
    if row.state not in (_S.SUBMITTING, _S.BUFFERED, _S.SENT, _S.UNKNOWN):
        return
    row.failures += 1
    row.sent = max(row.sent, 1)
    if row.failures >= profile.max_attempts or not row.repeatable:
        d.end(row, _S.NACKED, work, detail or "no acknowledgement from the device")
        return
    row.setback = _S.NACKED
    _back_to_queue(row, None, detail or "no acknowledgement from the device", work)


def _ambiguous(d: Deliveries, row: Downlink, result: Ambiguous, work: Work) -> None:
    if row.sent:
        _back_to_sent(d, row, None, work)
        row.sent += 1
        row.sent_at = work.now.wall
        return
    row.move(_S.UNKNOWN, work.now.wall, plain(result.detail))
    d.to_look_up[row.id] = work.now.wall
    work.update(row)


def looked_up(d: Deliveries, downlink: int, attempt: int, result: Lookup, work: Work, profile: SouthProfile) -> None:
    """Take what the network's queue says of an attempt: presence proves BUFFERED, absence proves nothing (R9)."""
    if d.call == downlink:
        d.call = None
    row = d.live.get(downlink)
    if row is None or row.state is not _S.UNKNOWN or row.attempt != attempt:
        d.to_look_up.pop(downlink, None)
        return
    now = work.now.wall
    if result.presence is Presence.FAILED:
        d.to_look_up[downlink] = now + BACKOFF_CAP / 10
        return
    d.to_look_up.pop(downlink, None)
    if result.presence is Presence.PRESENT:
        row.handle = result.handle
        row.move(_S.BUFFERED, now)
        work.update(row)
        _attribute(d, row, result.handle, work, profile)
    elif _may_repeat(row, now):
        row.repeated = True
        row.setback = _S.UNKNOWN  # it may have been delivered all the same: EXPIRED can no longer be said
        row.move(_S.QUEUED, now)
        work.update(row)


def _may_repeat(row: Downlink, now: float) -> bool:
    """Whether it may go once more after an ambiguity (R9)."""
    wanted = not row.cancel_asked and (row.deliver_by is None or now < row.deliver_by)
    return wanted and row.repeatable and not row.repeated


def cancel_done(d: Deliveries, downlink: int, result: Cancellation, work: Work) -> None:
    """Take what a cancel achieved (R11): only a certain removal is EXPIRED or CANCELLED."""
    if d.call == downlink:
        d.call = None
    row = d.live.get(downlink)
    if row is None or downlink not in d.cancelling:
        return
    d.cancelling.remove(downlink)
    if row.state is not _S.BUFFERED:
        return
    if result is Cancellation.REMOVED:
        if row.sent:
            _back_to_sent(d, row, None, work)
        else:
            d.end(row, _taken_back(row), work, "removed from the network's queue")
    elif result is Cancellation.GONE:
        d.presumed.add(row.id)
        _advance(d, row, _N.SENT, work)
    elif row.sent:
        _back_to_sent(d, row, None, work)  # an earlier copy left: an answer may still come
    else:
        d.end(row, _S.UNKNOWN, work, "the network did not say whether it still held it")


def cancel_asked(d: Deliveries, downlink: int, work: Work) -> None:
    """A person asks for it: durable from now on. `Deliveries.expire` does it, as soon as the state allows (R11)."""
    row = d.live.get(downlink)
    if row is None or row.cancel_asked:
        return
    row.cancel_asked = True
    work.update(row)
    if row.state is _S.UNKNOWN:
        d.to_look_up.setdefault(row.id, work.now.wall)  # once more: what the network has after all can be taken back


def flushed(d: Deliveries, detail: str, work: Work, handle: str | None = None) -> None:
    """What the network held is gone (R31): never sent goes back into the queue, else nobody knows.

    That it was sent may have gone unreported, so what is submitted at most once (R9) is not submitted again.
    """
    detail = plain(detail)
    if handle is not None:
        _flushed_one(d, detail, work, handle)
        return
    for row in list(d.live.values()):
        if row.state is not _S.BUFFERED:
            continue
        again = row.sent == 0 and row.repeatable
        row.handle = None
        if row.id in d.cancelling:
            d.end(row, _S.UNKNOWN, work, detail)
        elif again:
            row.setback = _S.UNKNOWN
            _back_to_queue(row, None, detail, work)
        else:
            row.move(_S.UNKNOWN, work.now.wall, detail)
            work.update(row)


def _flushed_one(d: Deliveries, detail: str, work: Work, handle: str) -> None:
    """One downlink made way for another. It keeps its handle: if it had left just before, a report will say so."""
    for row in d.live.values():
        if row.handle != handle or row.state is not _S.BUFFERED:
            continue
        cancelled = row.id in d.cancelling
        d.cancelling.discard(row.id)
        if row.sent:
            _back_to_sent(d, row, None, work)
        elif row.repeatable and not cancelled:
            row.setback = _S.UNKNOWN
            row.not_before = None
            row.move(_S.QUEUED, work.now.wall, detail)
            work.update(row)
        else:
            row.move(_S.UNKNOWN, work.now.wall, detail)
            work.update(row)
        return


def delivered(d: Deliveries, row: Downlink, work: Work) -> None:
    """The device itself says that it has the message."""
    _advance(d, row, _N.DELIVERED, work, heard=True)


def reachable(d: Deliveries, work: Work) -> None:
    """The device spoke or can be reached: what waited for that may go, and an UNKNOWN request frees the slot (R9)."""
    for row in d.live.values():
        if row.state is _S.QUEUED and row.not_before is not None and row.setback == _S.UNREACHABLE:
            row.not_before = None
            work.update(row)
        elif row.state is _S.UNKNOWN and row.id not in d.to_look_up:
            d.released.add(row.id)


def restarted(d: Deliveries, work: Work) -> None:
    """The process did not see what became of its calls: SUBMITTING is UNKNOWN, and UNKNOWN is looked up (R7, R32)."""
    for row in d.live.values():
        if row.id == d.call:
            continue  # loaded anew by the process that still waits for this call
        if row.state is _S.SUBMITTING:
            if row.sent:
                row.move(_S.SENT, work.now.wall)
                row.sent += 1
                row.sent_at = work.now.wall
                work.update(row)
                continue
            row.move(_S.UNKNOWN, work.now.wall, "the service ended during the network call")
            work.update(row)
        if row.state is _S.UNKNOWN:
            d.to_look_up[row.id] = work.now.wall
