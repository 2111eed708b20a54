"""The limits that one network was seen to keep: for all its devices together, and for single ones. No I/O.

Bounded: as many devices are remembered as were refused last.
"""

from collections import OrderedDict

import msgspec

from bindings.contract import LimitOf
from bridge.delivery.breaker import LONGEST_WISH as LONGEST_NETWORK_WISH
from bridge.delivery.pace import ASK_AGAIN, MOMENT, Pace
from bridge.delivery.together import ENOUGH, Together

DEVICES = 4096  # whose limits are remembered
FIRST_SPACE, LONGEST_SPACE = 1.0, 10.0  # seconds between two calls while devices are refused one after the other

LONGEST_SHARE = 900.0  # seconds
_GOLDEN = 0.6180339887  # multiples of it are spread evenly over [0, 1)


class Limited(msgspec.Struct, frozen=True):
    """What is known of a limit, in words, and the seconds until the next message may go."""

    why: str
    wait: float


class Paces:
    """Delays what a network would only refuse. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._network: Pace | None = None
        self._devices: OrderedDict[int, Pace] = OrderedDict()  # by endpoint, the one refused last at the end
        self._together = Together()
        self._shared: Pace | None = None  # what devices were seen to get together, since a limit of all was suspected
        self._asking: set[int] = set()  # endpoints that were told to wait for it since one was not
        self._beyond = 0  # messages in a row that the network took while the shared limit was taken to be used up
        self._space = 0.0
        self._next_at = 0.0

    @property
    def is_active(self) -> bool:
        """Whether anything was refused for a limit lately."""
        return bool(self._devices) or self._network is not None or self._shared is not None

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

    def device(self, endpoint: int, now: float, under_way: int = 0) -> Limited | None:
        """Return why a device gets nothing now; None: it may get a message. `under_way`: calls that its network got."""
        known = self._devices.get(endpoint)
        if known is None:
            return None
        wait = known.wait(now)
        for_all = self._wait_for_all(now, under_way)
        if not for_all:
            self._asking.clear()
        elif self._shared is not None:
            if len(self._asking) < DEVICES:
                self._asking.add(endpoint)
            for_all += self._share_of(endpoint, now, self._shared)
            if for_all > wait:
                return Limited(_text("the network, of all devices that it refused,", self._shared), for_all)
        return Limited(_text("the network, of this device,", known), wait) if wait else None

    def _wait_for_all(self, now: float, under_way: int) -> float:
        """Return the seconds to wait for a limit of all that was proven, though the network says it is the device's."""
        shared = self._shared
        if shared is None or not self._together.is_proven:
            return 0.0
        return shared.wait(now, under_way) or (ASK_AGAIN if shared.is_refusing and under_way else 0.0)

    def _share_of(self, endpoint: int, now: float, shared: Pace) -> float:
        """Return seconds by which devices that wait for the same limit ask one after the other, not all at once."""
        if not shared.most:
            return 0.0
        spread = (endpoint * _GOLDEN + now) % 1.0
        return spread * min(len(self._asking) * shared.period / shared.most / 2, LONGEST_SHARE)

    def taken(self, endpoint: int, now: float) -> None:
        """Note that the network took a message."""
        self._space = self._next_at = 0.0
        self._asking.discard(endpoint)
        self._together.taken(endpoint, now)
        device = self._devices.get(endpoint)
        if self._shared is not None:
            if device is None and self._wait_for_all(now, 0):
                self._beyond += 1
            self._shared.taken(now)
            if self._beyond >= ENOUGH or self._shared.is_forgotten(now):
                self._shared, self._together, self._beyond = None, Together(), 0
        if self._network is not None:
            self._network.taken(now)
            if self._network.is_forgotten(now):
                self._network = None
        if device is not None:
            device.taken(now)
            if device.is_forgotten(now) and self._shared is None:
                del self._devices[endpoint]

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
        self._beyond = 0
        together, shared = self._together, self._shared
        if shared is not None and together.is_proven and shared.is_near_limit(now) and endpoint in self._devices:
            shared.refused(now, wish, LONGEST_NETWORK_WISH)
            return
        self._refuse_device(endpoint, now, wish)
        was_suspected = together.is_suspected
        together.refused(endpoint, now)
        if not together.is_suspected:
            return
        if shared is None:
            shared = self._shared = Pace()
        if together.is_proven:
            shared.refused(now)
        else:  # nobody keeps to it yet
            shared.learn_anew()
            shared.refused(now, MOMENT)  # so that it knows how long it was so, however seldom it was tried
        if was_suspected and now >= self._next_at:  # else the call began before this space did
            self._space = min(max(2 * self._space, FIRST_SPACE), LONGEST_SPACE)
            self._next_at = now + self._space

    def status(self) -> str:
        """Return what is known, for people; "": nothing."""
        found = [] if self._network is None else [_text("the network", self._network)]
        if self._shared is not None and self._together.is_proven:
            found.append(_text("the network, of all devices that it refused,", self._shared))
        elif self._together.is_suspected:
            found.append("one device after the other is refused: the limit may be the network's")
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
            if len(self._devices) <= DEVICES and (self._shared is not None or not pace.is_forgotten(now)):
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
