"""What of ours is in ChirpStack's queues, as far as this process knows: whether an answer may pass a request.

ChirpStack can drop a whole queue or nothing, so a downlink is only ever dropped together with all others.
"""

from dataclasses import dataclass, field

from bindings.contract import Kind

_REMEMBERED = 16  # downlinks of one device that leave during one question; a queue rarely has more than two


@dataclass(slots=True)
class Item:
    """One downlink in a queue."""

    kind: Kind
    repeatable: bool
    confirmed: bool
    uplinks: int = 0  # heard since it was queued: each could have let it out


@dataclass(slots=True)
class Queues:
    """All queues with something of ours in them. Handles are ChirpStack's queue item ids."""

    _devices: dict[str, dict[str, Item]] = field(default_factory=dict)
    _left: dict[str, dict[str, bool]] = field(default_factory=dict)  # True: confirmed ones, too

    def expect(self, device: str) -> None:
        """Note that ChirpStack is being asked about a downlink, and that events may tell of it before the answer."""
        self._left[device] = {}

    def expect_no_more(self, device: str) -> None:
        """Note that the answer is there, and added."""
        self._left.pop(device, None)

    def add(self, device: str, handle: str, item: Item) -> None:
        """Note a downlink that ChirpStack took, unless an event has said already that it left."""
        left = self._left.get(device, {}).get(handle)
        if left is None or (item.confirmed and not left):
            self._devices.setdefault(device, {})[handle] = item

    def sent(self, device: str, handle: str) -> None:
        """Note that a downlink went to a gateway: it leaves the queue, but for a confirmed one, which waits there."""
        item = self.of(device).get(handle)
        if item is None:
            self._gone(device, handle, confirmed=False)
        elif not item.confirmed:
            self.drop(device, handle)

    def drop(self, device: str, handle: str) -> None:
        """Note that a downlink left the queue."""
        items = self._devices.get(device)
        if items is None or items.pop(handle, None) is None:
            self._gone(device, handle, confirmed=True)
        elif not items:
            del self._devices[device]

    def _gone(self, device: str, handle: str, *, confirmed: bool) -> None:
        left = self._left.get(device)
        if left is not None and (handle in left or len(left) < _REMEMBERED):
            left[handle] = confirmed or left.get(handle, False)

    def drop_all(self, device: str) -> list[str]:
        """Note that a queue is empty; gives what was in it."""
        return list(self._devices.pop(device, ()))

    def of(self, device: str) -> dict[str, Item]:
        """Give what is in a device's queue, oldest first."""
        return self._devices.get(device, {})

    def flushable(self, device: str) -> list[str]:
        """Give the requests that an answer may pass: all that wait, or none if one of them must stay.

        An older answer keeps its place, and what must not reach the device twice is never taken back: the frame may
        already be at a gateway. Nor is a confirmed downlink, which may be pending and would stay in ChirpStack's queue.
        """
        items = self.of(device)
        if all(item.kind is Kind.REQUEST and item.repeatable and not item.confirmed for item in items.values()):
            return list(items)
        return []

    def heard(self, device: str) -> bool:
        """Count an uplink; whether something is in the queue that should have left with the one before."""
        late = False
        for item in self.of(device).values():
            item.uplinks += 1
            late = late or item.uplinks > 2 + item.confirmed
        return late

    @property
    def count(self) -> int:
        """Give the number of downlinks in all queues."""
        return sum(len(items) for items in self._devices.values())
