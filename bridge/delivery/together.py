"""Whether devices are refused together and taken together: then the limit is the network's, whatever its words say.

A network may word a limit on all its messages as one of the device (403 QUOTA_EXCEEDED). That it refuses one device
after the other makes it a suspicion. The proof is that devices which were refused are taken one after the other as soon
as one is, until one of them is refused again that got nothing meanwhile. Devices at limits of their own come back one
by one; or all at once where these limits end at the same time, but then each of them gets something. No I/O; times are
monotonic seconds.
"""

from collections import OrderedDict

SUSPICIOUS = 16  # devices that are refused one after the other
WINDOW = 600.0  # seconds in which they are refused, or taken again
ENOUGH = 8  # devices that were taken together, each time less one
KEPT = 4096  # devices that are remembered of those refused one after the other


class RefusedDevices:
    """What is known of devices that one network refuses and takes for a limit that it says is the device's."""

    __slots__ = (
        "_back",
        "_back_since",
        "_came",
        "_evidence",
        "_is_over",
        "_latest",
        "_refused",
        "_were_refused",
        "is_proven",
        "is_suspected",
    )

    def __init__(self) -> None:
        self.is_suspected = False  # one device after the other is refused now
        self.is_proven = False  # it is a limit of the network
        self._refused: OrderedDict[int, float] = OrderedDict()  # since a message was taken: endpoints, and when
        self._latest: OrderedDict[int, float] = OrderedDict()  # SUSPICIOUS of them
        self._were_refused: OrderedDict[int, float] = OrderedDict()  # until then, if that made it suspicious
        self._back: set[int] = set()  # those of them that were taken since
        self._back_since = 0.0
        self._came = 0  # how many of these were taken one after the other
        self._is_over = False  # one of these was refused again
        self._evidence = 0

    @property
    def is_active(self) -> bool:
        """Return whether `taken` has to be called."""
        return bool(self._refused or self._were_refused)

    def refused(self, endpoint: int, now: float) -> None:
        """Record that the network refused a device's message for a limit that it says is the device's."""
        if endpoint in self._back:
            self._is_over = True  # it may have used up a limit of its own
        elif endpoint in self._were_refused:
            self._count()
        _remember(self._refused, endpoint, now, KEPT)
        _remember(self._latest, endpoint, now, SUSPICIOUS)
        earliest = next(iter(self._latest.values()))
        self.is_suspected = self.is_suspected or (len(self._latest) == SUSPICIOUS and now - earliest <= WINDOW)

    def taken(self, endpoint: int, now: float) -> None:
        """Record that the network took a device's message."""
        if self._refused:
            if self.is_suspected:
                self._were_refused, self._refused, self._back_since = self._refused, OrderedDict(), now
                self._back, self._came, self._is_over = set(), 0, False
            self._refused.clear()
            self._latest.clear()
            self.is_suspected = False
        if endpoint in self._were_refused:
            self._back.add(endpoint)
            if not self._is_over and now - self._back_since <= WINDOW:
                self._came = len(self._back)

    def _count(self) -> None:
        """Add what came of the devices that were taken one after the other: one alone proves nothing."""
        self._evidence = self._evidence + self._came - 1 if self._came > 1 else 0
        self.is_proven = self.is_proven or self._evidence >= ENOUGH
        self._back.clear()
        self._were_refused.clear()


def _remember(kept: OrderedDict[int, float], endpoint: int, value: float, most: int) -> None:
    """Keep a value as the latest one, of at most so many endpoints."""
    kept[endpoint] = value
    kept.move_to_end(endpoint)
    if len(kept) > most:
        kept.popitem(last=False)
