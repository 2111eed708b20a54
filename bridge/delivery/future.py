"""Rows with times in the future: the wall clock was set back while the service was down.

A running service uses two clocks (`bridge.service.clock`). At its start it has only the wall clock and the stored
times. A message that was accepted later than now, or an attempt that was made later than now, shows that the clock was
set back, by at least the difference: the message's times are moved back by as much, once. So a message waits no longer
after the start than it was allowed to wait at all.
"""

from bridge.delivery.attempts import Attempt
from bridge.delivery.downlinks import Downlink, ServerRequest
from bridge.delivery.rows import FOREVER
from bridge.delivery.uplinks import Uplink

SET_BACK = "a message has a time in the future: the wall clock was set back, and deadlines are moved back, too"
APART = 1.0  # seconds; a smaller difference changes nothing


def downlink_from_the_future(row: Downlink, now: float) -> bool:
    """Move the times of a downlink back, if it was accepted, or an attempt made, later than `now`; return whether so.

    The deadlines move only with the acceptance: else they were set by a clock that was right.
    """
    by = row.accepted_at - now
    if by >= APART:
        row.accepted_at -= by  # so that the next start moves nothing
        row.deliver_by -= by
        if type(row) is ServerRequest and row.answer_by < FOREVER:
            row.answer_by -= by
    ahead = max([by, *(_latest(one) - now for one in row.attempts)])
    if ahead < APART:
        return False
    if row.not_before is not None:
        row.not_before -= ahead
    for one in row.attempts:
        _move(one, now, ahead)
    return True


def _latest(one: Attempt) -> float:
    """Return the latest time at which something happened to an attempt."""
    return max(one.at, one.left_at or 0.0, one.cancel_failed_at or 0.0)


def _move(one: Attempt, now: float, ahead: float) -> None:
    """Let what seems to happen later than `now` have happened now, and what waits wait less by `ahead` seconds."""
    one.at = min(one.at, now)
    if one.left_at is not None:
        one.left_at = min(one.left_at, now)
    if one.look_up_at is not None:
        one.look_up_at -= ahead
    if one.cancel_failed_at is not None:
        one.cancel_failed_at = min(one.cancel_failed_at, now)


def uplink_from_the_future(row: Uplink, now: float) -> bool:
    """Move the end of an uplink back, if it was received later than `now`; return whether it was."""
    by = row.received_at - now
    if by < APART:
        return False
    row.received_at -= by
    if row.expires_at is not None:
        row.expires_at -= by
    return True


def kept_downlink_from_the_future(row: ServerRequest, now: float) -> bool:
    """Move the times of a finished request back, if it was accepted later than `now`; return whether it was.

    Else a request that its server sends much later with the same IDs would be taken for a retransmission of it (R4).
    """
    by = row.accepted_at - now
    if by < APART:
        return False
    row.accepted_at -= by
    _keep_less(row, by)
    return True


def kept_uplink_from_the_future(row: Uplink, now: float) -> bool:
    """Move the times of a finished uplink back, if it was received later than `now`; return whether it was.

    Else a message that its device sends much later with the same bytes would be taken for a repeat of it (R13).
    """
    by = row.received_at - now
    if by < APART:
        return False
    row.received_at -= by
    _keep_less(row, by)
    return True


def _keep_less(row: Downlink | Uplink, by: float) -> None:
    if row.keep_until < FOREVER:
        row.keep_until -= by
    if row.finished_at is not None:
        row.finished_at -= by
