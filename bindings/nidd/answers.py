"""What the SCEF's answer to a downlink means for the ledger (TS 29.122 §4.4.5.3.1, §5.6.3.4). No I/O.

Only the SCEF's own word counts (`Answer.own`): a proxy's page of any status proves nothing, so it is Ambiguous. Of the
SCEF's word the cause decides first, then requestedRetransmissionTime, then the status.
"""

from collections.abc import Container

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused, SubmitResult
from bindings.nidd.models import Delivery, delivery_outcome
from bindings.t8.answer import Answer
from bindings.t8.links import bare_name, delivery_handle, handle_of
from bindings.t8.problems import Problem
from bindings.t8.reading import read_tolerant
from bindings.t8.times import PeerClock

_CAUSES: dict[str, Refusal] = {
    "DATA_TOO_LARGE": Refusal.TOO_LARGE,
    "QUOTA_EXCEEDED": Refusal.RATE_LIMITED,
    "RATE_LIMIT_EXCEEDED": Refusal.RATE_LIMITED,
    "TEMPORARILY_NOT_REACHABLE": Refusal.UNREACHABLE,
    "TRIGGERED": Refusal.UNREACHABLE,  # the device was triggered, the data not kept
    "RDS_PORT_UNKNOWN": Refusal.REJECTED,
    "OPERATION_PROHIBITED": Refusal.REJECTED,
}

_STATUSES: dict[int, Refusal] = {
    307: Refusal.NETWORK_UNAVAILABLE,  # redirects that lead nowhere: nothing was taken
    308: Refusal.NETWORK_UNAVAILABLE,
    401: Refusal.NETWORK_UNAVAILABLE,  # credentials can be mended
    404: Refusal.UNREACHABLE,  # the configuration is being asked for
    410: Refusal.UNREACHABLE,
    413: Refusal.TOO_LARGE,
    429: Refusal.RATE_LIMITED,
    503: Refusal.NETWORK_UNAVAILABLE,
} | dict.fromkeys((400, 403, 405, 406, 411, 414, 415, 422, 431, 501), Refusal.REJECTED)

_FAILED = 500
_CODED = "SCEF-ERR-"  # how one vendor begins the detail of a failure of this delivery, in place of a cause


def read_submit(
    answer: Answer, configuration: str, clock: PeerClock, gateway_refusals: Container[int] = ()
) -> SubmitResult:
    """Return what the answer to POST downlink-data-deliveries means.

    `configuration` is what was posted to; `gateway_refusals` are statuses that a gateway answers by itself before it
    forwards anything.
    """
    if 200 <= answer.status < 300:  # noqa: PLR2004  # RFC 9110 §15.3
        return _success(answer, configuration, clock)
    retry_at = clock.wait_for(answer.headers.get("retry-after"))
    if answer.asks_for_credentials or (not answer.own and answer.status in gateway_refusals):
        why = Refusal.RATE_LIMITED if _STATUSES.get(answer.status) is Refusal.RATE_LIMITED else _OUTAGE
        return Refused(why, str(answer), retry_at)
    if not answer.own and answer.status not in (307, 308):
        return Ambiguous(str(answer))
    return _refusal(answer, answer.problem or Problem(), retry_at, clock)


_OUTAGE = Refusal.NETWORK_UNAVAILABLE


def _refusal(answer: Answer, problem: Problem, retry_at: float | None, clock: PeerClock) -> SubmitResult:
    """Return what the SCEF's own error means."""
    asked_to_wait = bool(problem.requestedRetransmissionTime)
    retry_at = clock.wait_until(problem.requestedRetransmissionTime) or retry_at
    why = _CAUSES.get(problem.cause)
    if answer.status == _FAILED:
        if why is None and asked_to_wait:
            why = Refusal.UNREACHABLE
        elif why is None and (problem.cause or problem.is_delivery_failure or problem.detail.startswith(_CODED)):
            why = Refusal.FAILED
        elif why is None:
            why = _OUTAGE  # it says nothing of this downlink
    elif why is None and answer.status == 403 and ("QUOTA" in problem.cause or "RATE" in problem.cause):  # noqa: PLR2004
        why = Refusal.RATE_LIMITED
    elif why is None:
        why = _STATUSES.get(answer.status)
    if why is None:  # 409: the SCEF may have it already; 408, 502, 504: whoever says so does not know either
        return Ambiguous(f"{answer}: says nothing about the downlink")
    return Refused(why, str(answer), retry_at)


def _success(answer: Answer, configuration: str, clock: PeerClock) -> SubmitResult:
    body = read_tolerant(answer.body, Delivery) if answer.own else Delivery()
    handle = delivery_handle(answer.location) or delivery_handle(body.self)
    if handle is None and (name := bare_name(answer.location)) is not None:
        handle = handle_of(configuration, name)
    if handle is None and not body.is_one:
        return Ambiguous(f"{answer.status} without a T8 body" if not answer.own else f"{answer.status}, of no delivery")
    status = body.state
    outcome: NetworkState | Refusal
    if status is not None:
        outcome, _ = delivery_outcome(status)
    else:
        outcome = NetworkState.SENT if answer.status == 200 else NetworkState.BUFFERED  # noqa: PLR2004
    if isinstance(outcome, Refusal):
        return Refused(outcome, f"{answer.status} {status}", clock.wait_until(body.requestedRetransmissionTime))
    if handle is None and (answer.status != 200 or outcome is NetworkState.BUFFERED):  # noqa: PLR2004
        return Ambiguous(f"{answer.status} names no delivery, neither in Location nor in self")
    return Accepted(handle, outcome)
