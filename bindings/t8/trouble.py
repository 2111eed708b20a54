"""Why a job of a device's configuration failed, and which side is the cause."""

from enum import Enum

from bindings.t8.answer import Answer
from bindings.t8.times import PeerClock

_OVERLOADED = {401, 408, 429, 502, 503, 504}  # not caused by this device: credentials, load, a gateway


class FailureCause(Enum):
    """The cause of a failed job."""

    DEVICE = "device"  # this device
    NETWORK = "network"  # overload, credentials, SCEF unreachable: other devices will fail, too
    NOT_OFFERED = "not offered"  # the SCEF does not offer this
    UNCLEAR = "unclear"  # no answer, or a proxy's: unclear until it is known whether others fail, too


class JobFailed(Exception):
    """A job failed. The job is repeated: after `after` seconds if the SCEF said so."""

    def __init__(self, text: str, after: float | None = None, whose: FailureCause = FailureCause.DEVICE) -> None:
        super().__init__(text)
        self.after = after
        self.whose = whose


def refused(what: str, answer: Answer, clock: PeerClock) -> JobFailed:
    """Return the failure for an answer."""
    until = clock.wait_for(answer.headers.get("retry-after"))
    after = None if until is None else until - clock.now()
    return JobFailed(f"{what}: {answer}", after, _whose(answer))


def _whose(answer: Answer) -> FailureCause:
    if answer.status in _OVERLOADED:
        return FailureCause.NETWORK
    return FailureCause.DEVICE if answer.own else FailureCause.UNCLEAR


def is_passing(answer: Answer, failures: int) -> bool:
    """Return whether an answer is a temporary failure, not caused by the request.

    Some SCEFs answer 500 to unknown requests, so that a 500 counts as a refusal after a second attempt.
    """
    if not answer.own or answer.status in _OVERLOADED:
        return True
    return answer.status == 500 and failures == 0  # noqa: PLR2004
