"""What of ours is in the network server's queues, as far as this process knows.

A network server such as ChirpStack can remove a whole queue or nothing: a downlink is only ever removed together with
all others.
"""

import asyncio
from dataclasses import dataclass, field

from bindings.contract import Kind

_REMEMBERED = 16  # downlinks of one device that leave during one call; a queue rarely has more than two


@dataclass(slots=True)
class Item:
    """One downlink in a queue."""

    kind: Kind
    repeatable: bool
    confirmed: bool
    uplinks: int = 0  # heard since it was queued: each could have let it out


@dataclass(slots=True)
class Outstanding:
    """All queues with something of ours in them, by device and queue item id."""

    _devices: dict[str, dict[str, Item]] = field(default_factory=dict)
    _left: dict[str, dict[str, bool]] = field(default_factory=dict)  # True: confirmed ones, too

    def expect(self, device: str) -> None:
        """Note that a call about a downlink is under way, and that events may tell of it before the answer."""
        self._left[device] = {}

    def expect_no_more(self, device: str) -> None:
        """Note that the answer is there, and added."""
        self._left.pop(device, None)

    def add(self, device: str, item_id: str, item: Item) -> None:
        """Note a downlink that was queued, unless an event has said already that it left."""
        left = self._left.get(device, {}).get(item_id)
        if left is None or (item.confirmed and not left):
            self._devices.setdefault(device, {})[item_id] = item

    def transmitted(self, device: str, item_id: str) -> None:
        """Note that a gateway has a downlink: it leaves the queue, but for a confirmed one, which waits there."""
        item = self.of(device).get(item_id)
        if item is None:
            self._gone(device, item_id, confirmed=False)
        elif not item.confirmed:
            self.drop(device, item_id)

    def drop(self, device: str, item_id: str) -> None:
        """Note that a downlink left the queue."""
        items = self._devices.get(device)
        if items is None or items.pop(item_id, None) is None:
            self._gone(device, item_id, confirmed=True)
        elif not items:
            del self._devices[device]

    def _gone(self, device: str, item_id: str, *, confirmed: bool) -> None:
        left = self._left.get(device)
        if left is not None and (item_id in left or len(left) < _REMEMBERED):
            left[item_id] = confirmed or left.get(item_id, False)

    def drop_all(self, device: str) -> list[str]:
        """Note that a queue is empty; return what was in it."""
        return list(self._devices.pop(device, ()))

    def of(self, device: str) -> dict[str, Item]:
        """Return what is in a device's queue, oldest first."""
        return self._devices.get(device, {})

    def flushable(self, device: str) -> list[str]:
        """Return the requests that an answer may pass: all that wait, or none if one of them must stay.

        An older answer goes first, and what must not reach the device twice is never taken back: the frame may already
        be at a gateway. Nor is a confirmed downlink, which may be pending and would stay in the queue.
        """
        items = self.of(device)
        if all(item.kind is Kind.REQUEST and item.repeatable and not item.confirmed for item in items.values()):
            return list(items)
        return []

    def heard(self, device: str) -> bool:
        """Count an uplink; return whether something is queued that should have left with the one before."""
        late = False
        for item in self.of(device).values():
            item.uplinks += 1
            late = late or item.uplinks > 2 + item.confirmed
        return late

    @property
    def count(self) -> int:
        """Return the number of downlinks in all queues."""
        return sum(len(items) for items in self._devices.values())


class Doubts:
    """Devices with downlinks of unknown fate. Whoever notices one puts it here; the `Reconciler` takes it."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._some = asyncio.Event()

    def put(self, device: str) -> None:
        """Have a device looked into, soon; once, however often it is put."""
        self._waiting[device] = None
        self._some.set()

    async def take(self) -> str:
        """Return the device that waits longest; wait for one."""
        await self._some.wait()
        device = next(iter(self._waiting))
        del self._waiting[device]
        if not self._waiting:
            self._some.clear()
        return device
