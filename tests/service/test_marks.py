"""A set of ids in one bit each is a set."""

from hypothesis import given, strategies as st

from bridge.service.marks import IdSet

IDS = st.integers(0, 200)


@given(st.lists(st.tuples(st.booleans(), IDS)))
def test_it_holds_what_was_added_and_not_taken_back(moves):
    marks, model = IdSet(), set()
    for add, id_ in moves:
        if add:
            marks.add(id_)
            model.add(id_)
        else:
            marks.discard(id_)
            model.discard(id_)
    assert {id_ for id_ in range(300) if id_ in marks} == model
