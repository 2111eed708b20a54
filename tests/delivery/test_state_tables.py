"""Knowledge of attempts grows by a table that is total; what follows for a message is a function of it."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bindings.contract import Refusal, SouthProfile
from bridge.delivery import rules
from bridge.delivery.attempts import MOST, Attempt, begin, decode, encode, facts_of, nobody_has_it
from bridge.delivery.diagrams import states_page
from bridge.delivery.downlinks import Answer, Downlink, OpaqueDownlink, ServerRequest
from bridge.delivery.knowledge import GROWS_TO, Knowledge, grow, is_certain, was_transmitted
from bridge.delivery.states import UPLINK_TABLE, DownlinkState, UplinkState
from bridge.delivery.uplinks import OpaqueUplink

PAGE = Path(__file__).parents[2] / "docs" / "states.md"
PROFILE = SouthProfile(60.0, 2, True, 247.0, 247.0, 5, False, True, True, True)
knowledge = st.sampled_from(Knowledge)


def made(number: int, known: Knowledge, handle: str | None, why: Refusal, look_up_at: float | None) -> Attempt:
    """Return an attempt as words can have made it."""
    left_at = 100.0 if was_transmitted(known) else None
    is_asked = known is Knowledge.IN_DOUBT
    return Attempt(
        number,
        known,
        100.0,
        handle,
        why if known is Knowledge.REFUSED else None,
        left_at,
        look_up_at if is_asked else None,
    )


lists_of_attempts = st.lists(
    st.builds(
        made,
        st.integers(1, 9),
        knowledge,
        st.none() | st.just("h"),
        st.sampled_from(Refusal),
        st.none() | st.floats(0, 200),
    ),
    max_size=5,
)


def messages(attempts: list[Attempt]) -> list[Downlink]:
    """Return a message of each kind with these attempts."""
    once = ServerRequest.accepted(
        1, 1, 0, 0.0, "Execute", False, 160.0, b"", 0, 2, 1, b"", "srv", 1, b"", None, 0, 115.0
    )
    read = ServerRequest.accepted(1, 1, 0, 0.0, "Read", True, 160.0, b"", 0, 1, 1, b"", "srv", 1, b"", None, 0, 115.0)
    answer = Answer.new(1, 1, 0, 0.0, "Acknowledgement", 160.0, b"", 2, 0, 1, b"", None)
    rows: list[Downlink] = [once, read, answer, OpaqueDownlink.accepted(1, 1, 0, 0.0, 160.0, b"", "srv")]
    for row in rows:
        row.attempts.extend(attempts)
    return rows


# -- knowledge of one attempt


def test_the_table_is_total_and_its_order_has_no_circle():
    assert set(GROWS_TO) == set(Knowledge)
    for known, after in GROWS_TO.items():
        assert known not in after
        for later in after:
            assert known not in GROWS_TO[later], f"{known} and {later} are each other's growth"
            assert GROWS_TO[later] <= after, f"{later} leads where {known} does not"


@given(st.lists(knowledge))
def test_knowledge_only_grows_whatever_is_said_in_whatever_order(words):
    known = Knowledge.PENDING
    for said in words:
        before, known = known, grow(known, said)
        assert known is before or known in GROWS_TO[before]
        assert not (was_transmitted(before) and not was_transmitted(known))


@given(st.lists(knowledge))
def test_what_is_certain_is_given_up_only_for_a_transmission(words):
    known = Knowledge.PENDING
    for said in words:
        before, known = known, grow(known, said)
        assert not is_certain(before) or is_certain(known) or was_transmitted(known)


@given(knowledge, knowledge)
def test_a_word_that_is_said_twice_says_nothing_new(known, said):
    once = grow(known, said)
    assert grow(once, said) is once


# -- the record of attempts


@given(lists_of_attempts)
def test_a_column_holds_all_that_is_known(attempts):
    assert decode(encode(attempts)) == attempts


def test_a_record_of_attempts_is_bounded_and_forgets_only_what_reached_nobody():
    attempts: list[Attempt] = []
    for n in range(500):
        one = begin(attempts, float(n))
        one.learn(Knowledge.LEFT if n % 100 == 7 else Knowledge.REFUSED, float(n))
    assert len(attempts) == MOST
    assert attempts[-1].number == 500
    assert [one.number for one in attempts if one.known is Knowledge.LEFT] == [8, 108, 208, 308, 408]


def test_a_message_that_may_have_reached_the_device_as_often_as_is_recorded_does_not_go_again():
    attempts = [Attempt(n, Knowledge.GONE, 100.0) for n in range(1, MOST + 1)]
    patient = SouthProfile(60.0, 99, True, 247.0, 247.0, 99, False, True, True, True)
    for row in messages(attempts):
        assert not rules.may_go_again(row, facts_of(row.attempts), patient)


# -- what follows


@given(lists_of_attempts)
def test_a_certain_outcome_is_said_only_where_every_attempt_is_certain(attempts):
    said = rules.possible_outcomes(facts_of(attempts))
    assert said
    assert (said is rules.NEVER_DELIVERED) == all(is_certain(one.known) for one in attempts) == nobody_has_it(attempts)
    if not nobody_has_it(attempts):
        assert not said & rules.NEVER_DELIVERED
    assert (said == {DownlinkState.UNKNOWN}) == (
        not nobody_has_it(attempts) and not any(was_transmitted(one.known) for one in attempts)
    )


@given(lists_of_attempts, st.booleans(), st.booleans())
def test_every_question_has_an_answer_and_the_outcome_is_one_that_may_be_said(attempts, cancelled, no_more):
    for row in messages(attempts):
        row.cancel_asked, row.no_further_copy = cancelled, no_more
        assert rules.outcome(row, facts_of(row.attempts)) in rules.possible_outcomes(facts_of(row.attempts))
        rules.state_of(row, facts_of(row.attempts), 150.0, PROFILE)
        rules.ends_at(row, facts_of(row.attempts), PROFILE)
        rules.cancel_is_due(row, facts_of(row.attempts).held, 170.0, PROFILE)
        due = rules.next_attempt_at(row, facts_of(row.attempts), PROFILE, confirmed=False)
        assert due is None or rules.may_go_again(row, facts_of(row.attempts), PROFILE)


@given(lists_of_attempts)
def test_what_may_not_be_repeated_goes_again_only_if_nobody_has_it(attempts):
    once, _, _, opaque = messages(attempts)
    for row in once, opaque:
        assert not rules.may_go_again(row, facts_of(row.attempts), PROFILE) or nobody_has_it(attempts)


@given(lists_of_attempts)
def test_nothing_goes_while_the_network_is_called_or_has_it_or_is_asked(attempts):
    busy = any(one.known in (Knowledge.PENDING, Knowledge.HELD) or one.look_up_at is not None for one in attempts)
    for row in messages(attempts):
        assert not (busy and rules.may_go_again(row, facts_of(row.attempts), PROFILE))


@given(lists_of_attempts, st.floats(0, 1000))
def test_a_request_that_the_network_is_called_for_or_has_keeps_the_slot(attempts, now):
    once, *_ = messages(attempts)
    held = any(one.known in (Knowledge.PENDING, Knowledge.HELD) for one in attempts)
    assert rules.holds_slot(once, now, PROFILE) or not held
    assert not rules.holds_slot(once, now, PROFILE) or not nobody_has_it(attempts)


def test_the_page_of_states_is_up_to_date():
    """Write it anew with `python -m bridge.delivery.diagrams > docs/states.md`."""
    assert PAGE.read_text() == states_page()


# -- uplinks


def uplink(state: UplinkState) -> OpaqueUplink:
    row = OpaqueUplink.received(1, 1, 0, 0.0, "srv", b"payload", b"digest", None)
    row.state = state
    return row


def test_the_table_of_uplinks_is_total_and_every_state_is_reached():
    assert set(UPLINK_TABLE) == set(UplinkState)
    reached = {UplinkState.RECEIVED}
    while more := {after for state in reached for after in UPLINK_TABLE[state]} - reached:
        reached |= more
    assert reached == set(UplinkState)


@pytest.mark.parametrize(("before", "after"), list(product(UplinkState, UplinkState)))
def test_an_uplink_moves_as_the_table_says_and_no_other_way(before, after):
    row = uplink(before)
    if after in UPLINK_TABLE[before]:
        row.move(after, 5.0)
        assert (row.state, row.finished_at) == (after, 5.0)
    else:
        with pytest.raises(AssertionError):
            row.move(after, 5.0)
