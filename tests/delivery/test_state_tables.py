"""The state tables are total, every state can be reached and left for an outcome, and outcomes never change."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bridge.delivery.diagrams import states_page
from bridge.delivery.downlinks import OpaqueDownlink
from bridge.delivery.states import DOWNLINK_TABLE, UPLINK_TABLE, DownlinkState, UplinkState
from bridge.delivery.uplinks import OpaqueUplink

PAGE = Path(__file__).parents[2] / "docs" / "states.md"
MAY_END = {DownlinkState.SENT, DownlinkState.DELIVERED, DownlinkState.UNKNOWN}


def downlink(state: DownlinkState) -> OpaqueDownlink:
    row = OpaqueDownlink.accepted(1, 1, 0, 0.0, 60.0, b"payload", "srv")
    row.state = state
    row.over = not DOWNLINK_TABLE[state]
    return row


def uplink(state: UplinkState) -> OpaqueUplink:
    row = OpaqueUplink.received(1, 1, 0, 0.0, "srv", b"payload", b"digest", None)
    row.state = state
    return row


@pytest.mark.parametrize(("table", "states"), [(DOWNLINK_TABLE, DownlinkState), (UPLINK_TABLE, UplinkState)])
def test_tables_are_total_and_every_state_is_reached(table, states):
    assert set(table) == set(states)
    first = next(iter(states))
    reached = {first}
    while more := {after for state in reached for after in table[state]} - reached:
        reached |= more
    assert reached == set(states)


def test_from_every_state_an_outcome_can_be_reached():
    for state, after in DOWNLINK_TABLE.items():
        assert not after or any(not DOWNLINK_TABLE[s] for s in after), state


@pytest.mark.parametrize(("before", "after"), list(product(DownlinkState, DownlinkState)))
def test_a_downlink_moves_as_the_table_says_and_no_other_way(before, after):
    row = downlink(before)
    if after in DOWNLINK_TABLE[before] or (after is before and not row.over):
        row.move(after, 5.0, "why")
        assert (row.state, row.reason) == (after, "why")
        assert row.over == (not DOWNLINK_TABLE[after])
    else:
        with pytest.raises(AssertionError):
            row.move(after, 5.0)
        assert row.state is before


@pytest.mark.parametrize(("before", "after"), list(product(UplinkState, UplinkState)))
def test_an_uplink_moves_as_the_table_says_and_no_other_way(before, after):
    row = uplink(before)
    if after in UPLINK_TABLE[before]:
        row.move(after, 5.0)
        assert (row.state, row.finished_at) == (after, 5.0)
    else:
        with pytest.raises(AssertionError):
            row.move(after, 5.0)


@given(st.lists(st.tuples(st.sampled_from(DownlinkState), st.booleans())))
def test_an_outcome_never_changes(moves):
    row = downlink(DownlinkState.QUEUED)
    outcome = None
    for state, ends in moves:
        try:
            row.move(state, 1.0, over=True if ends and state in MAY_END else None)
        except AssertionError:
            continue
        assert outcome is None
        if row.over:
            outcome = row.state
    assert outcome is None or row.state is outcome


def test_the_page_of_states_is_up_to_date():
    """Write it anew with `python -m bridge.delivery.diagrams > docs/states.md`."""
    assert PAGE.read_text() == states_page()
