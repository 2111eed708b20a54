"""Events of networks that came directly wait while earlier posts about the same shards are taken out of the inbox."""

from collections import Counter, deque
from collections.abc import Callable, Iterable

from bindings.contract import MISS, Miss
from bridge.directory import EndpointRecord
from bridge.directory.keys import ByDevice

Cached = Callable[[ByDevice], EndpointRecord | Miss]


class InboxOrder:
    """Closed for the shards whose posts are being read. `cached` returns a device's endpoint if it is in memory.

    A device whose shard is not known yet waits for all of them.
    """

    def __init__(self, cached: Cached) -> None:
        self._cached = cached
        self._closed: Counter[int] = Counter()  # shards, and how often each was closed
        self._waiting: deque[tuple[ByDevice, Callable[[], None]]] = deque()
        self._devices: set[ByDevice] = set()  # of which an event waits

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_open(self) -> bool:
        """Return whether no event has to wait."""
        return not self._closed

    def close(self, shards: Iterable[int]) -> None:
        """Let events of devices of these shards wait, until `open` was called as often."""
        self._closed.update(shards)

    def open(self, shards: Iterable[int]) -> None:
        """Let the events that wait for these shards go on, in the order in which they came."""
        self._closed.subtract(shards)
        self._closed = +self._closed
        waiting, self._waiting = self._waiting, deque()
        self._devices.clear()
        for device, go in waiting:
            self.enter(device, go)

    def enter(self, device: ByDevice, go: Callable[[], None]) -> None:
        """Call `go`, which handles an event of this device: now, or when the posts before it are taken."""
        if self._has_to_wait(device):
            self._waiting.append((device, go))
            self._devices.add(device)
        else:
            go()

    def _has_to_wait(self, device: ByDevice) -> bool:
        if self.is_open:
            return False
        record = self._cached(device)
        return record is MISS or record.shard in self._closed or device in self._devices
