"""Interprets the SCEF's answer to a device trigger (TS 29.122 §4.4.6). No I/O."""

from collections.abc import Container

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused, SubmitResult
from bindings.sms.models import Transaction, delivery_result, result_words
from bindings.sms.operations import TRANSACTIONS
from bindings.t8.answer import Answer
from bindings.t8.links import bare_name, resource_name
from bindings.t8.reading import read_tolerant
from bindings.t8.refusals import read_refusal
from bindings.t8.times import PeerClock


def transaction_name(link: str | None) -> str | None:
    """Return the name of the transaction in a link; None if there is none."""
    return (resource_name(link, TRANSACTIONS) or bare_name(link)) if link else None


def read_submit(
    answer: Answer, clock: PeerClock, gateway_refusals: Container[int] = (), *, is_proof: bool = False
) -> SubmitResult:
    """Return the result of an answer to POST transactions; `is_proof` as in `delivery_result`.

    `gateway_refusals` are statuses that a gateway answers itself, without forwarding the request.
    """
    if not 200 <= answer.status < 300:  # noqa: PLR2004  # RFC 9110 §15.3
        return read_refusal(answer, clock, gateway_refusals)
    body = read_tolerant(answer.body, Transaction) if answer.own else Transaction()
    handle = transaction_name(answer.location) or transaction_name(body.self)
    result = body.deliveryResult
    outcome = NetworkState.BUFFERED if result is None else delivery_result(result, is_proof=is_proof)[0]
    if outcome is None or handle is None:
        return Ambiguous(f"{answer.status} {result or 'names no transaction, neither in Location nor in self'}")
    if isinstance(outcome, Refusal):
        return Refused(outcome, f"{answer.status} {result_words(result or '')}")
    return Accepted(handle, outcome)
