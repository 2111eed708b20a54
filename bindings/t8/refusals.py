"""The meaning of a SCEF's error for one message, for all APIs (TS 29.122 §5.2.6, §5.6.5.3). No I/O.

Only an answer of the SCEF itself counts (`Answer.own`): a proxy's page of any status proves nothing, so it is
Ambiguous. In the SCEF's answer the cause decides first, then requestedRetransmissionTime, then the status.
"""

from collections.abc import Container, Mapping

from bindings.contract import Ambiguous, LimitOf, Refusal, Refused
from bindings.t8.answer import Answer
from bindings.t8.operations import REDIRECTS
from bindings.t8.problems import Problem
from bindings.t8.times import PeerClock

CAUSES: dict[str, Refusal] = {
    "DATA_TOO_LARGE": Refusal.TOO_LARGE,
    "QUOTA_EXCEEDED": Refusal.RATE_LIMITED,
    "RATE_LIMIT_EXCEEDED": Refusal.RATE_LIMITED,
    "TEMPORARILY_NOT_REACHABLE": Refusal.UNREACHABLE,
    "TRIGGERED": Refusal.UNREACHABLE,  # the device was triggered, the data not buffered
    "RDS_PORT_UNKNOWN": Refusal.REJECTED,
    "OPERATION_PROHIBITED": Refusal.REJECTED,
}

STATUSES: dict[int, Refusal] = {
    307: Refusal.NETWORK_UNAVAILABLE,  # redirects without a target: nothing was accepted
    308: Refusal.NETWORK_UNAVAILABLE,
    401: Refusal.NETWORK_UNAVAILABLE,  # credentials can be corrected
    413: Refusal.TOO_LARGE,
    429: Refusal.RATE_LIMITED,
    503: Refusal.NETWORK_UNAVAILABLE,
    # Said of the rights of the caller, of the resource or of the operation, not of the message; it can be corrected.
    **dict.fromkeys((403, 404, 405, 410, 501), Refusal.FAILED),
    **dict.fromkeys((400, 406, 411, 414, 415, 422, 431), Refusal.REJECTED),  # the same bytes would get it again
}

_TOO_MANY = 429
_FAILED = 500
_FORBIDDEN = 403
_NO_CONNECTION = "PDN"  # in causes of SCEFs: the device has no PDN connection, and waiting for one was not asked for
_CODED = "SCEF-ERR-"  # one vendor's prefix of the detail of a failure of this message, instead of a cause


def read_refusal(
    answer: Answer,
    clock: PeerClock,
    gateway_refusals: Container[int] = (),
    statuses: Mapping[int, Refusal] = STATUSES,
) -> Refused | Ambiguous:
    """Return the meaning of an error answer for the posted message.

    `gateway_refusals` are statuses that a gateway answers itself, without forwarding the request. `statuses` has the
    meaning of statuses without a known cause; others say nothing about the message.
    """
    retry_at = clock.wait_for(answer.headers.get("retry-after"))
    if answer.asks_for_credentials or (not answer.own and answer.status in gateway_refusals):
        limited = statuses.get(answer.status) is Refusal.RATE_LIMITED
        if limited:
            return Refused(Refusal.RATE_LIMITED, str(answer), retry_at, LimitOf.NETWORK)
        return Refused(Refusal.NETWORK_UNAVAILABLE, str(answer), retry_at)
    if not answer.own and answer.status not in REDIRECTS:
        return Ambiguous(str(answer))
    problem = answer.problem or Problem()
    why = _why(answer.status, problem, statuses)
    if why is None:  # 409: the SCEF may have it already; 408, 502, 504: the sender does not know the result
        return Ambiguous(f"{answer}: it says nothing about the downlink")
    # A 429 without a cause is said of its client, whatever the message (RFC 6585 §4); a cause may be of the device.
    of_client = answer.status == _TOO_MANY and not problem.cause
    retry_at = clock.wait_until(problem.requestedRetransmissionTime) or retry_at
    return Refused(why, str(answer), retry_at, LimitOf.NETWORK if of_client else LimitOf.DEVICE)


def _why(status: int, problem: Problem, statuses: Mapping[int, Refusal]) -> Refusal | None:
    why = CAUSES.get(problem.cause)
    if why is not None:
        return why
    if status == _FAILED:
        if problem.requestedRetransmissionTime or _NO_CONNECTION in problem.cause:
            return Refusal.UNREACHABLE
        if problem.cause or problem.is_delivery_failure or problem.detail.startswith(_CODED):
            return Refusal.FAILED
        return Refusal.NETWORK_UNAVAILABLE  # it says nothing about this message
    if status == _FORBIDDEN and ("QUOTA" in problem.cause or "RATE" in problem.cause):
        return Refusal.RATE_LIMITED
    why = statuses.get(status)
    return Refusal.REJECTED if why is Refusal.FAILED and problem.cause else why  # a cause is of this message
