"""What the SCEF's answer to a downlink means for the ledger (TS 29.122 §4.4.5.3.1, §5.6.3.4; one table, no I/O).

The status decides first, then requestedRetransmissionTime, then the cause; an unknown cause is read by its status. An
answer that does not come from the SCEF itself (a gateway's 502, a 500 without a T8 body) proves nothing: Ambiguous.
"""

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused, SubmitResult
from bindings.nidd.models import Delivery, delivery_outcome
from bindings.t8.answer import Answer
from bindings.t8.links import delivery_handle
from bindings.t8.problems import describe, read_problem
from bindings.t8.reading import read_tolerant
from bindings.t8.times import parse_time

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
    # Nothing against this downlink, so no attempt of it (R3): credentials can be mended, overload passes.
    401: Refusal.UNREACHABLE,
    503: Refusal.UNREACHABLE,
    429: Refusal.RATE_LIMITED,
    413: Refusal.TOO_LARGE,
    404: Refusal.FAILED,  # the configuration is being made again
    307: Refusal.FAILED,  # redirects are not defined for creates: nothing was taken
    308: Refusal.FAILED,
} | dict.fromkeys((400, 402, 405, 406, 410, 411, 414, 415, 422, 431, 501), Refusal.REJECTED)


def read_submit(answer: Answer, configuration: str, now: float) -> SubmitResult:
    """Return what the answer to POST downlink-data-deliveries means; `configuration` is what was posted to."""
    if answer.ok:
        return _success(answer, configuration)
    problem = read_problem(answer.body)
    detail = describe(answer)
    retry_at = parse_time(problem.requestedRetransmissionTime) if problem else None
    if retry_at is None and (wait := answer.retry_seconds(now)) is not None:
        retry_at = now + wait
    reason = problem.reason if problem else ""
    if answer.status == 500:  # noqa: PLR2004
        if problem is None:
            return Ambiguous(f"{detail}: no T8 body, so not the SCEF's verdict")
        why = _CAUSES.get(reason, Refusal.UNREACHABLE if retry_at is not None else Refusal.FAILED)
        return Refused(why, detail, retry_at)
    if answer.status == 403:  # noqa: PLR2004
        return Refused(_forbidden(reason), detail, retry_at)
    if answer.status == 409:  # noqa: PLR2004
        return Ambiguous(f"{detail}: the SCEF may have it already")
    meaning = _STATUSES.get(answer.status)
    if meaning is None:
        return Ambiguous(f"{detail}: says nothing about the downlink")
    return Refused(meaning, detail, retry_at)


def _forbidden(reason: str) -> Refusal:
    if "QUOTA" in reason or "RATE" in reason:
        return Refusal.RATE_LIMITED
    return _CAUSES.get(reason, Refusal.REJECTED)


def _success(answer: Answer, configuration: str) -> SubmitResult:
    body = read_delivery(answer.body)
    handle = delivery_handle(answer.location) or delivery_handle(body.self)
    handle = handle or _short_handle(answer.location, configuration)
    status = body.state
    outcome: NetworkState | Refusal
    if status is not None:
        outcome, _ = delivery_outcome(status)
    else:
        outcome = NetworkState.SENT if answer.status == 200 else NetworkState.BUFFERED  # noqa: PLR2004
    if isinstance(outcome, Refusal):
        return Refused(outcome, f"{answer.status} {status}", parse_time(body.requestedRetransmissionTime))
    if handle is None and (answer.status != 200 or outcome is NetworkState.BUFFERED):  # noqa: PLR2004
        return Ambiguous(f"{answer.status} names no delivery, neither in Location nor in self")
    return Accepted(handle, outcome)


def read_delivery(body: bytes) -> Delivery:
    """Return a NiddDownlinkDataTransfer; an empty or unreadable body is one without members."""
    return read_tolerant(body, Delivery)


def _short_handle(location: str | None, configuration: str) -> str | None:
    """Return the handle of a Location that is relative to the collection, like `365`."""
    if not location or "/" in location.strip("/"):
        return None
    return delivery_handle(f"/configurations/{configuration}/downlink-data-deliveries/{location.strip('/')}")
