"""What is certain of a downlink that the network server no longer has, or that is to be removed.

`proofs` has the proofs by frame counters; this module reads the counters in the order that the proofs need.
"""

import logging

from bindings.contract import Cancellation, Events
from bindings.lorawan import proofs
from bindings.lorawan.clock import NetworkClock
from bindings.lorawan.network_events import Discarded
from bindings.lorawan.notes import DeviceNotes, WhenQueued
from bindings.lorawan.outstanding import Outstanding
from bindings.lorawan.proofs import DeviceKnowledge
from bindings.lorawan.provider import Provider, QueuedItem
from bridge.errors import CallFailed

log = logging.getLogger(__name__)


class Evidence:
    """The evidence of one network instance's downlinks."""

    def __init__(
        self, provider: Provider, records: DeviceNotes, outstanding: Outstanding, clock: NetworkClock, events: Events
    ) -> None:
        self._provider = provider
        self._records = records
        self._outstanding = outstanding
        self._clock = clock
        self._events = events

    async def of_absent(self, device: str, item_id: str) -> Cancellation:
        """Return what became of an item that is not in the queue. Raises CallFailed."""
        before = self._before(device, item_id)
        if before is None:
            return Cancellation.UNKNOWN  # it was transmitted, or somebody flushed it; an event may still say which
        unsent = proofs.removed_unsent(before, await self._provider.snapshot(device))
        return Cancellation.REMOVED if unsent else Cancellation.UNKNOWN

    async def of_flushed(self, device: str, item: QueuedItem, known: DeviceKnowledge) -> Cancellation:
        """Flush the queue from which an item was just read, and return what became of the item. Raises CallFailed.

        `known`: from before the queue was read.
        """
        before = self._before(device, item.id)
        first = await self._provider.snapshot(device)
        await self._provider.flush(device)
        if proofs.was_scheduled(item):
            return Cancellation.GONE
        second = await self._provider.snapshot(device)
        kept_back = proofs.kept_back(item, before, known, first, second)
        return Cancellation.REMOVED if kept_back else Cancellation.UNKNOWN

    async def of_unremovable(self, device: str, item: QueuedItem, known: DeviceKnowledge) -> Cancellation:
        """Return what becomes of an item just read from a queue that must not be flushed. Raises CallFailed.

        After its expiry it is never transmitted, at any position: it is deleted at the next opportunity. `known`:
        from before the queue was read.
        """
        if proofs.was_scheduled(item):
            return Cancellation.GONE
        if item.expires_at is None or not self._clock.has_passed(item.expires_at, self._events.now()):
            return Cancellation.UNKNOWN
        snapshot = await self._provider.snapshot(device)
        kept_back = proofs.kept_back(item, self._before(device, item.id), known, snapshot, snapshot)
        return Cancellation.REMOVED if kept_back else Cancellation.UNKNOWN

    async def of_discarded(self, event: Discarded) -> bool:
        """Return whether an item that the network server discarded was certainly never transmitted."""
        before = self._before(event.device, event.item)
        if before is None or not before.quiet:
            return False
        try:
            now = await self._provider.snapshot(event.device)
        except CallFailed as error:
            log.info(
                "what became of a downlink of device %s cannot be found out: %s",
                event.device,
                error,
                extra={"sample": "lorawan evidence"},
            )
            return False
        return proofs.discarded_unsent(event.why, before, now)

    async def settle(self, device: str) -> float | None:
        """Record which items of a device are still queued and were certainly not transmitted. Raises CallFailed.

        If the network server discards them later, it is certain that they were not transmitted. Return the
        seconds until the receive windows of the last uplink have ended, when to ask again; None: not needed.
        """
        record = await self._records.get(device)
        items = self._outstanding.of(device).items()
        noted = {key: one for key, one in items if one.before is not None and proofs.may_settle(one.before)}
        if not noted or record is None:
            return None
        known = self.known(device)
        if known.open_for > 0:
            return known.open_for
        now = await self._provider.snapshot(device)
        for item in await self._provider.queue(device):
            one = noted.get(item.id)
            if one is not None and one.before is not None:
                one.before = proofs.settled(one.before, known, item, now) or one.before
                self._records.changed(device, record)
        return None

    def when_queued(self, device: str) -> WhenQueued:
        """Return what is known of a device when a downlink is queued."""
        known, record = self.known(device), self._records.held(device)
        device_class = record.device_class if record is not None else "A"
        return WhenQueued(known.dev_addr, known.next_up, known.open_for <= 0, known.counting, device_class)

    def known(self, device: str) -> DeviceKnowledge:
        """Return what is known of a device now."""
        record = self._records.held(device)
        if record is None:
            return DeviceKnowledge("", 0, counting=False, open_for=proofs.LONGEST)
        since = self._outstanding.since(device)
        # Our clock may have been set back since, while no process ran: then the uplink counts as one of just now.
        age = max(self._events.now() - record.heard_at, 0.0) if since is None else since
        open_for = proofs.in_flight(record, self._records.profile(record.profile)) - age
        return DeviceKnowledge(record.dev_addr, record.highest + 1, record.counting, open_for)

    def _before(self, device: str, item_id: str) -> WhenQueued | None:
        noted = self._outstanding.of(device).get(item_id)
        return noted.before if noted is not None else None
