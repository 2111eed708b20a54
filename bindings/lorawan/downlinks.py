"""Downlinks: enqueue, lookup, and cancel, where only whole queues can be removed.

Facts about ChirpStack 4.20: the server chooses an item's id, so repeating a call after a lost answer may
send twice (R9: ambiguity of a submit); a flush does not say what it removed; an item's expiry is noticed when
the device opens a window.
"""

import asyncio
import logging

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    Events,
    Flushed,
    Kind,
    LimitOf,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    Submission,
    SubmitResult,
)
from bindings.lorawan import proofs
from bindings.lorawan.clock import NetworkClock
from bindings.lorawan.evidence import Evidence
from bindings.lorawan.notes import DeviceNote, DeviceNotes, Queued
from bindings.lorawan.outstanding import DoubtfulDevices, Outstanding, QueuesToRead
from bindings.lorawan.provider import NewItem, Provider, QueuedItem
from bindings.lorawan.sealing import Sealing
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import BridgeError, CallFailed, CallTrouble

log = logging.getLogger(__name__)

UNKNOWN_DEVICE_PAUSE = 60.0  # seconds until a downlink for a device that the server does not know is tried again
_STOP_PATIENCE = 5.0  # seconds
_NO_CONNECTION_PAUSE = 1.0  # seconds until a downlink is tried again for which no connection or no note was there

_REFUSALS = {
    # The cause is not this downlink, so it is not an attempt of it: the server, the key or the device can be corrected.
    CallTrouble.OUT_OF_REACH: Refusal.NETWORK_UNAVAILABLE,
    CallTrouble.DENIED: Refusal.NETWORK_UNAVAILABLE,
    CallTrouble.NOT_FOUND: Refusal.UNREACHABLE,
    CallTrouble.LIMITED: Refusal.RATE_LIMITED,
    CallTrouble.INVALID: Refusal.REJECTED,
    CallTrouble.UNSUPPORTED: Refusal.REJECTED,
    CallTrouble.FAILED: Refusal.FAILED,
}


class Downlinks:
    """All downlinks of one network instance."""

    def __init__(
        self,
        settings: LorawanSettings,
        provider: Provider,
        sealing: Sealing,
        records: DeviceNotes,
        outstanding: Outstanding,
        evidence: Evidence,
        clock: NetworkClock,
        doubts: DoubtfulDevices,
        queues_to_read: QueuesToRead,
        events: Events,
    ) -> None:
        self._settings = settings.downlinks
        self._provider = provider
        self._sealing = sealing
        self._records = records
        self._outstanding = outstanding
        self._evidence = evidence
        self._clock = clock
        self._doubts = doubts
        self._queues_to_read = queues_to_read
        self._events = events
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Wait until running reports are committed."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_PATIENCE)

    # Submit

    async def submit(self, attempt: Submission, largest: int | None) -> SubmitResult:
        """Enqueue an attempt; `largest` is the payload size at the current data rate (R25: checked at submit)."""
        device, now = attempt.device, self._events.now()
        if largest is not None and len(attempt.payload) > largest:
            return Refused(Refusal.TOO_LARGE, f"{len(attempt.payload)} bytes, {largest} fit at this data rate")
        if attempt.deadline is not None and attempt.deadline <= now:
            return Refused(Refusal.EXPIRED, "the deadline has passed")
        expires_at = self._clock.theirs(attempt.deadline, now) if attempt.deadline is not None else None
        try:
            record = await self._records.get(device)
        except BridgeError as error:  # the store fails, and nothing was sent
            return Refused(Refusal.RATE_LIMITED, str(error), now + _NO_CONNECTION_PAUSE, LimitOf.BINDING)
        item = NewItem(device, self._f_port(attempt, record), attempt.payload, attempt.confirmed, expires_at)
        try:
            item = await self._sealing.seal(item, record)
        except BridgeError as error:
            return self._not_sealed(error)
        passed = self._passed_by(attempt)
        before = self._evidence.when_queued(device)
        self._outstanding.expect(device)
        try:
            handle = await self._provider.enqueue(item, passing=bool(passed))
            queued = Queued(attempt.kind, attempt.repeatable, attempt.confirmed, before, deadline=attempt.deadline)
            if self._outstanding.add(device, handle, queued) and proofs.may_settle(before):
                self._queues_to_read.add(device, self._evidence.known(device).open_for)
        except CallFailed as error:
            return self._failed(device, error, passed)
        finally:
            self._outstanding.expect_no_more(device)
        self._passed(device, passed)
        return Accepted(handle, NetworkState.BUFFERED)

    def _f_port(self, attempt: Submission, record: DeviceNote | None) -> int:
        """Return the FPort of the attempt's server, if that is one of the device's, else the usual one."""
        for port in record.server_ports if record is not None else ():
            if str(port) == attempt.port:
                return port
        return (record.f_port if record is not None else 0) or self._settings.f_port

    def _passed_by(self, attempt: Submission) -> list[str]:
        """Return the requests before which this attempt may be sent: none, unless it is an answer in a hurry."""
        if attempt.kind is not Kind.ANSWER or not self._settings.flush_for_answers or not self._provider.answers_pass:
            return []
        return self._outstanding.flushable(attempt.device)

    def _passed(self, device: str, handles: list[str]) -> None:
        for handle in handles:
            self._events.count("lorawan_requests_passed")
            self._tell(device, handle, "removed from the queue to send an answer first")

    def _not_sealed(self, error: BridgeError) -> Refused:
        """Return why a downlink could not be encrypted; nothing was sent."""
        if isinstance(error, CallFailed):
            self._events.count("lorawan_submit_errors", trouble=error.trouble.value)
            return self._refused(error)
        self._events.count("lorawan_not_sealed")
        return Refused(Refusal.UNREACHABLE, str(error), self._events.now() + UNKNOWN_DEVICE_PAUSE)

    def _failed(self, device: str, error: CallFailed, passed: list[str]) -> SubmitResult:
        self._events.count("lorawan_submit_errors", trouble=error.trouble.value)
        if passed and (error.unsure or not error.out_of_reach):
            self._doubts.add(device)  # the queue is flushed before the item is added, and stays empty if that fails
        if error.unsure:
            return Ambiguous(str(error))
        return self._refused(error)

    def _refused(self, error: CallFailed) -> Refused:
        if not error.tried:
            soon = self._events.now() + _NO_CONNECTION_PAUSE
            return Refused(Refusal.RATE_LIMITED, str(error), soon, LimitOf.BINDING)
        why, retry_at = _REFUSALS[error.trouble], None
        if why is Refusal.NETWORK_UNAVAILABLE:
            retry_at = self._events.now() + self._settings.unreachable_pause
        elif why is Refusal.UNREACHABLE:
            retry_at = self._events.now() + UNKNOWN_DEVICE_PAUSE
        return Refused(why, str(error), retry_at)

    # Look-up

    async def lookup(self, attempt: Submission) -> Lookup:
        """Find the attempt in the queue by FPort and bytes; presence proves that it was accepted (R9)."""
        record = await self._records.get(attempt.device)
        self._outstanding.expect(attempt.device)
        try:
            return self._found(attempt, record, await self._provider.queue(attempt.device))
        except CallFailed as error:
            gone = error.trouble is CallTrouble.NOT_FOUND and not error.unsure
            return Lookup(Presence.ABSENT if gone else Presence.FAILED)
        finally:
            self._outstanding.expect_no_more(attempt.device)

    def _found(self, attempt: Submission, record: DeviceNote | None, items: list[QueuedItem]) -> Lookup:
        known = self._outstanding.of(attempt.device)
        f_port = self._f_port(attempt, record)
        for item in reversed(items):
            new = item.f_port == f_port and item.id not in known
            if new and self._sealing.is_of(item, attempt.payload, record):
                added = Queued(attempt.kind, attempt.repeatable, attempt.confirmed)
                self._outstanding.add(attempt.device, item.id, added)
                return Lookup(Presence.PRESENT, item.id)
        return Lookup(Presence.ABSENT)

    # Cancel

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """Flush the queue if the bridge queued everything in it; return REMOVED only if no transmission was possible.

        A frame that a gateway already has is not in the queue, and an item in the queue may have been transmitted:
        `proofs` finds what is certain.
        """
        await self._records.get(device)
        known = self._evidence.known(device)
        try:
            items = await self._provider.queue(device)
            item = next((one for one in items if one.id == handle), None)
            if item is None:
                return await self._evidence.of_absent(device, handle)
            if item.pending:
                return Cancellation.GONE  # transmitted, the device's acknowledgement is awaited
            ours = self._outstanding.of(device)
            if any(one.pending or (one.id not in ours and one.id != handle) for one in items):
                self._events.count("lorawan_cancels_hindered")
                return await self._evidence.of_unremovable(device, item, known)
            found = await self._evidence.of_flushed(device, item, known)
        except CallFailed as error:
            log.info(
                "a downlink of device %s could not be cancelled: %s", device, error, extra={"sample": "lorawan cancel"}
            )
            return Cancellation.UNKNOWN
        self._outstanding.drop(device, handle)
        for other in list(self._outstanding.of(device)):
            self._tell(device, other, "flushed together with a cancelled downlink")
        return found

    def _tell(self, device: str, handle: str, why: str) -> None:
        task = asyncio.create_task(self._deliver(Flushed(device, why, handle)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, event: Flushed) -> None:
        """Report a downlink that was flushed; forget it when that is committed.

        If that fails, the downlink is missed in the queue after some uplinks, and reported then.
        """
        try:
            await self._events.deliver(event)
        except BridgeError as error:
            log.warning("the change of a downlink could not be stored: %s", error, extra={"sample": "lorawan report"})
            return
        if event.handle is not None:
            self._outstanding.drop(event.device, event.handle)
