"""A network that is out of order is left alone, for longer and longer, and tried by one call at a time."""

import pytest

from bridge.delivery.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WISH, SPREAD, Breaker


def breaker(draw: float = 0.5) -> Breaker:
    return Breaker(lambda: draw)


def out_of_order(at: float = 0.0) -> Breaker:
    one = breaker()
    for _ in range(FAILURES):
        one.failed(at)
    return one


def test_one_failure_is_no_outage() -> None:
    one = breaker()
    assert [one.failed(0.0) for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    assert one.is_open
    assert one.pause(1.0) == FIRST_PAUSE - 1.0


def test_an_answer_between_failures_begins_the_count_anew() -> None:
    one = breaker()
    for _ in range(10):
        assert not one.failed(0.0)
        one.answered()
    assert not one.is_open


def test_each_pause_is_twice_as_long_up_to_minutes() -> None:
    one = out_of_order()
    now, pauses = 0.0, []
    for _ in range(10):
        pauses.append(one.pause(now))
        now += one.pause(now)
        assert one.pause(now) == 0.0
        assert one.is_open  # on trial
        assert one.failed(now)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_an_answer_ends_the_trial_and_the_next_outage_begins_with_a_short_pause() -> None:
    one = out_of_order()
    one.failed(5.0)
    one.answered()
    assert not one.is_open
    assert one.pause(5.0) == 0.0
    for _ in range(FAILURES):
        one.failed(100.0)
    assert one.pause(100.0) == FIRST_PAUSE


def test_calls_that_were_under_way_when_the_pause_began_say_nothing_new() -> None:
    one = out_of_order()
    assert not any(one.failed(1.0) for _ in range(100))
    assert one.pause(FIRST_PAUSE) == 0.0


@pytest.mark.parametrize(
    ("wish", "pause"), [(120.0, 120.0), (1.0, FIRST_PAUSE), (-60.0, FIRST_PAUSE), (1e9, LONGEST_WISH)]
)
def test_a_network_that_asks_to_be_left_alone_is_within_bounds(wish: float, pause: float) -> None:
    one = breaker()
    assert one.failed(0.0, wish)
    assert one.pause(0.0) == pause


def test_pauses_of_several_bridges_differ() -> None:
    early, late = breaker(0.0), breaker(1.0)
    for one in (early, late):
        for _ in range(FAILURES):
            one.failed(0.0)
    assert early.pause(0.0) == FIRST_PAUSE * (1 - SPREAD)
    assert late.pause(0.0) == FIRST_PAUSE * (1 + SPREAD)
