"""A lease ends for its holder before the database lets another process have it."""

import pytest
from hypothesis import given, strategies as st

from bridge.store.lease import Lease

_delays = st.floats(0, 20)


def test_a_lease_that_is_renewed_goes_on():
    lease = Lease(5.0, 100.0)
    for at in (101.0, 102.0, 105.9):
        assert not lease.is_over(at)
        lease.renewed(at)
    assert not lease.is_over(109.8)
    assert lease.is_over(110.0)


def test_it_is_renewed_several_times_within_its_span():
    assert Lease(5.0, 0.0).pause == pytest.approx(1.0)


def test_an_answer_that_comes_late_does_not_shorten_what_a_later_one_confirmed():
    lease = Lease(5.0, 0.0)
    lease.renewed(10.0)
    lease.renewed(3.0)
    assert not lease.is_over(13.9)


@given(span=st.floats(1, 60), asked=st.lists(st.tuples(_delays, _delays, _delays), min_size=1, max_size=20))
def test_the_holder_stops_before_the_database_gives_the_place_away(span, asked):
    """Whatever time passes between two questions, and until a question and its answer arrive."""
    lease = Lease(span, 0.0)
    now, given_away_at = 0.0, span
    for pause, there, back in asked:
        now += pause
        asked_at = now
        if lease.is_over(asked_at):
            break
        arrives = asked_at + there
        if arrives >= given_away_at:
            break
        given_away_at = arrives + span
        now = arrives + back
        lease.renewed(asked_at)
    assert lease.is_over(given_away_at)
