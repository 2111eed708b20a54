"""Rows with times in the future: the wall clock was set back while the service was down.

A running service uses two clocks (`bridge.service.clock`). At its start it has only the wall clock and the stored
times. A message that was accepted later than now shows that the clock was set back, by at least the difference: the
message's times are moved back by as much, once. So a message waits no longer after the start than it was allowed to
wait at all.
"""

from bridge.delivery.attempts import Attempt
from bridge.delivery.downlinks import Downlink, ServerRequest
from bridge.delivery.rows import FOREVER
from bridge.delivery.uplinks import Uplink

SET_BACK = "a message has a time in the future: the wall clock was set back, and deadlines are moved back, too"
APART = 1.0  # seconds; a smaller difference changes nothing


def downlink_from_the_future(row: Downlink, now: float) -> bool:
    """Move the times of a downlink back, if it was accepted later than `now`; return whether it was."""
    by = row.accepted_at - now
    if by < APART:
        return False
    row.accepted_at -= by  # so that the next start moves nothing
    row.deliver_by -= by
    if row.not_before is not None:
        row.not_before -= by
    if type(row) is ServerRequest and row.answer_by < FOREVER:
        row.answer_by -= by
    for one in row.attempts:
        _move(one, by)
    return True


def _move(one: Attempt, by: float) -> None:
    one.at -= by
    if one.left_at is not None:
        one.left_at -= by
    if one.look_up_at is not None:
        one.look_up_at -= by
    if one.cancel_failed_at is not None:
        one.cancel_failed_at -= by


def uplink_from_the_future(row: Uplink, now: float) -> bool:
    """Move the end of an uplink back, if it was received later than `now`; return whether it was."""
    by = row.received_at - now
    if by < APART:
        return False
    row.received_at -= by
    if row.expires_at is not None:
        row.expires_at -= by
    return True
