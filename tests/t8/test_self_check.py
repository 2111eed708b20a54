"""A test notification of the bridge's own: whose answer it is, whatever the other end sends."""

import pytest

from bindings.t8.self_check import HEADER, SelfChecks, is_of_a_bridge


async def test_the_answer_of_a_listener_is_known_by_what_it_was_sent():
    check = SelfChecks().begin()
    taken = SelfChecks().answer_to(check)  # of another node
    assert taken is not None
    assert is_of_a_bridge(check, dict((await taken).headers))
    assert not is_of_a_bridge(SelfChecks().begin(), dict((await SelfChecks().answer_to(check)).headers))


@pytest.mark.parametrize("headers", [{}, {HEADER: ""}, {HEADER: "caf\u00e9"}, {HEADER: "\udcff"}])
def test_no_header_of_whoever_answers_raises_anything(headers):
    assert not is_of_a_bridge(SelfChecks().begin(), headers)
