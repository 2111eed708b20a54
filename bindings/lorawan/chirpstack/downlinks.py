"""Downlinks over gRPC: Enqueue, what its failures prove, look-up, and cancellation where a queue drops all or nothing.

ChirpStack facts behind this (4.20): Enqueue makes an id of its own, so repeating it after a lost answer may send twice
(R9); FlushQueue drops all items without an event; flush_queue of Enqueue spares a pending one from 4.18 on; an expired
item is only noticed when the device opens a window.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import grpc
from chirpstack_api import api, common
from google.protobuf.timestamp_pb2 import Timestamp

from bindings.contract import (
    Accepted,
    Ambiguous,
    Attempt,
    BindingEvent,
    Cancellation,
    Events,
    Flushed,
    Kind,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    Report,
    SubmitResult,
)
from bindings.lorawan.chirpstack.client import ChirpStackClient
from bindings.lorawan.chirpstack.queue import Item, Queues
from bindings.lorawan.chirpstack.transport import CallFailed
from bindings.lorawan.records import Records
from bindings.lorawan.settings import LorawanSettings
from bridge.errors import BridgeError

log = logging.getLogger(__name__)

FLUSH_SPARES_PENDING = (4, 18)  # ChirpStack version from which flush_queue leaves a pending item alone
IN_FLIGHT = 30.0  # seconds after an uplink in which a frame may be at a gateway: RX1 delay is 15 s at most
_STOP_PATIENCE = 5.0  # seconds
_NO_CONNECTION_PAUSE = 1.0  # seconds until a downlink for which no connection was free is tried again
UNKNOWN_DEVICE_PAUSE = 60.0  # seconds until a downlink for a device that ChirpStack does not know is tried again

_REFUSALS = {
    # Nothing against this downlink, so no attempt of it (R3): keys and devices can be mended.
    grpc.StatusCode.UNAUTHENTICATED: Refusal.UNREACHABLE,
    grpc.StatusCode.PERMISSION_DENIED: Refusal.UNREACHABLE,
    grpc.StatusCode.UNAVAILABLE: Refusal.UNREACHABLE,
    grpc.StatusCode.NOT_FOUND: Refusal.UNREACHABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Refusal.RATE_LIMITED,
    grpc.StatusCode.INVALID_ARGUMENT: Refusal.REJECTED,
    grpc.StatusCode.UNIMPLEMENTED: Refusal.REJECTED,
}


def version_of(text: str) -> tuple[int, int]:
    """Read the first two numbers of a version such as 4.20.0-test.1; (0, 0) if there are none."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


class Downlinks:
    """All downlinks of one network instance."""

    def __init__(
        self, settings: LorawanSettings, client: ChirpStackClient, records: Records, queues: Queues, events: Events
    ) -> None:
        self._settings = settings.downlinks
        self._assumed = settings.api.version
        self._client = client
        self._records = records
        self._queues = queues
        self._events = events
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling: set[str] = set()
        self.version = ""

    async def stop(self) -> None:
        """Let what is being told be told; a history that takes longer to read is left to the next start."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_STOP_PATIENCE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def ping(self) -> bool:
        """Ask for the version: is ChirpStack there?"""
        try:
            version = await self._client.version()
        except CallFailed as error:
            self._events.count("lorawan_api_errors", code=error.code.name)
            log.warning("ChirpStack does not answer as it should: %s", error, extra={"sample": "chirpstack ping"})
            return self._client.up is not False
        told = bool(version)
        version = version or self._assumed
        if version != self.version:
            log.info("ChirpStack is version %s", version if told else f"{version}, as api.version says")
            self.version = version
            if version_of(version) < FLUSH_SPARES_PENDING and self._settings.flush_for_answers:
                log.warning("ChirpStack %s cannot let answers pass requests: 4.18 or newer can", version)
        return True

    # Submit

    async def submit(self, attempt: Attempt, largest: int | None) -> SubmitResult:
        """Enqueue an attempt; `largest` is what fits at the device's data rate now (R25)."""
        device, now = attempt.device, self._events.now()
        if largest is not None and len(attempt.payload) > largest:
            return Refused(Refusal.TOO_LARGE, f"{len(attempt.payload)} bytes, {largest} fit at this data rate")
        if attempt.deadline is not None and attempt.deadline <= now:
            return Refused(Refusal.EXPIRED, "the deadline has passed")
        record = self._records.get(device)
        item = api.DeviceQueueItem(
            dev_eui=device,
            confirmed=attempt.confirmed,
            f_port=(record.f_port if record is not None else 0) or self._settings.f_port,
            data=attempt.payload,
        )
        if attempt.deadline is not None:
            item.expires_at.CopyFrom(_timestamp(attempt.deadline))
        passed = self._passed_by(attempt)
        self._queues.expect(device)
        try:
            handle = await self._client.enqueue(item, flush=bool(passed))
            self._queues.add(device, handle, Item(attempt.kind, attempt.repeatable, attempt.confirmed))
        except CallFailed as error:
            return self._failed(device, error, passed)
        finally:
            self._queues.expect_no_more(device)
        self._passed(device, passed)
        return Accepted(handle, NetworkState.BUFFERED)

    def _passed_by(self, attempt: Attempt) -> list[str]:
        """Give the requests that this attempt may pass: none, unless it is an answer that would else be too late."""
        if attempt.kind is not Kind.ANSWER or not self._settings.flush_for_answers:
            return []
        if version_of(self.version) < FLUSH_SPARES_PENDING:
            return []
        return self._queues.flushable(attempt.device)

    def _passed(self, device: str, handles: list[str]) -> None:
        for handle in handles:
            self._queues.drop(device, handle)
            self._events.count("lorawan_requests_passed")
            self._tell(Flushed(device, "made way for an answer", handle))

    def _failed(self, device: str, error: CallFailed, passed: list[str]) -> SubmitResult:
        self._events.count("lorawan_submit_errors", code=error.code.name)
        if passed and (error.unsure or not error.out_of_reach):
            self.settle(device)  # the queue is flushed before the item is added, and stays so if that fails
        if error.unsure:
            return Ambiguous(str(error))
        why = _REFUSALS.get(error.code, Refusal.FAILED)
        retry_at = None
        if why is Refusal.UNREACHABLE:
            retry_at = self._events.now() + self._pause_after(error)
        return Refused(why, str(error), retry_at)

    def _pause_after(self, error: CallFailed) -> float:
        if not error.tried:
            return _NO_CONNECTION_PAUSE
        return UNKNOWN_DEVICE_PAUSE if error.code is grpc.StatusCode.NOT_FOUND else self._settings.unreachable_pause

    # Look-up

    async def lookup(self, attempt: Attempt) -> Lookup:
        """Find the attempt in the queue by FPort and bytes; presence proves that it was taken (R9)."""
        self._queues.expect(attempt.device)
        try:
            return self._found(attempt, await self._client.queue(attempt.device))
        except CallFailed as error:
            if error.out_of_reach or error.unsure:
                return Lookup(Presence.FAILED)
            return Lookup(Presence.ABSENT if error.code is grpc.StatusCode.NOT_FOUND else Presence.FAILED)
        finally:
            self._queues.expect_no_more(attempt.device)

    def _found(self, attempt: Attempt, items: list[api.DeviceQueueItem]) -> Lookup:
        record = self._records.get(attempt.device)
        f_port = (record.f_port if record is not None else 0) or self._settings.f_port
        known = self._queues.of(attempt.device)
        for item in reversed(items):
            if item.data == attempt.payload and item.f_port == f_port and item.id not in known:
                self._queues.add(attempt.device, item.id, Item(attempt.kind, attempt.repeatable, attempt.confirmed))
                return Lookup(Presence.PRESENT, item.id)
        return Lookup(Presence.ABSENT)

    # Cancel

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """Drop the queue if everything in it is ours, and say REMOVED only where no frame can be on its way.

        A frame that a gateway already has is not in the queue's view: flushed before the gateway answers, it is sent
        without a trace. So after an uplink, and for classes that are sent to at any time, the result is UNKNOWN.
        """
        try:
            items = await self._client.queue(device)
            item = next((one for one in items if one.id == handle), None)
            if item is None:
                return Cancellation.UNKNOWN  # it left, or somebody dropped it; an event may still say which
            if item.is_pending:
                return Cancellation.GONE  # sent, the device's acknowledgement is awaited
            known = self._queues.of(device)
            foreign = [one for one in items if one.id not in known and one.id != handle]
            if foreign or any(one.is_pending for one in items):
                self._events.count("lorawan_cancels_hindered")
                return await self._expired_in_place(device, item)
            before = await self._client.get_device(device)
            await self._client.flush(device)
            after = await self._client.get_device(device)
        except CallFailed as error:
            log.info("cancel for %s: %s", device, error, extra={"sample": "lorawan cancel"})
            return Cancellation.UNKNOWN
        self._queues.drop(device, handle)
        for other in self._queues.drop_all(device):
            self._tell(Flushed(device, "dropped together with a cancelled downlink", other))
        quiet = self._is_quiet(before) and self._is_quiet(after)
        return Cancellation.REMOVED if quiet else Cancellation.UNKNOWN

    async def _expired_in_place(self, device: str, item: api.DeviceQueueItem) -> Cancellation:
        """An item past its own expiry is never sent, wherever it stands: ChirpStack deletes it at the next window."""
        if not item.HasField("expires_at") or item.expires_at.ToNanoseconds() / 1e9 > self._events.now():
            return Cancellation.UNKNOWN
        quiet = self._is_quiet(await self._client.get_device(device))
        return Cancellation.REMOVED if quiet else Cancellation.UNKNOWN

    def _is_quiet(self, found: api.GetDeviceResponse) -> bool:
        """Whether no frame for the device can be on its way: class A, and no uplink lately."""
        if found.class_enabled != common.CLASS_A:
            return False
        if not found.HasField("last_seen_at"):
            return True
        return self._events.now() - found.last_seen_at.ToNanoseconds() / 1e9 > IN_FLIGHT

    # Items without news

    def settle(self, device: str, first: Callable[[str], Awaitable[None]] | None = None) -> None:
        """Find out what became of downlinks that should have left: `first` brings missed events, the queue the rest."""
        if device in self._settling:
            return
        self._settling.add(device)
        self._begin(self._settle(device, first))

    async def _settle(self, device: str, first: Callable[[str], Awaitable[None]] | None) -> None:
        try:
            waiting = list(self._queues.of(device))
            if first is not None:
                await first(device)
            present = {item.id for item in await self._client.queue(device)}
        except (CallFailed, BridgeError) as error:
            log.info("the queue of %s is not known: %s", device, error, extra={"sample": "lorawan settle"})
            return
        finally:
            self._settling.discard(device)
        for handle, item in list(self._queues.of(device).items()):
            if handle in present:
                item.uplinks = 0  # something else went first
            elif handle in waiting:
                self._queues.drop(device, handle)
                self._events.count("lorawan_downlinks_without_report")
                self._tell(Report(device, handle, None, "it left ChirpStack's queue, and no event said how"))

    def _tell(self, event: BindingEvent) -> None:
        self._begin(self._deliver(event))

    async def _deliver(self, event: BindingEvent) -> None:
        try:
            await self._events.deliver(event)
        except BridgeError as error:
            log.warning("not noted: %s", error, extra={"sample": "lorawan report"})

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _timestamp(moment: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(int(moment * 1_000_000))
    return stamp
