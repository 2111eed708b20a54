"""Interprets the SCEF's answer to a downlink (TS 29.122 §4.4.5.3.1, §5.6.3.4). No I/O."""

from collections.abc import Container

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused, SubmitResult
from bindings.nidd.models import Delivery, delivery_outcome, delivery_words
from bindings.t8.answer import Answer
from bindings.t8.links import delivery_handle, relative_delivery_handle
from bindings.t8.reading import read_tolerant
from bindings.t8.refusals import STATUSES, read_refusal
from bindings.t8.times import PeerClock

_STATUSES = STATUSES | dict.fromkeys((404, 410), Refusal.UNREACHABLE)  # the configuration is being checked


def read_submit(
    answer: Answer, configuration: str, clock: PeerClock, gateway_refusals: Container[int] = ()
) -> SubmitResult:
    """Return the result of an answer to POST downlink-data-deliveries.

    `configuration` is the configuration posted to; `gateway_refusals` are statuses that a gateway answers itself,
    without forwarding the request.
    """
    if 200 <= answer.status < 300:  # noqa: PLR2004  # RFC 9110 §15.3
        return _success(answer, configuration, clock)
    return read_refusal(answer, clock, gateway_refusals, _STATUSES)


def _success(answer: Answer, configuration: str, clock: PeerClock) -> SubmitResult:
    body = read_tolerant(answer.body, Delivery) if answer.own else Delivery()
    handle = delivery_handle(answer.location) or delivery_handle(body.self)
    if handle is None and (link := answer.location or body.self):
        handle = relative_delivery_handle(link, configuration)
    if handle is None and not body.is_one:
        return Ambiguous(
            f"{answer.status} without a T8 body" if not answer.own else f"{answer.status} about no delivery"
        )
    status = body.state
    outcome: NetworkState | Refusal
    if status is not None:
        outcome, _ = delivery_outcome(status)
    else:
        outcome = NetworkState.SENT if answer.status == 200 else NetworkState.BUFFERED  # noqa: PLR2004
    if isinstance(outcome, Refusal):
        return Refused(
            outcome,
            f"{answer.status} {delivery_words(status or '')}",
            clock.wait_until(body.requestedRetransmissionTime),
        )
    if handle is None and (answer.status != 200 or outcome is NetworkState.BUFFERED):  # noqa: PLR2004
        return Ambiguous(f"{answer.status} names no delivery, neither in Location nor in self")
    return Accepted(handle, outcome)
