"""The limits that one network was seen to keep: for all its devices together, and for single ones. No I/O.

What is known can be kept over a restart: `changes` returns it as records, `restore` takes them over.

Bounded: as many devices are remembered as were refused last.
"""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from bindings.contract import LimitOf
from bridge.delivery.breaker import LONGEST_WISH as LONGEST_NETWORK_WISH
from bridge.delivery.pace import ASK_AGAIN, MOMENT, Pace, PaceRecord
from bridge.delivery.together import ENOUGH, RefusedDevices

DEVICES = 4096  # whose limits are remembered
FIRST_SPACE, LONGEST_SPACE = 1.0, 10.0  # seconds between two calls while devices are refused one after the other

LONGEST_SHARE = 900.0  # seconds
_GOLDEN = 0.6180339887  # multiples of it are spread evenly over [0, 1)


NETWORK = -1  # stands for the network itself among endpoints


class PacesRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one network, or of one device of it, to be kept over a restart."""

    network: PaceRecord | None = None
    shared: PaceRecord | None = None  # of a limit that was proven to be one of all devices
    device: PaceRecord | None = None


class Limited(msgspec.Struct, frozen=True):
    """What is known of a limit, in words, and the seconds until the next message may go."""

    why: str
    wait: float


class Learned(msgspec.Struct, frozen=True):
    """What is known of a limit, in words, and when messages were refused for it, in monotonic seconds."""

    text: str
    first_refused: float | None = None
    last_refused: float | None = None


class Paces:
    """Delays what a network would only refuse. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._network: Pace | None = None
        self._devices: OrderedDict[int, Pace] = OrderedDict()  # by endpoint, the one refused last at the end
        self._together = RefusedDevices()
        self._shared: Pace | None = None  # what devices were seen to get together, since a limit of all was suspected
        self._asking: set[int] = set()  # endpoints that were told to wait for it since one was not
        self._beyond = 0  # messages in a row that the network took while the shared limit was taken to be used up
        self._space = 0.0
        self._next_at = 0.0
        self._changed: set[int] = set()  # endpoints, and NETWORK, of which something else is known than was kept

    @property
    def is_active(self) -> bool:
        """Return whether anything was refused for a limit lately."""
        return bool(self._devices) or self._network is not None or self._shared is not None

    @property
    def tries_one(self) -> bool:
        """Return whether the network refused the latest message: then one at a time finds out whether it still does."""
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
        """Record that the network took a message."""
        self._space = self._next_at = 0.0
        self._asking.discard(endpoint)
        self._together.taken(endpoint, now)
        device = self._devices.get(endpoint)
        if self._shared is not None:
            if device is None and self._wait_for_all(now, 0):
                self._beyond += 1
            self._changed.add(NETWORK)
            self._shared.taken(now)
            if self._beyond >= ENOUGH or self._shared.is_forgotten(now):
                self._forget_shared()
        if self._network is not None:
            self._changed.add(NETWORK)
            self._network.taken(now)
            if self._network.is_forgotten(now):
                self._network = None
        if device is not None:
            self._changed.add(endpoint)
            device.taken(now)
            if device.is_forgotten(now) and self._shared is None:
                del self._devices[endpoint]

    def refused(self, endpoint: int, now: float, wish: float | None, limit_of: LimitOf) -> None:
        """Record that the network refused a message for a limit; `wish`: the seconds that it asked to wait."""
        if limit_of is LimitOf.BINDING:
            return
        known = self._network
        if limit_of is LimitOf.NETWORK or (known is not None and known.is_at_limit(now)):
            if known is None:
                known = self._network = Pace()
            known.refused(now, wish, LONGEST_NETWORK_WISH)
            self._changed.add(NETWORK)
            return
        self._beyond = 0
        together, shared = self._together, self._shared
        if shared is not None and together.is_proven and shared.is_near_limit(now) and endpoint in self._devices:
            shared.refused(now, wish, LONGEST_NETWORK_WISH)
            self._changed.add(NETWORK)
            return
        self._refuse_device(endpoint, now, wish)
        was_suspected = together.is_suspected
        together.refused(endpoint, now)
        if not together.is_suspected:
            return
        self._changed.add(NETWORK)
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

    def learned(self) -> list[Learned]:
        """Return what is known, for people; it is empty if nothing is."""
        found = [] if self._network is None else [_learned("the network", self._network)]
        if self._shared is not None and self._together.is_proven:
            found.append(_learned("the network, of all devices that it refused,", self._shared))
        elif self._together.is_suspected:
            found.append(Learned("one device after the other is refused: the limit may be the network's"))
        if self._devices:
            number = f"{len(self._devices)} devices were" if len(self._devices) > 1 else "one device was"
            latest = max(pace.last_refused for pace in self._devices.values())
            found.append(Learned(f"{number} refused messages for a limit", last_refused=latest))
        return found

    # What is kept over a restart

    def changes(self, now: float, most: int) -> dict[int, PacesRecord | None]:
        """Return what is to be kept now instead of earlier records, by endpoint; None: nothing. At most so many.

        `NETWORK` stands for the network itself. What says nothing any more is forgotten first. What is returned counts
        as kept until `not_kept`.
        """
        self._expire(now)
        changed = [self._changed.pop() for _ in range(min(most, len(self._changed)))]
        return {endpoint: self._record(endpoint, now) for endpoint in changed}

    def not_kept(self, endpoints: Iterable[int]) -> None:
        """Record that what `changes` returned of these endpoints could not be kept: it is returned once more."""
        self._changed.update(endpoints)

    def restore(self, records: Iterable[tuple[int, PacesRecord, float]], now: float) -> None:
        """Take over what an earlier run kept: endpoint, record, and seconds since the record was made.

        Of a device, what was refused last counts; of the network, what was learned in this run. Records that say
        nothing any more are in the next `changes`, as None.
        """
        devices: dict[int, Pace] = {}
        for endpoint, record, age in records:
            at = now - age
            if endpoint == NETWORK:
                if record.network is not None and self._network is None:
                    self._network = Pace.of(record.network, at)
                if record.shared is not None and self._shared is None:
                    self._shared = Pace.of(record.shared, at)
                    self._together.is_proven = True
            elif record.device is not None:
                pace = Pace.of(record.device, at)
                known = self._devices.get(endpoint) or devices.get(endpoint)
                if known is None or known.last_refused < pace.last_refused:
                    self._devices.pop(endpoint, None)
                    devices[endpoint] = pace
        earlier = sorted(devices.items(), key=lambda device: device[1].last_refused)
        self._devices = OrderedDict([*earlier, *self._devices.items()])
        self._expire(now)

    def _record(self, endpoint: int, now: float) -> PacesRecord | None:
        if endpoint != NETWORK:
            device = self._devices.get(endpoint)
            return None if device is None else PacesRecord(device=device.record(now))
        network = None if self._network is None else self._network.record(now)
        shared = None if self._shared is None or not self._together.is_proven else self._shared.record(now)
        return None if network is None and shared is None else PacesRecord(network, shared)

    def _expire(self, now: float) -> None:
        """Forget what says nothing any more, though no message was taken that would have shown it."""
        if self._network is not None and self._network.is_forgotten(now):
            self._network = None
            self._changed.add(NETWORK)
        if self._shared is not None and self._shared.is_forgotten(now):
            self._forget_shared()
        self._let_go_oldest(now)

    def _forget_shared(self) -> None:
        self._shared, self._together, self._beyond = None, RefusedDevices(), 0
        self._changed.add(NETWORK)

    def _refuse_device(self, endpoint: int, now: float, wish: float | None) -> None:
        device = self._devices.pop(endpoint, None)
        if device is None or device.is_forgotten(now):
            device = Pace()
        self._devices[endpoint] = device
        self._changed.add(endpoint)
        device.refused(now, wish)
        self._let_go_oldest(now)

    def _let_go_oldest(self, now: float) -> None:
        """Forget devices that were refused long ago: those that are too many, and those whose limit says nothing."""
        while self._devices:
            oldest, pace = next(iter(self._devices.items()))
            if len(self._devices) <= DEVICES and (self._shared is not None or not pace.is_forgotten(now)):
                break
            del self._devices[oldest]
            self._changed.add(oldest)


def _text(who: str, pace: Pace) -> str:
    if not pace.most:
        return f"{who} refused a message for a limit of its own"
    messages = "one message" if pace.most == 1 else f"{pace.most} messages"
    return f"{who} seems to take {messages} in {_spelled(pace.period)}"


def _learned(who: str, pace: Pace) -> Learned:
    return Learned(_text(who, pace), pace.first_refused, pace.last_refused)


def _spelled(seconds: float) -> str:
    for unit, length in (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0)):
        if seconds >= length and seconds % length == 0:
            number = int(seconds // length)
            return f"a {unit}".replace("a hour", "an hour") if number == 1 else f"{number} {unit}s"
    return f"{seconds:.0f} s"
