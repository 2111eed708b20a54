"""Provisioning is as fast as the SCEF bears: the window grows, is halved once per trouble, and rests."""

import pytest

from bindings.nidd.pace import NEVER, RequestPace


class Scef:
    """A SCEF in virtual time that carries `capacity` requests a second with `latency`, and answers 429 to more."""

    def __init__(self, capacity, latency):
        self.capacity, self.latency = capacity, latency
        self.taken = []

    def refuses(self, now):
        self.taken = [at for at in self.taken if at > now - 1.0]
        if len(self.taken) >= self.capacity:
            return True
        self.taken.append(now)
        return False


def drive(pace, scef, seconds):
    """Begin requests whenever the pace allows it; return how many succeeded and how many were refused."""
    now, going, good, bad = 0.0, [], 0, 0
    while now < seconds:
        while pace.wait(now) == 0:
            pace.began(now)
            going.append((now + scef.latency, now, scef.refuses(now)))
        going.sort()
        wait = pace.wait(now)
        upcoming = [at for at in (going[0][0] if going else NEVER, now + wait if wait != NEVER else NEVER) if at > now]
        now = min(upcoming, default=now + 0.001)
        while going and going[0][0] <= now:
            _, began, refused = going.pop(0)
            if refused:
                bad += 1
                pace.record_failure(began, now, None)
            else:
                good += 1
                pace.record_success(began, now)
    return good, bad


def test_a_fast_scef_is_used_to_the_full():
    good, bad = drive(RequestPace(most=24, rate=0), Scef(capacity=10_000, latency=0.02), 60)
    assert bad == 0
    assert good > 0.9 * 24 / 0.02 * 60


@pytest.mark.parametrize("capacity", [5, 50, 400])
def test_an_overloaded_scef_is_asked_for_about_what_it_bears(capacity):
    good, bad = drive(RequestPace(most=64, rate=0), Scef(capacity, latency=0.1), 300)
    assert good > 0.4 * capacity * 300
    assert bad < 0.05 * good


def test_the_configured_rate_is_never_exceeded():
    good, _ = drive(RequestPace(most=24, rate=20), Scef(capacity=10_000, latency=0.01), 60)
    assert good == pytest.approx(1200, abs=3)


def test_an_absent_scef_is_asked_less_and_less_often():
    pace, asked, now = RequestPace(most=24, rate=0), [], 0.0
    while now < 600:
        wait = pace.wait(now)
        if wait == 0:
            pace.began(now)
            asked.append(now)
            pace.record_failure(now, now + 0.001, None)
        now += 0.5
    assert len(asked) < 25
    assert asked[-1] - asked[-2] >= 60


def test_the_rest_that_the_scef_asks_for_is_kept():
    pace = RequestPace(most=4, rate=0)
    pace.began(0.0)
    pace.record_failure(0.0, 0.1, 120.0)
    assert pace.is_resting(100.0)
    assert pace.wait(100.0) == pytest.approx(20.1)
    assert pace.wait(121.0) == 0


def test_the_rest_that_the_scef_asks_for_is_a_quarter_of_an_hour_at_most():
    pace = RequestPace(most=4, rate=0)
    pace.began(0.0)
    pace.record_failure(0.0, 0.1, 86_400.0)
    assert pace.is_resting(900.0)
    assert not pace.is_resting(901.0)
    assert pace.wait(901.0) == 0


def test_one_trouble_of_many_requests_counts_once():
    pace = RequestPace(most=16, rate=0)
    for number in range(100):
        pace.began(number)
        pace.record_success(number, number + 0.1)
    for _ in range(4):
        pace.began(200.0)
    before = pace.window
    for _ in range(4):
        pace.record_failure(200.0, 200.5, None)
    assert pace.window == before / 2


def test_a_scef_that_turns_slow_is_given_less():
    pace = RequestPace(most=16, rate=0)
    for number in range(200):
        pace.began(number)
        pace.record_success(number, number + 0.05)
    before = pace.window
    pace.began(300.0)
    pace.record_success(300.0, 305.0)
    assert pace.window < before
