"""A limit is learned from what a network refuses: it only delays, more is tried, and it is forgotten (LPW-6)."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings, strategies as st

from bindings.contract import LimitOf
from bridge.delivery import paces
from bridge.delivery.pace import FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WISH, MARKS, PERIODS, Pace
from bridge.delivery.paces import Learned, Paces
from bridge.delivery.together import SUSPICIOUS
from tests.delivery.limiters import FixedWindow, TokenBucket

HOUR = 3600.0
DAY = 86_400.0


@dataclass
class Sender:
    """Has always a message to send, and sends it whenever its pace lets it; each takes `each` seconds."""

    limit: FixedWindow | TokenBucket
    names_time: bool = False
    each: float = 0.5
    pace: Pace = field(default_factory=Pace)
    now: float = 0.0
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def live(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            wait = self.pace.wait(self.now)
            if wait:
                self.now += wait + 1e-6
                continue
            self.now += self.each
            until = self.limit.ask(self.now)
            if until is None:
                self.pace.taken(self.now)
                self.taken.append(self.now)
            else:
                self.pace.refused(self.now, until if self.names_time else None)
                self.refused.append(self.now)


def a_limit(most: int, window: float) -> st.SearchStrategy[FixedWindow | TokenBucket]:
    return st.sampled_from(
        [FixedWindow(most, window), FixedWindow(most, window, aligned=False), TokenBucket(most, window)]
    )


@pytest.mark.parametrize("names_time", [True, False], ids=["names a time", "names none"])
@pytest.mark.parametrize(
    ("most", "window", "hours"),
    [(10, 60.0, 24), (10, 360.0, 24), (100, HOUR, 100), (1, DAY, 240), (20, DAY, 240), (2000, DAY, 240)],
)
@pytest.mark.parametrize("aligned", [True, False], ids=["windows of the clock", "windows of messages"])
def test_what_a_network_refuses_falls_to_a_few_tries(most, window, hours, aligned, names_time):
    one = Sender(FixedWindow(most, window, aligned), names_time)
    one.live(hours * HOUR)
    learned = len(one.refused)
    one.live(hours * HOUR)
    tries = len(one.refused) - learned
    assert tries <= 2 * hours * HOUR / min(32 * window, max(DAY, window)) + 4
    assert len(one.taken) >= 0.9 * 2 * hours * HOUR / window * most - most


def test_a_bucket_that_fills_slowly_is_learned_too():
    one = Sender(TokenBucket(100, HOUR))
    one.live(100 * HOUR)
    before = len(one.refused), len(one.taken)
    one.live(100 * HOUR)
    assert len(one.refused) - before[0] <= 500  # of 10 000 that are taken; without a pace, one for each
    assert len(one.taken) - before[1] >= 0.9 * 100 * 100


def test_without_a_refusal_nothing_waits():
    pace = Pace()
    for second in range(1000):
        assert pace.wait(float(second)) == 0
        pace.taken(float(second))


def test_a_named_time_is_kept_to_and_without_one_pauses_grow():
    pace = Pace()
    pace.refused(0.0, 77.0)
    assert pace.wait(0.0) == 77
    other, now, waits = Pace(), 0.0, []
    for _ in range(14):
        other.refused(now)
        waits.append(other.wait(now))
        now += waits[-1]
    assert waits[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert max(waits) == LONGEST_PAUSE


def test_refusals_of_calls_that_began_before_the_pause_count_as_one():
    pace = Pace()
    for number in range(32):
        pace.refused(number / 100)
    assert pace.wait(0.0) == FIRST_PAUSE
    pace.taken(0.5)  # of the same burst: nobody knows whether it was taken before the others were refused
    assert pace.is_refusing
    pace.refused(0.5, 60.0)  # the latest time that one of them names counts
    pace.refused(0.5, 20.0)
    assert pace.wait(0.5) == 60
    pace.refused(60.5)
    assert pace.wait(60.5) == 2 * FIRST_PAUSE


def test_a_burst_that_is_taken_and_refused_by_turns_does_not_change_what_is_known():
    pace = Pace()
    for at in range(10):
        pace.taken(float(at))
    pace.refused(10.0, 50.0)
    pace.taken(60.0)
    assert (pace.most, pace.period) == (10, 60.0)
    pace.refused(61.0)
    known = pace.most, pace.period
    for number in range(16):
        pace.taken(61.1 + number / 100)
        pace.refused(61.1 + number / 100)
    assert (pace.most, pace.period) == known


def test_a_limit_that_is_raised_is_found():
    one = Sender(FixedWindow(10, 60.0))
    one.live(6 * HOUR)
    one.limit.most = 100
    one.live(24 * HOUR)
    assert one.pace.most >= 90


def test_a_limit_that_is_lowered_is_found_with_few_refusals():
    one = Sender(FixedWindow(100, 60.0))
    one.live(6 * HOUR)
    one.limit.most = 10
    before = len(one.refused)
    one.live(6 * HOUR)
    assert len(one.refused) - before <= 40
    assert one.pace.most / one.pace.period <= 11 / 60


def test_what_is_known_is_forgotten_when_nothing_was_refused_for_long():
    pace = Pace()
    for at in (0.0, 1.0, 2.0):
        pace.taken(at)
    pace.refused(3.0, 50.0)
    pace.taken(53.0)
    assert (pace.most, pace.period) == (3, 60.0)
    assert not pace.is_forgotten(53.0 + HOUR)
    assert pace.is_forgotten(53.0 + DAY)


times = st.lists(
    st.tuples(
        st.sampled_from(["taken", "refused"]),
        st.floats(0, 1e6) | st.floats(0, 10),
        st.none() | st.floats(-1e9, 1e300) | st.just(float("inf")),
    ),
    max_size=300,
)


@settings(deadline=None)
@given(times)
def test_whatever_happens_a_wait_ends_and_memory_is_bounded(events):
    """A peer may name any time, in any order: the pace delays for a bounded time, and never for ever."""
    pace, now = Pace(), 0.0
    for what, after, wish in events:
        now += after
        if what == "taken":
            pace.taken(now)
        else:
            pace.refused(now, wish)
        wait = pace.wait(now)
        assert 0 <= wait <= LONGEST_WISH + 1
        assert wait == 0 or pace.wait(now + wait + 1e-3) < max(wait, PERIODS[-1])
        assert len(pace._marks) <= MARKS
        assert pace.most >= 0
    for _ in range(MARKS + 3):  # it may go after waits that are all finite
        now += pace.wait(now) + 1e-3
        if not pace.wait(now):
            break
    assert pace.wait(now) == 0


@settings(max_examples=100, deadline=None)
@given(
    most=st.integers(1, 40),
    window=st.sampled_from(PERIODS[3:9]),
    kind=st.integers(0, 2),
    names_time=st.booleans(),
    each=st.floats(0.5, 30),
)
def test_no_limit_is_hit_more_often_than_without_and_little_is_lost(most, window, kind, names_time, each):
    make = [FixedWindow(most, window), FixedWindow(most, window, aligned=False), TokenBucket(most, window)][kind]
    one = Sender(make, names_time, each)
    one.live(30 * window)
    before = len(one.refused), len(one.taken)
    one.live(30 * window)
    refused, taken = len(one.refused) - before[0], len(one.taken) - before[1]
    possible = min(30 * most, 30 * window / each)
    assert refused <= max(15, taken / 8)  # of 30 windows; without a pace, every second message of a slow bucket
    assert taken >= possible * 0.4 - most


# Of one network: devices and the whole


def test_a_device_is_held_and_others_are_not():
    known = Paces()
    known.refused(1, 0.0, 60.0, LimitOf.DEVICE)
    limited = known.device(1, 1.0)
    assert limited is not None
    assert (limited.wait, limited.why) == (
        59.0,
        "the network, of this device, refused a message for a limit of its own",
    )
    assert known.device(2, 1.0) is None
    assert known.network(1.0, 0) is None


def test_a_limit_of_the_network_holds_all():
    known = Paces()
    known.refused(1, 0.0, 60.0, LimitOf.NETWORK)
    assert known.network(1.0, 0).wait == 59
    assert known.tries_one
    known.taken(2, 61.0)
    assert known.network(62.0, 0) is None
    assert not known.tries_one
    for number in range(3):
        known.taken(number, 62.0 + number)
    known.refused(9, 65.0, 50.0, LimitOf.NETWORK)
    known.taken(9, 115.0)
    assert known.learned() == [Learned("the network seems to take 4 messages in a minute", 0.0, 65.0)]
    assert known.network(123.0, 0) is None
    assert known.network(123.0, 3).wait > 0  # with those under way it is used up


def test_a_network_is_not_held_for_a_day_because_one_refusal_names_a_day():
    known, now = Paces(), 0.0
    known.refused(1, now, DAY, LimitOf.NETWORK)
    assert known.network(now, 0).wait == paces.LONGEST_NETWORK_WISH == 900
    for _ in range(12):  # it is asked again, more seldom the longer it names such a time
        now += known.network(now, 0).wait
        known.refused(1, now, DAY, LimitOf.NETWORK)
    assert known.network(now, 0).wait == LONGEST_PAUSE


def test_what_the_binding_refuses_by_itself_teaches_nothing():
    known = Paces()
    known.refused(1, 0.0, 60.0, LimitOf.BINDING)
    assert not known.is_active


def test_many_devices_refused_in_a_row_slow_the_network_down_until_it_takes_something():
    known, now = Paces(), 0.0
    for endpoint in range(SUSPICIOUS + 1):
        known.refused(endpoint, now, None, LimitOf.DEVICE)
    assert known.network(now, 0).wait == paces.FIRST_SPACE
    for endpoint in range(100, 110):
        now += known.network(now, 0).wait
        known.refused(endpoint, now, None, LimitOf.DEVICE)
    assert known.network(now, 0).wait == paces.LONGEST_SPACE
    known.taken(999, now)
    assert known.network(now, 0) is None


def test_calls_that_began_before_the_space_did_do_not_lengthen_it():
    known = Paces()
    for endpoint in range(SUSPICIOUS + 10):
        known.refused(endpoint, 0.0, None, LimitOf.DEVICE)
    assert known.network(0.0, 0).wait == paces.FIRST_SPACE


def test_only_so_many_devices_are_remembered(monkeypatch):
    monkeypatch.setattr(paces, "DEVICES", 10)
    known = Paces()
    for endpoint in range(50):
        known.refused(endpoint, float(endpoint), 60.0, LimitOf.DEVICE)
    assert [endpoint for endpoint in range(50) if known.device(endpoint, 50.0) is not None] == list(range(40, 50))
    assert known.learned()[-1] == Learned("10 devices were refused messages for a limit", last_refused=49.0)
