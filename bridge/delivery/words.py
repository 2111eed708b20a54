"""What reports do to a downlink: answers to network calls, delivery reports, flushes, messages of the device.

Each report adds to what is known of one attempt (R7, R8, R9, R11, R31). What follows is in `bridge.delivery.rules`.
"""

from itertools import islice

from bindings.contract import (
    Accepted,
    Cancellation,
    LimitOf,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
    SubmitResult,
)
from bridge.delivery import attempts as at
from bridge.delivery.attempts import Attempt
from bridge.delivery.breaker import LONGEST_WISH
from bridge.delivery.deliveries import Deliveries, is_failing, is_out_of_reach
from bridge.delivery.downlinks import Downlink, ServerRequest
from bridge.delivery.effects import Count
from bridge.delivery.future import SET_BACK, downlink_from_the_future
from bridge.delivery.knowledge import Knowledge
from bridge.delivery.reports import UnattributedReport, parse_outcome
from bridge.delivery.rules import FINAL, is_released_by_hearing
from bridge.delivery.work import Work
from bridge.enums import members

BACKOFF = 5.0  # seconds before the attempt after a refusal that names no time; doubles with each refusal in a row
BACKOFF_CAP = 300.0  # seconds
OUTAGE_BACKOFF_CAP = 60.0  # seconds after a failure of the network, which is paused as a whole (`breaker.py`)
LONGEST_RETRY = 30 * 86_400.0  # seconds that a refusal makes a message wait at most, whatever time it names
ASKED_AGAIN = 30.0  # seconds until a network that could not be asked about an attempt is asked again
MOMENT = 0.001  # seconds by which two times may differ that are the same
LEFT_OVER = 1.0  # seconds before its deadline at which a message that expires in the network has no time left
_LATE = 1.0  # seconds after which it matters when the device was heard; within them clocks and networks differ anyway
_LATE_FOR = 8  # finished messages of a device, the latest, for which a report may come late: by seconds, not by days
LONGEST_DETAIL = 300  # characters of a network's text that are stored
_K = members(Knowledge)
_N = members(NetworkState)
_R = members(Refusal)
_MEANS = {_N.BUFFERED: _K.HELD, _N.SENT: _K.LEFT, _N.DELIVERED: _K.DELIVERED}


def plain(detail: str) -> str:
    """Return a network's text so that it can be stored and sent: short, and without lone surrogates."""
    return detail[:LONGEST_DETAIL].encode("utf-8", "replace").decode()


# -- answers to network calls ------------------------------------------------------------------------------------------


def submitted(
    d: Deliveries, downlink: int, number: int, result: SubmitResult, work: Work, profile: SouthProfile
) -> None:
    """Process a network's answer to the submission of an attempt."""
    is_awaited = _call_ends(d, downlink, number)
    row = d.find(downlink)
    one = None if row is None else _attempt(row, number)
    if row is None or one is None or not (is_awaited or one.known is _K.PENDING):
        work.effect(Count("stale_submit_results"))
        return
    if isinstance(result, Accepted):
        if not row.over:
            one.handle = result.handle
            one.learn(_MEANS[result.state], work.now.wall)
            d.changed(row, work, profile)
        _attribute(d, row, one, result.handle, work, profile)
    elif row.over:
        pass  # the device's answer came first, and proves more
    elif isinstance(result, Refused):
        charged_at = None
        if one.known is _K.PENDING:
            charged_at = one.at if one.charged_at is None else one.charged_at
        retry_at = result.retry_at
        if retry_at is not None and result.limit_of is LimitOf.NETWORK:
            retry_at = min(retry_at, work.now.wall + LONGEST_WISH)  # no longer than the whole network is held for it
        _refused(d, row, one, result.why, plain(result.detail), retry_at, work, profile)
        if charged_at is not None:
            d.allowance.refund(d.carrier.size(row), charged_at, work)
    elif one.learn(_K.IN_DOUBT, work.now.wall):
        one.look_up_at = work.now.wall
        row.reason = one.detail = plain(result.detail)
        d.changed(row, work, profile)


def looked_up(d: Deliveries, downlink: int, number: int, result: Lookup, work: Work, profile: SouthProfile) -> None:
    """Process whether the network has an attempt: that it has it is proof, that it has not proves nothing (R9)."""
    _call_ends(d, downlink, number)
    row = d.live.get(downlink)
    one = None if row is None else _attempt(row, number)
    if row is None or one is None or one.known is not _K.IN_DOUBT:
        return
    if result.presence is Presence.FAILED:
        one.look_up_at = work.now.wall + ASKED_AGAIN
    elif result.presence is Presence.PRESENT:
        one.handle = result.handle
        one.learn(_K.HELD, work.now.wall)
        _attribute(d, row, one, result.handle, work, profile)
    else:
        one.look_up_at = None
    d.changed(row, work, profile)


def cancel_done(
    d: Deliveries, downlink: int, number: int, result: Cancellation, work: Work, profile: SouthProfile
) -> None:
    """Process the result of a cancel (R11): only a certain removal proves that the device never gets the message."""
    _call_ends(d, downlink, number)
    row = d.live.get(downlink)
    one = None if row is None else _attempt(row, number)
    if row is None or one is None or one.known is not _K.HELD:
        return
    if result is Cancellation.REMOVED:
        one.learn(_K.TAKEN_BACK, work.now.wall)
        row.reason = row.reason or "removed from the network's queue"
        one.detail = "removed from the network's queue"
    elif result is Cancellation.GONE:
        one.learn(_K.GONE, work.now.wall)
        row.reason = one.detail = "it was no longer in the network's queue when it was cancelled"
    else:
        one.cancel_failed_at = work.now.wall
        row.reason = "the network did not say whether it still had the message"
    d.changed(row, work, profile)


# -- reports of networks -----------------------------------------------------------------------------


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
) -> None:
    """Process a delivery report. A report with an unknown handle is kept until a downlink has the handle (R7)."""
    detail = plain(detail)
    for row in d.live.values():
        for one in reversed(row.attempts):
            if one.handle == handle:
                _report(d, row, one, outcome, detail, retry_at, work, profile, nack=nack)
                return
    for kept in islice(reversed(d.kept.values()), _LATE_FOR):
        if any(one.handle == handle for one in kept.attempts):
            return
    if not _may_still_get_handle(d):
        work.effect(Count("reports_without_downlink"))
        return
    if len(d.reports) >= d.max_reports:
        work.delete(d.reports.pop(0))
        work.effect(Count("reports_dropped"))
    value = outcome.value if outcome is not None else ""
    report = UnattributedReport(work.new_id(), endpoint, shard, handle, value, detail, retry_at, nack, work.now.wall)
    d.reports.append(report)
    work.insert(report)


def flushed(d: Deliveries, detail: str, work: Work, profile: SouthProfile, handle: str | None = None) -> None:
    """Record that the network's queue was emptied, or `handle` removed (R31): each may have been transmitted before."""
    for row in d.live.values():
        for one in row.attempts:
            if one.known is _K.HELD and handle in (None, one.handle):
                one.learn(_K.GONE, work.now.wall)
                row.reason = one.detail = plain(detail)
                d.changed(row, work, profile)


def _report(
    d: Deliveries,
    row: Downlink,
    one: Attempt,
    outcome: NetworkState | Refusal | None,
    detail: str,
    retry_at: float | None,
    work: Work,
    profile: SouthProfile,
    *,
    nack: bool,
) -> None:
    if isinstance(outcome, Refusal):
        _refused(d, row, one, outcome, detail, retry_at, work, profile)
        return
    said = _K.NACKED if nack else _K.GONE if outcome is None else _MEANS[outcome]
    if one.learn(said, work.now.wall):
        if said is _K.GONE:  # probably transmitted: another copy is sent no sooner than after a certain transmission
            row.reason = one.detail = detail
            row.not_before = work.now.wall + profile.retransmit_interval
        elif said is _K.NACKED:
            row.reason = one.detail = detail
            row.not_before = None
        d.changed(row, work, profile)


def _refused(
    d: Deliveries,
    row: Downlink,
    one: Attempt,
    why: Refusal,
    detail: str,
    retry_at: float | None,
    work: Work,
    profile: SouthProfile,
) -> None:
    """Process a refusal: the message is sent later, in smaller parts, or never again."""
    now = work.now.wall
    if not one.learn(_K.REFUSED, now):
        return  # a report that overtook the refusal proves more
    one.why = why
    row.reason = one.detail = detail
    row.not_before = None
    is_early = why is _R.EXPIRED and row.deliver_by - now >= LEFT_OVER  # the network waits less long than asked
    if why not in FINAL or is_early:
        pause = _backoff(row)
        if why is _R.NETWORK_UNAVAILABLE:  # its `retry_at` is when the network may be called at all
            row.not_before = now + min(pause, OUTAGE_BACKOFF_CAP)
        elif retry_at is not None and retry_at > now:
            row.not_before = min(retry_at, now + LONGEST_RETRY)
        else:
            row.not_before = now + min(pause, BACKOFF_CAP)
    elif why is not _R.TOO_LARGE or not _is_too_large_for_binding(d, row, profile):
        row.no_further_copy = True
    d.changed(row, work, profile)


def _backoff(row: Downlink) -> float:
    """Return the seconds to wait after the latest refusal if it names no time."""
    return BACKOFF * 2.0 ** min(at.refusals_in_a_row(row.attempts) - 1, 8)


def _waits_for_no_named_time(row: Downlink, not_before: float) -> bool:
    """Return whether a row that the network failed to handle, or let expire early, waits for a time of the bridge's."""
    if not is_failing(row):
        return False
    chosen = row.attempts[-1].at + min(_backoff(row), BACKOFF_CAP)
    return abs(not_before - chosen) < MOMENT


def _is_too_large_for_binding(d: Deliveries, row: Downlink, profile: SouthProfile) -> bool:
    """Return whether the binding has learned from the refusal: `call_next` acts on its limit, which is smaller now."""
    return profile.max_downlink is not None and d.carrier.size(row) > profile.max_downlink


def _call_ends(d: Deliveries, downlink: int, number: int) -> bool:
    """Record that a network call was answered; return whether it was the one in flight."""
    if d.call != (downlink, number):
        return False
    d.call = None
    return True


def _attempt(row: Downlink, number: int) -> Attempt | None:
    for one in reversed(row.attempts):
        if one.number == number:
            return one
    return None


def _may_still_get_handle(d: Deliveries) -> bool:
    """Return whether an attempt may still get its handle."""
    return any(
        one.known is _K.PENDING or (one.known is _K.IN_DOUBT and one.handle is None)
        for row in d.live.values()
        for one in row.attempts
    )


def _attribute(
    d: Deliveries, row: Downlink, one: Attempt, handle: str | None, work: Work, profile: SouthProfile
) -> None:
    """Apply the reports that came before their handle was known, and drop those whose handle no downlink will have."""
    if not d.reports:
        return
    for report in [r for r in d.reports if r.handle == handle]:
        d.reports.remove(report)
        work.delete(report)
        if not row.over:
            outcome = parse_outcome(report.outcome)
            _report(d, row, one, outcome, report.detail, report.retry_at, work, profile, nack=report.nack)
    if d.reports and not _may_still_get_handle(d):
        for report in d.reports:
            work.delete(report)
        d.reports.clear()


# -- messages of the device, and requests of people
# ----------------------------------------------------------------------------------


def delivered(d: Deliveries, row: Downlink, work: Work, profile: SouthProfile) -> None:
    """Record that the device acknowledged the message itself."""
    one = at.last_uncertain(row.attempts) or row.attempts[-1]
    if one.learn(_K.DELIVERED, work.now.wall):
        d.changed(row, work, profile)


def heard(d: Deliveries, work: Work, profile: SouthProfile, heard_at: float) -> None:
    """Let messages be sent that waited for the device: it sent something, or its network says that it can be reached.

    `heard_at`: the wall time of that. Where it comes late, such as out of the inbox, it says nothing of what was
    learned after it.

    So may those that the network failed to handle, or let expire, without naming a time: it may not have reached the
    device.

    A request in doubt, or one whose answer nobody waits for, no longer holds the slot (R6, R9).
    """
    is_late = heard_at < work.now.wall - _LATE
    for row in d.live.values():
        if is_late and any(one.at > heard_at for one in row.attempts):
            continue
        if row.not_before is not None and (is_out_of_reach(row) or _waits_for_no_named_time(row, row.not_before)):
            row.not_before = None
            d.changed(row, work, profile)
        if type(row) is not ServerRequest:
            continue
        for one in row.attempts:
            if is_released_by_hearing(row, one):
                one.released = True
                d.touch(row)
                work.update(row)


def cancel_asked(d: Deliveries, downlink: int, work: Work, profile: SouthProfile) -> None:
    """Store a person's request to cancel a message; it is carried out as soon as the attempts allow (R11)."""
    row = d.live.get(downlink)
    if row is None or row.cancel_asked:
        return
    row.cancel_asked = True
    facts = d.facts(row)
    in_doubt = next((one for one in reversed(row.attempts) if one.known is _K.IN_DOUBT), None)
    if in_doubt is not None and facts.transmitted is None:
        in_doubt.look_up_at = work.now.wall  # again: if the network has it after all, it can be removed
    d.changed(row, work, profile)


def restarted(d: Deliveries, work: Work, profile: SouthProfile) -> None:
    """Record a restart: pending attempts are in doubt, and the network is asked (start and stop, R32)."""
    for row in d.live.values():
        if downlink_from_the_future(row, work.now.wall):
            d.changed(row, work, profile)
            work.effect(Count("messages_from_the_future", "down", SET_BACK))
        for one in row.attempts:
            if (row.id, one.number) == d.call:
                continue  # loaded again by the process that still waits for this call
            if one.known is _K.PENDING and one.learn(_K.IN_DOUBT, work.now.wall):
                one.look_up_at = work.now.wall
                row.reason = one.detail = "the service ended during the network call"
                d.changed(row, work, profile)
