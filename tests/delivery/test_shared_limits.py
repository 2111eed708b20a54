"""A limit of the whole network that it words as the device's (403 QUOTA_EXCEEDED) is learned for all (LPW-6)."""

import heapq
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from bindings.contract import LimitOf
from bridge.delivery import paces
from bridge.delivery.paces import LONGEST_SPACE, Paces
from bridge.delivery.together import ENOUGH, KEPT, SUSPICIOUS, WINDOW, RefusedDevices
from tests.delivery.limiters import FixedWindow, TokenBucket

HOUR = 3600.0
DAY = 86_400.0


@dataclass
class Fleet:
    """Devices that each have a message again `every` seconds after the last was taken; they wait in one line.

    A limit of `limits` by device, else the one of `limit`, refuses what is too much, and says that it is the device's.
    """

    devices: int
    every: float
    limit: FixedWindow | TokenBucket | None = None
    limits: dict[int, FixedWindow] = field(default_factory=dict)
    each: float = 0.5  # seconds of a call
    paces: Paces = field(default_factory=Paces)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.line = deque(range(self.devices))
        self.held: list[tuple[float, int]] = []
        self.since = dict.fromkeys(range(self.devices), 0.0)
        self.waits: dict[int, list[float]] = {device: [] for device in range(self.devices)}

    def live(self, seconds: float) -> Counter[str]:
        """Return how many messages were refused and taken, and how often a device was told to wait."""
        end, found = self.now + seconds, Counter[str]()
        while self.now < end:
            while self.held and self.held[0][0] <= self.now:
                self.line.append(heapq.heappop(self.held)[1])
            for_all = self.paces.network(self.now, 0)
            if for_all is not None or not self.line:
                self.now = self.now + for_all.wait + 1e-6 if for_all else max(self.now, self.held[0][0])
                continue
            device = self.line.popleft()
            told = self.paces.device(device, self.now)
            if told is not None:
                found["told to wait"] += 1
                heapq.heappush(self.held, (self.now + told.wait + 1e-6, device))
                continue
            self.now += self.each
            limit = self.limits.get(device, self.limit)
            if limit is None or limit.ask(self.now) is None:
                found["taken"] += 1
                self.paces.taken(device, self.now)
                self.waits[device].append(self.now - self.since[device])
                self.since[device] = self.now + self.every
                heapq.heappush(self.held, (self.since[device], device))
            else:
                found["refused"] += 1
                self.paces.refused(device, self.now, None, LimitOf.DEVICE)
                self.line.append(device)
        return found


@pytest.mark.parametrize(("most", "window", "learns"), [(10, 60.0, 12 * HOUR), (20, HOUR, 2 * DAY)])
def test_what_all_devices_are_refused_for_falls_to_a_few_tries(most, window, learns):
    fleet = Fleet(100, every=HOUR / 24, limit=FixedWindow(most, window))
    fleet.live(learns)
    assert any("of all devices that it refused, seems to take" in one.text for one in fleet.paces.learned())
    found = fleet.live(DAY)
    assert found["refused"] <= 100  # one of the devices alone tried every ten seconds: 8 640
    assert found["taken"] >= 0.9 * DAY / window * most
    assert found["told to wait"] <= 3 * DAY  # they do not all ask whenever one may go


def test_devices_at_limits_of_their_own_hold_no_other_one():
    """Nearly all are at their daily limit, and all of these are free again at midnight: that proves nothing."""
    limits = {device: FixedWindow(3, DAY) for device in range(1, 100)}
    fleet = Fleet(100, every=HOUR, limits=limits)
    fleet.live(4 * DAY)
    assert len(fleet.waits[0]) >= 80
    assert max(fleet.waits[0]) <= 100 * (LONGEST_SPACE + fleet.each)  # each other device tried once before it


@pytest.mark.parametrize(("most", "window", "every", "days"), [(5, HOUR, 400.0, 1), (3, DAY, HOUR, 6)])
def test_limits_of_the_devices_own_that_end_at_the_same_time_are_no_limit_of_all(most, window, every, days):
    limits = {device: FixedWindow(most, window) for device in range(100)}
    fleet = Fleet(100, every=every, limits=limits)
    found = fleet.live(days * DAY)
    assert not any("of all devices" in one.text for one in fleet.paces.learned())
    assert found["taken"] >= 0.85 * 100 * most * days * DAY / window


def refuse_together(known, number=SUSPICIOUS, start=0.0):
    for endpoint in range(number):
        known.refused(endpoint, start + endpoint)


def test_devices_refused_together_and_taken_together_are_at_a_limit_of_the_network():
    known = RefusedDevices()
    refuse_together(known)
    assert known.is_suspected
    assert not known.is_proven
    for endpoint in range(ENOUGH):
        known.taken(endpoint, 100.0 + endpoint)
    assert not known.is_suspected
    assert not known.is_proven
    known.taken(ENOUGH, 120.0)
    assert not known.is_proven
    known.refused(ENOUGH + 1, 130.0)
    assert known.is_proven


def test_a_small_limit_is_proven_by_and_by():
    known = RefusedDevices()
    for window in range(ENOUGH // 2):
        refuse_together(known, start=window * 1000.0)
        assert not known.is_proven
        for endpoint in range(3):
            known.taken(endpoint, window * 1000.0 + 100)
    refuse_together(known, start=ENOUGH // 2 * 1000.0)
    assert known.is_proven


@pytest.mark.parametrize("after", [1.0, 10 * WINDOW])
def test_devices_that_each_got_something_before_they_were_refused_again_prove_nothing(after):
    known = RefusedDevices()
    for window in range(100):
        start = window * 20 * WINDOW
        refuse_together(known, start=start)
        for endpoint in range(SUSPICIOUS):
            known.taken(endpoint, start + WINDOW + endpoint % 8 * after)
            if endpoint % 8 == 7:
                known.refused(0, start + WINDOW + 7 * after)
    refuse_together(known, start=100 * 20 * WINDOW)
    assert not known.is_proven


@pytest.mark.parametrize("rounds", [1, 100])
def test_devices_that_come_back_one_by_one_prove_nothing(rounds):
    known = RefusedDevices()
    for number in range(rounds):
        refuse_together(known, start=number * 1000.0)
        known.taken(number % SUSPICIOUS, number * 1000.0 + 100)
    refuse_together(known, start=rounds * 1000.0)
    assert not known.is_proven


def test_devices_that_were_not_refused_prove_nothing():
    known = RefusedDevices()
    refuse_together(known)
    for endpoint in range(1000, 1100):
        known.taken(endpoint, 100.0)
    assert not known.is_proven


def test_devices_taken_again_over_a_long_time_prove_nothing():
    known = RefusedDevices()
    refuse_together(known)
    for endpoint in range(SUSPICIOUS):
        known.taken(endpoint, 100.0 + endpoint * WINDOW / 3)
    assert not known.is_proven


def test_few_devices_or_a_long_time_are_no_suspicion():
    known = RefusedDevices()
    for number in range(1000):
        known.refused(number % (SUSPICIOUS - 1), float(number))
    assert not known.is_suspected
    other = RefusedDevices()
    for endpoint in range(1000):
        other.refused(endpoint, endpoint * WINDOW)
    assert not other.is_suspected


def test_only_so_many_refused_devices_are_remembered():
    known = RefusedDevices()
    refuse_together(known, KEPT + 10)
    assert len(known._refused) == KEPT
    known.taken(0, KEPT + 10.0)
    assert len(known._were_refused) == KEPT


@pytest.fixture
def proven():
    """Return what is known of a network, and the time: of its ten messages a minute for all, none is left."""
    fleet = Fleet(100, every=400.0, limit=FixedWindow(10, 60.0))
    fleet.live(12 * HOUR)
    known, now = fleet.paces, fleet.now + 120
    while known.device(3, now) is None:
        known.taken(3, now)
    return known, now


def test_a_device_that_was_never_refused_is_not_held_by_a_limit_of_those_that_were(proven):
    known, now = proven
    why = "the network, of all devices that it refused, seems to take 10 messages in a minute"
    assert [one.text for one in known.learned()] == [why, "100 devices were refused messages for a limit"]
    assert known.device(3, now).why == why
    assert known.device(1000, now) is None
    assert known.network(now, 0) is None


def test_what_is_taken_beyond_the_limit_of_all_disproves_it(proven):
    known, now = proven
    for number in range(ENOUGH):
        assert known.device(3, now) is not None
        known.taken(1000 + number, now)
    assert [one.text for one in known.learned()] == ["100 devices were refused messages for a limit"]


def test_while_the_limit_of_all_refuses_one_call_at_a_time_asks(proven):
    known, now = proven
    known.refused(3, now, 70.0, LimitOf.DEVICE)
    assert known.device(9, now).wait >= 70
    assert known.device(9, now + 71, under_way=1) is not None
    assert known.device(1000, now + 71, under_way=1) is None


def test_only_so_many_devices_that_wait_are_remembered(proven, monkeypatch):
    known, now = proven
    monkeypatch.setattr(paces, "DEVICES", 10)
    assert all(known.device(number, now) is not None for number in range(100))
    assert len(known._asking) <= 10
