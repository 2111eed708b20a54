"""A peer's times are read against the peer's own clock, never against ours."""

from email.utils import formatdate

import pytest
from hypothesis import given, strategies as st

from bindings.t8.times import LONGEST_WAIT, PeerClock, format_time, parse_time

NOW = 1_800_000_000.0
HOURS = 3600.0


class Ours:
    def __init__(self):
        self.time = NOW

    def __call__(self):
        return self.time


def clock_of(ahead, *, measured=True):
    one = PeerClock(Ours())
    if measured:
        one.saw(formatdate(int(NOW + ahead), usegmt=True), NOW, NOW + 0.1)
    return one


@pytest.mark.parametrize("ahead", [-2 * HOURS, 0, 2 * HOURS])
def test_a_time_means_the_same_whatever_the_peers_clock_shows(ahead):
    clock = clock_of(ahead)
    assert clock.ours(format_time(NOW + ahead + 600)) == pytest.approx(NOW + 600, abs=1.1)
    assert clock.wait_until(format_time(NOW + ahead + 600)) == pytest.approx(NOW + 600, abs=1.1)
    assert clock.wait_for(formatdate(int(NOW + ahead + 600), usegmt=True)) == pytest.approx(NOW + 600, abs=1.1)
    assert parse_time(clock.theirs(NOW + 600)) == pytest.approx(NOW + ahead + 600, abs=1.1)


def test_without_a_date_the_clocks_count_as_equal():
    clock = clock_of(0, measured=False)
    assert clock.skew is None
    assert clock.ours(format_time(NOW + 5)) == NOW + 5
    clock.saw("yesterday", NOW, NOW)
    clock.saw(None, NOW, NOW)
    assert clock.skew is None


@pytest.mark.parametrize("wait", [-7200, -600, 0, 0.5])
def test_a_time_that_is_over_is_no_time(wait):
    """Such a time says nothing about when to try again: believed, it would be worse than none."""
    clock = clock_of(0)
    assert clock.wait_until(format_time(NOW + wait)) is None
    assert clock.wait_for(formatdate(NOW + wait, usegmt=True)) is None
    assert clock.wait_for("0") is None


def test_a_time_far_ahead_is_asked_again_after_a_day():
    clock = clock_of(0)
    assert clock.wait_until("2999-01-01T00:00:00Z") == NOW + LONGEST_WAIT
    assert clock.wait_for("999999999999") == NOW + LONGEST_WAIT


@pytest.mark.parametrize("text", ["", "soon", "2027-", "99999-01-01T00:00:00Z", "2027-13-01T00:00:00Z", "\x00", "-1"])
def test_what_is_no_time(text):
    assert clock_of(0).wait_until(text) is None
    assert clock_of(0).wait_for(text) is None


def test_seconds_need_no_clock():
    assert clock_of(2 * HOURS).wait_for(" 120 ") == NOW + 120


def test_answers_narrow_the_skew():
    ours = Ours()
    clock = PeerClock(ours)
    for number in range(20):
        at = NOW + number * 1.05
        clock.saw(formatdate(int(at + 100.3), usegmt=True), at, at + 0.02)
    assert clock.skew == pytest.approx(100.3, abs=0.1)


def test_a_skew_within_the_resolution_of_date_is_none():
    clock = clock_of(0)
    assert clock.skew == 0.0


def test_a_clock_that_was_set_is_measured_anew():
    clock = clock_of(-5 * HOURS)
    clock.saw(formatdate(NOW + 10, usegmt=True), NOW + 10, NOW + 10.1)
    assert clock.skew == 0.0


@pytest.mark.parametrize(
    "date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"]
)
def test_a_clock_that_shows_no_time_of_ours_stops_nothing(date):
    clock = PeerClock(lambda: NOW)
    clock.saw(date, NOW, NOW)
    for ahead in (0.0, 86_400.0, 10_000 * 365 * 86_400.0):
        assert parse_time(clock.theirs(NOW + ahead)) is not None
    assert clock.wait_for("120") == NOW + 120


@pytest.mark.parametrize("said", ["-5", "1e3", "+60", "1.5", "١٢٠", "0x10", "", " ", "Infinity", "NaN", "9" * 5000])
def test_a_retry_after_that_is_no_number_of_seconds_is_none_and_none_is_longer_than_a_day(said):
    until = PeerClock(lambda: NOW).wait_for(said)
    assert until is None or until == NOW + 86_400


@given(st.one_of(st.text(), st.text(alphabet="0123456789 :,+-GMTZeJanDecFri")))
def test_any_text_is_a_time_or_none(text):
    clock = PeerClock(lambda: NOW)
    clock.saw(text, NOW, NOW)
    for wait in (clock.wait_for(text), clock.wait_until(text)):
        assert wait is None or NOW < wait <= NOW + 86_400
    assert parse_time(clock.theirs(NOW)) is not None
