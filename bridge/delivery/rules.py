"""What follows from the attempts of a downlink. Each question is one function without state.

`docs/states.md` is made from these functions (`python -m bridge.delivery.diagrams`).
"""

from collections.abc import Mapping

from bindings.contract import Refusal, SouthProfile
from bindings.option_names import CONFIRMED_OPERATIONS
from bridge.delivery.attempts import MOST, Attempt, Facts, nobody_has_it
from bridge.delivery.downlinks import CONTINUES, Answer, Downlink, ServerRequest
from bridge.delivery.knowledge import Knowledge
from bridge.delivery.rows import FOREVER
from bridge.delivery.states import DownlinkState
from bridge.enums import members

WORD_MAY_COME = 60.0  # seconds in which a network's report may still say what became of a message
_K = members(Knowledge)
_TRANSMITTED = frozenset({_K.LEFT, _K.NACKED, _K.DELIVERED})
_S = members(DownlinkState)
_R = members(Refusal)

# -- which outcomes are allowed

NEVER_DELIVERED = frozenset(
    {
        _S.EXPIRED,
        _S.CANCELLED,
        _S.SUPERSEDED,
        _S.TOO_LARGE,
        _S.FAILED,
        _S.UNREACHABLE,
        _S.RATE_LIMITED,
        _S.REJECTED,
    }
)
"""Outcomes that promise that the device certainly never got the message. REJECTED: the network will never accept it."""

FINAL = frozenset({_R.EXPIRED, _R.TOO_LARGE, _R.REJECTED})
"""Refusals that the same bytes would get again at any time."""

_NOBODY_KNOWS = frozenset({_S.UNKNOWN})
_OF_TRANSMITTED = {
    _K.LEFT: frozenset({_S.SENT, _S.UNANSWERED}),
    _K.NACKED: frozenset({_S.NACKED}),
    _K.DELIVERED: frozenset({_S.DELIVERED, _S.UNANSWERED}),
}
_OF_REFUSAL: dict[Refusal | None, DownlinkState] = {
    None: _S.EXPIRED,
    _R.EXPIRED: _S.EXPIRED,
    _R.TOO_LARGE: _S.TOO_LARGE,
    _R.REJECTED: _S.REJECTED,
    _R.UNREACHABLE: _S.UNREACHABLE,
    _R.RATE_LIMITED: _S.RATE_LIMITED,
    _R.FAILED: _S.FAILED,
    _R.NETWORK_UNAVAILABLE: _S.FAILED,
}


def possible_outcomes(facts: Facts) -> frozenset[DownlinkState]:
    """Return the outcomes that the attempts allow; see also `is_the_devices_word`."""
    if facts.nobody_has_it:
        return NEVER_DELIVERED
    return _NOBODY_KNOWS if facts.transmitted is None else _OF_TRANSMITTED[facts.transmitted.known]


def is_the_devices_word(outcome: DownlinkState) -> bool:
    """Return whether a message of the device itself leads to this outcome, whatever else is known."""
    return outcome is _S.RESPONDED or outcome is _S.REJECTED


def outcome(row: Downlink, facts: Facts) -> DownlinkState:
    """Return the outcome of a message that ends now."""
    if facts.nobody_has_it:
        why = row.attempts[-1].why if row.attempts else None
        return _S.CANCELLED if row.cancel_asked and why not in FINAL else _OF_REFUSAL[why]
    if facts.transmitted is None:
        return _S.UNKNOWN
    if facts.transmitted.known is _K.NACKED:
        return _S.NACKED
    if type(row) is ServerRequest:
        return _S.UNANSWERED
    return _S.DELIVERED if facts.transmitted.known is _K.DELIVERED else _S.SENT


# -- its state


def state_of(row: Downlink, facts: Facts, now: float, profile: SouthProfile) -> DownlinkState:
    """Return the state of a message without an outcome: the furthest that its attempts have come."""
    if facts.is_called:
        return _S.SUBMITTING
    if facts.held is not None:
        return _S.BUFFERED
    transmitted = facts.transmitted
    if transmitted is not None and transmitted.known is not _K.NACKED:
        return _S.SENT if transmitted.known is _K.LEFT else _S.DELIVERED
    if facts.latest is not None and (row.deliver_by <= now or not may_go_again(row, facts, profile)):
        return _S.UNKNOWN
    return _S.QUEUED


# -- whether it is sent again


def may_go_again(row: Downlink, facts: Facts, profile: SouthProfile) -> bool:
    """Return whether another attempt is allowed, whatever the time (R8, R9)."""
    if not row.attempts:
        return True
    if row.cancel_asked or row.no_further_copy or facts.failed >= profile.max_attempts:
        return False
    if facts.is_called or facts.is_asked or facts.held is not None:
        return False
    latest = facts.latest
    if latest is None:
        return True  # certainly no attempt reached the device
    if not row.repeatable or facts.uncertain >= MOST:
        return False
    transmitted = facts.transmitted
    if transmitted is None or transmitted.known is _K.NACKED:
        return facts.in_doubt <= 1 and facts.gone < profile.max_attempts
    # CoAP sends a message again that got no answer; a copy in doubt counts as transmitted.
    copies = facts.left + facts.in_doubt + facts.gone
    is_confirmable = type(row) is ServerRequest and row.confirmable
    return transmitted.known is _K.LEFT and is_confirmable and copies <= profile.max_retransmit


def next_attempt_at(row: Downlink, facts: Facts, profile: SouthProfile, *, confirmed: bool) -> float | None:
    """Return the wall time from which another attempt is due; None: there is none.

    `confirmed`: whether the network is asked to confirm delivery; then the network retransmits by itself if its profile
    says so.
    """
    if not may_go_again(row, facts, profile):
        return None
    not_before = row.not_before or 0.0
    transmitted = facts.transmitted
    if transmitted is None or transmitted.known is _K.NACKED:
        return not_before
    if confirmed and not profile.retransmit_confirmed:
        return None
    again = _copied_at(facts) + profile.retransmit_interval
    if again < not_before:
        return not_before
    return again


def _copied_at(facts: Facts) -> float:
    """Return when the latest copy was transmitted; a copy in doubt counts."""
    left_at = 0.0 if facts.transmitted is None else facts.transmitted.left_at or 0.0
    if left_at < facts.in_doubt_at:
        return facts.in_doubt_at
    return left_at


def wants_confirmation(row: Downlink, options: Mapping[str, str], *, always: bool) -> bool:
    """Return whether the network is to confirm delivery: by endpoint, operation or request; never for an answer."""
    if type(row) is Answer:
        return False
    if always or (type(row) is ServerRequest and row.confirmed):
        return True
    operations = options.get(CONFIRMED_OPERATIONS)
    return operations is not None and row.operation in operations.split()


# -- the device's one request slot


def holds_slot(row: ServerRequest, now: float, profile: SouthProfile) -> bool:
    """Return whether a request holds the device's one request slot, so that the next request waits (R6).

    A request does while the network is called or has it; while it is in doubt, until the device is heard; and after it
    was transmitted, for the network's response time, or until nobody waits for the answer and the device is heard.
    """
    for one in row.attempts:
        known = one.known
        if known is _K.PENDING or known is _K.HELD:
            return True
        if one.released:
            continue
        if known is _K.IN_DOUBT or known is _K.GONE:
            return True
        if (known is _K.LEFT or known is _K.DELIVERED) and now < (one.left_at or 0.0) + profile.response_timeout:
            return True
    return False


def is_under_way(row: ServerRequest) -> bool:
    """Return whether a request without an outcome is part of an exchange of several messages that goes on after it.

    No other request goes in between: a device joins whatever blocks it gets one after another (RFC 7959 §2.5).
    """
    if row.answered or row.cancel_asked:
        return False  # nothing follows it
    return row.priority >= CONTINUES or (row.split_from is not None and not nobody_has_it(row.attempts))


def is_released_by_hearing(row: ServerRequest, one: Attempt) -> bool:
    """Return whether an attempt no longer holds the slot because the device was heard."""
    if one.released or one.look_up_at is not None:
        return False
    known = one.known
    if known is _K.IN_DOUBT or known is _K.GONE:
        return True
    return row.answered and (known is _K.LEFT or known is _K.DELIVERED)


# -- when it ends


def latest_delivery(row: Downlink) -> float:
    """Return the wall time after which the device must not get it; 0 if a person cancelled it."""
    return 0.0 if row.cancel_asked else row.deliver_by


def cancel_is_due(row: Downlink, held: Attempt | None, now: float, profile: SouthProfile) -> bool:
    """Return whether the network is to be asked now to remove what it holds (R11).

    That is so after the deadline, and as soon as the device has another copy of a message that it must not get twice:
    then the network took back that it had refused that copy.
    """
    if held is None or held.handle is None or held.cancel_failed_at is not None:
        return False
    if latest_delivery(row) <= now:
        return profile.can_cancel or row.cancel_asked
    return not row.repeatable and profile.can_cancel and any(one.known in _TRANSMITTED for one in row.attempts)


def ends_at(row: Downlink, facts: Facts, profile: SouthProfile) -> float | None:
    """Return the wall time at which a message ends by itself; None: only an event can end it.

    While the network is being called, or asked to remove the message, its answer is such an event.
    """
    if facts.is_called:
        return None
    held_until = None if facts.held is None else _held_until(row, facts.held, profile)
    if facts.held is not None and held_until is None:
        return None
    transmitted = facts.transmitted
    if transmitted is not None and transmitted.known is not _K.NACKED:
        if type(row) is not ServerRequest:
            return 0.0  # no answer is expected
        return max(_patience_ends(row), held_until or 0.0, _copied_at(facts) + profile.response_timeout)
    if held_until is not None:
        return held_until
    latest = facts.latest
    if latest is None or latest.known is _K.NACKED:
        return latest_delivery(row) if may_go_again(row, facts, profile) else 0.0
    return _doubted_until(row, latest, profile)


def _patience_ends(row: ServerRequest) -> float:
    """Return until when the server of a request waits for the answer; 0 where none does."""
    return 0.0 if row.answer_by >= FOREVER else row.answer_by


def _held_until(row: Downlink, held: Attempt, profile: SouthProfile) -> float | None:
    """Return until when to wait for a network that holds a message; None: it is asked to remove the message."""
    until = latest_delivery(row)
    if held.cancel_failed_at is not None:
        return max(until, held.cancel_failed_at) + WORD_MAY_COME
    if held.handle is not None and (profile.can_cancel or row.cancel_asked):
        return None
    return until + (WORD_MAY_COME if profile.can_expire else 0.0)


def _doubted_until(row: Downlink, latest: Attempt, profile: SouthProfile) -> float:
    """Return until when to wait for a report of the network or the device on a message in doubt."""
    if latest.look_up_at is not None:  # a network that cannot be asked is not waited for forever
        return max(row.deliver_by, latest.at) + WORD_MAY_COME
    if latest.known is _K.IN_DOUBT and row.cancel_asked:
        return 0.0
    if type(row) is ServerRequest and row.is_direct and latest.released and is_under_way(row):
        return latest.at + profile.response_timeout  # the device was heard; other requests wait for the end of this one
    answer_by = _patience_ends(row) if type(row) is ServerRequest else 0.0
    word_by = latest.at + WORD_MAY_COME if latest.known is _K.GONE and profile.can_expire else 0.0
    return max(answer_by, latest_delivery(row), word_by)
