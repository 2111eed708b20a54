"""Downlinks as device triggers: submitted, looked up, recalled (TS 29.122 §4.4.6)."""

import asyncio
import base64
import logging
from typing import Any

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    Events,
    Kind,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    Report,
    Submission,
    SubmitResult,
)
from bindings.http.client import NoAnswer, NotSent
from bindings.sms import operations
from bindings.sms.answers import read_submit, transaction_name
from bindings.sms.destinations import NamedAttempts, Reference, destination, read_destination
from bindings.sms.endpoint_options import application_port
from bindings.sms.models import Transaction, delivery_result
from bindings.sms.settings import SmsSettings
from bindings.t8.array import ArrayReader, NoArray
from bindings.t8.client import T8Client, TooLate
from bindings.t8.identity import identity_member, same_identity
from bindings.t8.reading import decode_data, pick, read_tolerant
from bridge.errors import BridgeError

log = logging.getLogger(__name__)

_GONE = {404, 409, 410}
_NOT_OFFERED = {405, 501}
_FORGOTTEN_AFTER = 86_400.0  # seconds after which an operation that the SCEF did not offer is tried again
_LIST_TIMEOUT = 60.0  # seconds for the list of all transactions
_LIST_LIMIT = 1 << 28  # bytes


class TriggerCalls:
    """The calls of one network instance about downlinks. None of them is repeated here."""

    def __init__(self, settings: SmsSettings, client: T8Client, events: Events, url: str, named: NamedAttempts) -> None:
        """`url` is the public URL of the listener; `named` are attempts whose reports came there."""
        self._named = named
        self._settings = settings.downlinks
        self._gateway_refusals = frozenset(settings.quirks.resolved.gateway_refusals)
        self._client = client
        self._events = events
        self._url = url
        self._refused_recall_at: float | None = None  # when the SCEF last refused to recall as not offered

    async def submit(self, attempt: Submission) -> SubmitResult:
        """POST the attempt."""
        size, limit = len(attempt.payload), self._settings.max_payload
        if size > limit:
            return Refused(Refusal.TOO_LARGE, f"{size} bytes; one SMS carries {limit} (downlinks.max_payload)")
        try:
            answer = await self._client.ask(operations.SUBMIT, body=lambda: self._body(attempt))
        except TooLate:
            return Refused(Refusal.EXPIRED, "less than a second left")
        except NotSent as error:
            return Refused(Refusal.NETWORK_UNAVAILABLE, str(error))
        except NoAnswer as error:
            self._events.count("sms_submits_without_answer")
            return self._reported(attempt) or Ambiguous(str(error))
        if not answer.ok:
            self._events.count("sms_submit_errors", status=str(answer.status))
        proof = self._settings.results_are_proof
        result = read_submit(answer, self._client.clock, self._gateway_refusals, is_proof=proof)
        return (self._reported(attempt) or result) if isinstance(result, Ambiguous) else result

    def _reported(self, attempt: Submission) -> Accepted | None:
        """Return that an attempt was accepted, if its report has come already."""
        handle = self._named.get(Reference.of(attempt))
        return None if handle is None else Accepted(handle, NetworkState.BUFFERED)

    def _body(self, attempt: Submission) -> dict[str, Any] | None:
        """Return the body for the time when a connection is free; None: it is too late."""
        settings, now = self._settings, self._events.now()
        left = settings.default_validity if attempt.deadline is None else attempt.deadline - now
        if left < 1:  # validityPeriod counts whole seconds, and 0 has a special meaning
            return None
        urgent = attempt.priority > 0 and (attempt.kind is not Kind.ANSWER or settings.priority_for_answers)
        body: dict[str, Any] = {
            identity_member(attempt.device): attempt.device,
            "validityPeriod": int(left),
            "priority": "PRIORITY" if urgent else "NO_PRIORITY",
            "applicationPortId": application_port(attempt.options, settings.application_port),
            "triggerPayload": base64.b64encode(attempt.payload).decode(),
            "notificationDestination": destination(self._url, Reference.of(attempt)),
        }
        if settings.source_port:
            body["appSrcPortId"] = settings.source_port
        return body

    # Looking up

    async def lookup(self, attempt: Submission) -> Lookup:
        """GET all transactions, and find the attempt's by its destination, else by device and payload."""
        found: list[Transaction] = []
        wanted = Reference.of(attempt)
        reported = self._named.get(wanted)
        if reported is not None:  # the list may not have it any more
            return Lookup(Presence.PRESENT, reported)

        def add_if_same(item: object) -> None:
            one = pick(item, Transaction)
            if _is_it(one, attempt, wanted):
                found.append(one)

        reader = ArrayReader(add_if_same, _LIST_LIMIT)
        try:
            async with asyncio.timeout(_LIST_TIMEOUT):
                answer = await self._client.ask(operations.LIST, part=reader.feed)
            if answer.own and answer.status in _NOT_OFFERED:
                return Lookup(Presence.UNSUPPORTED)
            if answer.own and answer.status in _GONE:
                return Lookup(Presence.ABSENT)  # some SCEFs have no list if it would be empty
            if not answer.ok:
                return Lookup(Presence.FAILED)
            reader.finish()
        except (NotSent, NoAnswer, TimeoutError, NoArray):
            return Lookup(Presence.FAILED)
        for one in reversed(found):
            handle = transaction_name(one.self)
            if handle is not None:
                await self._tell(attempt.device, handle, one)
                return Lookup(Presence.PRESENT, handle)
        return Lookup(Presence.ABSENT)

    # Recalling

    @property
    def can_recall(self) -> bool:
        """Return whether a recall may succeed, judged by the SCEF's earlier answers."""
        refused_at = self._refused_recall_at
        return refused_at is None or not 0 <= self._events.now() - refused_at < _FORGOTTEN_AFTER

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """DELETE a pending trigger. Only a success proves that it will not be transmitted."""
        try:
            answer = await self._client.ask(operations.RECALL, handle)
            if answer.ok:
                return Cancellation.REMOVED if self._settings.results_are_proof else Cancellation.GONE
            if answer.own and answer.status in _NOT_OFFERED:
                self._refused_recall_at = self._events.now()
            if answer.own and answer.status in _GONE | _NOT_OFFERED:
                return await self._what_became(device, handle)
        except (NotSent, NoAnswer):
            pass
        return Cancellation.UNKNOWN

    async def _what_became(self, device: str, handle: str) -> Cancellation:
        """Read a trigger that was not recalled: it may have ended, with a result that was not reported."""
        answer = await self._client.ask(operations.READ, handle)
        if answer.own and answer.status in _GONE:
            return Cancellation.GONE
        if answer.ok and await self._tell(device, handle, read_tolerant(answer.body, Transaction)):
            return Cancellation.GONE
        return Cancellation.UNKNOWN

    async def _tell(self, device: str, handle: str, one: Transaction) -> bool:
        """Report a result that was read from the SCEF; False if the trigger is pending."""
        if one.deliveryResult is None:
            return False
        outcome, _ = delivery_result(one.deliveryResult, is_proof=self._settings.results_are_proof)
        if outcome is NetworkState.BUFFERED:
            return False
        try:
            await self._events.deliver(Report(device, handle, outcome, one.deliveryResult[:100]))
        except BridgeError as error:
            log.warning("result of %s: %s", handle, error, extra={"sample": "sms result"})
        return True


def _is_it(one: Transaction, attempt: Submission, wanted: Reference) -> bool:
    reference = read_destination(one.notificationDestination or "")
    if reference is not None:
        return reference == wanted
    if one.notificationDestination is not None or not same_identity(attempt.device, one.externalId, one.msisdn):
        return False
    return decode_data(one.triggerPayload) == attempt.payload
