"""The limits that one network was seen to keep: for all its devices together, and for single ones. No I/O.

Bounded: as many devices are remembered as were refused last.
"""

from collections import OrderedDict

import msgspec

from bindings.contract import LimitOf
from bridge.delivery.breaker import LONGEST_WISH as LONGEST_NETWORK_WISH
from bridge.delivery.pace import Pace

DEVICES = 4096  # whose limits are remembered
SUSPICIOUS = 16  # devices that are refused one after the other: then the limit may be one of the whole network
FIRST_SPACE, LONGEST_SPACE = 1.0, 10.0  # seconds between two calls of such a network, until it takes a message


class Limited(msgspec.Struct, frozen=True):
    """What is known of a limit, in words, and the seconds until the next message may go."""

    why: str
    wait: float


class Paces:
    """Delays what a network would only refuse. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._network: Pace | None = None
        self._devices: OrderedDict[int, Pace] = OrderedDict()  # by endpoint, the one refused last at the end
        self._refused_in_a_row: set[int] = set()  # endpoints, SUSPICIOUS of them at most
        self._space = 0.0
        self._next_at = 0.0

    @property
    def is_active(self) -> bool:
        """Whether anything was refused for a limit lately."""
        return bool(self._devices) or self._network is not None or bool(self._refused_in_a_row)

    @property
    def tries_one(self) -> bool:
        """Whether the network refused what came last: then one message at a time finds out whether it still does."""
        return self._space > 0 or (self._network is not None and self._network.is_refusing)

    def network(self, now: float, under_way: int) -> Limited | None:
        """Return why the network is to be left alone as a whole; None: it is not. `under_way`: calls that it got."""
        known = self._network
        if known is not None:
            wait = known.wait(now, under_way)
            if wait:
                return Limited(_text("the network", known), wait)
        if self._next_at > now:
            return Limited("the network refuses one device after the other for a limit", self._next_at - now)
        return None

    def device(self, endpoint: int, now: float) -> Limited | None:
        """Return why a device gets nothing now; None: it may get a message."""
        known = self._devices.get(endpoint)
        if known is None:
            return None
        wait = known.wait(now)
        return Limited(_text("the network, of this device,", known), wait) if wait else None

    def taken(self, endpoint: int, now: float) -> None:
        """Note that the network took a message."""
        self._refused_in_a_row.clear()
        self._space = self._next_at = 0.0
        if self._network is not None:
            if self._network.is_forgotten(now):
                self._network = None
            else:
                self._network.taken(now)
        device = self._devices.get(endpoint)
        if device is not None:
            if device.is_forgotten(now):
                del self._devices[endpoint]
            else:
                device.taken(now)

    def refused(self, endpoint: int, now: float, wish: float | None, limit_of: LimitOf) -> None:
        """Note that the network refused a message for a limit; `wish`: the seconds that it asked to wait."""
        if limit_of is LimitOf.BINDING:
            return
        known = self._network
        if limit_of is LimitOf.NETWORK or (known is not None and known.is_at_limit(now)):
            if known is None:
                known = self._network = Pace()
            known.refused(now, wish, LONGEST_NETWORK_WISH)
            return
        self._refuse_device(endpoint, now, wish)
        if len(self._refused_in_a_row) < SUSPICIOUS:
            self._refused_in_a_row.add(endpoint)
        elif now >= self._next_at:  # else the call began before this space did
            self._space = min(max(2 * self._space, FIRST_SPACE), LONGEST_SPACE)
            self._next_at = now + self._space

    def status(self) -> str:
        """Return what is known, for people; "": nothing."""
        found = [] if self._network is None else [_text("the network", self._network)]
        if self._devices:
            found.append(f"{len(self._devices)} devices were refused messages for a limit")
        return "; ".join(found)

    def _refuse_device(self, endpoint: int, now: float, wish: float | None) -> None:
        device = self._devices.pop(endpoint, None)
        if device is None or device.is_forgotten(now):
            device = Pace()
        self._devices[endpoint] = device
        device.refused(now, wish)
        while self._devices:
            oldest, pace = next(iter(self._devices.items()))
            if len(self._devices) <= DEVICES and not pace.is_forgotten(now):
                break
            del self._devices[oldest]


def _text(who: str, pace: Pace) -> str:
    if not pace.most:
        return f"{who} refused a message for a limit of its own"
    messages = "one message" if pace.most == 1 else f"{pace.most} messages"
    return f"{who} seems to take {messages} in {_spelled(pace.period)}"


def _spelled(seconds: float) -> str:
    for unit, length in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length and seconds % length == 0:
            number = int(seconds // length)
            return f"a {unit}".replace("a hour", "an hour") if number == 1 else f"{number} {unit}s"
    return f"{seconds:.0f} s"
