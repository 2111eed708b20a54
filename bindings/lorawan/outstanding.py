"""The bridge's downlinks in the network server's queues, from the notes of the devices.

A network server such as ChirpStack can only remove a whole queue: a downlink is removed together with
all others.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from heapq import heappop, heappush
from itertools import islice

from bindings.contract import Kind
from bindings.lorawan.notes import DeviceNote, DeviceNotes, Queued

_REMEMBERED = 16  # downlinks of one device that are sent during one call; a queue rarely has more than two
_MOST = 32  # downlinks recorded for one device; the oldest is forgotten first
_HEARD = 8192  # devices whose last uplink is remembered; the one that was silent longest is forgotten first


class Outstanding:
    """The queues of all devices. `monotonic` returns seconds of the monotonic clock.

    Its data are in the device's note, which must be in memory (`DeviceNotes.get`, or its endpoint is).
    """

    def __init__(self, records: DeviceNotes, monotonic: Callable[[], float]) -> None:
        self._records = records
        self._monotonic = monotonic
        self._busy: dict[str, int] = {}  # devices with downlinks queued by this process, and how many
        self._heard: dict[str, float] = {}  # when a device was last heard, on the monotonic clock
        self._met: dict[str, float] = {}  # of devices that were not heard yet, when `since` was first asked for
        self._left: dict[str, dict[str, bool]] = {}  # True: confirmed ones, too

    def expect(self, device: str) -> None:
        """Record that a call for a downlink runs, and that events about it may come before the answer."""
        self._left[device] = {}

    def expect_no_more(self, device: str) -> None:
        """Record that the answer came and was added."""
        self._left.pop(device, None)

    def add(self, device: str, item_id: str, item: Queued) -> bool:
        """Record a queued downlink, unless an event said that it was sent; return whether it was recorded."""
        left = self._left.get(device, {}).get(item_id)
        record = self._records.held(device)
        if record is None or (left is not None and (not item.confirmed or left)):
            return False
        if len(record.queued) >= _MOST:
            del record.queued[next(iter(record.queued))]
        record.queued[item_id] = item
        self._busy[device] = len(record.queued)
        self._records.changed(device, record)
        return True

    def transmitted(self, device: str, item_id: str) -> None:
        """Record that a gateway has a downlink: it leaves the queue, unless it is confirmed: then it waits there."""
        item = self.of(device).get(item_id)
        if item is None:
            self._gone(device, item_id, confirmed=False)
        elif not item.confirmed:
            self.drop(device, item_id)

    def drop(self, device: str, item_id: str) -> Queued | None:
        """Remove a downlink that left the queue; return its record."""
        record = self._records.held(device)
        item = record.queued.pop(item_id, None) if record is not None else None
        if item is None or record is None:
            self._gone(device, item_id, confirmed=True)
            return None
        self._changed(device, record)
        return item

    def _gone(self, device: str, item_id: str, *, confirmed: bool) -> None:
        left = self._left.get(device)
        if left is not None and (item_id in left or len(left) < _REMEMBERED):
            left[item_id] = confirmed or left.get(item_id, False)

    def drop_all(self, device: str) -> list[str]:
        """Record that a queue is empty; return what was in it."""
        record = self._records.held(device)
        if record is None or not record.queued:
            return []
        dropped = list(record.queued)
        record.queued.clear()
        self._changed(device, record)
        return dropped

    def _changed(self, device: str, record: DeviceNote) -> None:
        if not record.queued:
            self._busy.pop(device, None)
        elif device in self._busy:
            self._busy[device] = len(record.queued)
        self._records.changed(device, record)

    def of(self, device: str) -> dict[str, Queued]:
        """Return the downlinks in a device's queue, oldest first."""
        record = self._records.held(device)
        return {} if record is None else record.queued

    def flushable(self, device: str) -> list[str]:
        """Return the requests before which an answer may be sent: all that wait, or none if one of them must stay.

        An older answer is sent first. A message that must not reach the device twice is never removed: its frame may
        already be at a gateway. Neither is a confirmed downlink, which may be pending and would stay in the queue.
        """
        items = self.of(device)
        if all(item.kind is Kind.REQUEST and item.repeatable and not item.confirmed for item in items.values()):
            return list(items)
        return []

    def heard(self, device: str) -> None:
        """Record an uplink: each may have caused queued downlinks to be sent."""
        self._heard.pop(device, None)
        self._heard[device] = self._monotonic()
        if len(self._heard) > _HEARD:
            del self._heard[next(iter(self._heard))]
        for item in self.of(device).values():
            item.uplinks += 1

    def is_late(self, device: str) -> bool:
        """Return whether a downlink is queued that should have been sent after an uplink before the last one."""
        return any(item.uplinks > 2 + item.confirmed for item in self.of(device).values())

    def last_heard(self, most: int) -> list[str]:
        """Return the devices that this process heard last, the latest first."""
        return list(islice(reversed(self._heard), most))

    def since(self, device: str) -> float | None:
        """Return how many seconds ago this process last heard a device; None: not known, its note says it.

        On several nodes the time in the note may be of another node's clock, and proves nothing: a device that this
        process has not heard counts as heard when this is first asked.
        """
        last = self._heard.get(device)
        if last is None and self._records.is_shared:
            last = self._met.setdefault(device, self._monotonic())
            if len(self._met) > _HEARD:
                del self._met[next(iter(self._met))]
        return None if last is None else self._monotonic() - last

    def release(self, devices: Iterable[str]) -> None:
        """Forget devices that another node serves from now on; their notes have their queues."""
        for device in devices:
            for of_device in (self._busy, self._heard, self._met, self._left):
                of_device.pop(device, None)

    @property
    def count(self) -> int:
        """Return the number of downlinks that this process knows to be queued."""
        return sum(self._busy.values())


class DoubtfulDevices:
    """Devices with downlinks in doubt, for the `Reconciler`."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._some = asyncio.Event()

    def add(self, device: str) -> None:
        """Add a device, unless it is there already."""
        self._waiting[device] = None
        self._some.set()

    async def next_device(self) -> str:
        """Wait for a device, and return the one that waits longest."""
        await self._some.wait()
        device = next(iter(self._waiting))
        del self._waiting[device]
        if not self._waiting:
            self._some.clear()
        return device


class QueuesToRead:
    """Devices whose queue must be read after the receive windows of their last uplink."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._due: list[tuple[float, str]] = []
        self._changed = asyncio.Event()

    def add(self, device: str, after: float) -> None:
        """Add a device whose queue must be read `after` seconds from now."""
        heappush(self._due, (self._monotonic() + after, device))
        if self._due[0][1] == device:
            self._changed.set()

    async def next_device(self) -> str:
        """Wait for the earliest time, and return its device."""
        while True:
            self._changed.clear()
            left = self._due[0][0] - self._monotonic() if self._due else None
            if left is not None and left <= 0:
                return heappop(self._due)[1]
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()
