"""Ids that one of several nodes gives: they rise, whatever blocks come in which order."""

import pytest
from hypothesis import given, strategies as st

from bridge.errors import StoreUnavailable
from bridge.store.postgres.ids import AGE, BLOCK, NodeIds


def test_blocks_are_used_one_after_the_other_and_then_there_are_none():
    ids = NodeIds(1, 0.0)
    assert not ids.needs_more(0.0)
    given_ids = [ids.give() for _ in range(BLOCK)]
    assert ids.needs_more(0.0)
    ids.add(5 * BLOCK + 1, 0.0)
    given_ids += [ids.give() for _ in range(BLOCK)]
    assert given_ids == [*range(1, BLOCK + 1), *range(5 * BLOCK + 1, 6 * BLOCK + 1)]
    with pytest.raises(StoreUnavailable, match="no ids for new messages"):
        ids.give()


def test_an_idle_node_leaves_an_old_block():
    ids = NodeIds(1, 0.0)
    ids.give()
    assert ids.needs_more(AGE + 1)
    ids.add(BLOCK + 1, AGE + 1)
    assert ids.give() == BLOCK + 1
    assert not ids.needs_more(AGE + 1)


@given(st.lists(st.tuples(st.sampled_from(["add", "restart", "give"]), st.integers(1, 40), st.floats(0, 100))))
def test_they_rise_whatever_blocks_come(steps):
    ids = NodeIds(1, 0.0)
    last, now = 0, 0.0
    for what, block, passed in steps:
        now += passed
        if what == "give":
            id_ = ids.give()
            assert id_ > last
            last = id_
        else:
            first = block * BLOCK + 1
            getattr(ids, what)(first, now)
            if what == "restart":
                assert ids.next >= first, "larger than what others gave before"
