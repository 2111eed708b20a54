"""A network that contradicts itself: of two reports on one attempt, the one that claims less counts (R7)."""

import pytest
from world import NIDD, World, request

from bindings.contract import Accepted, Cancellation, NetworkState, Refusal

LONG = {"default_ttl": 86_400.0}
READ, EXECUTE = (1, "3/0/0"), (2, "3/0/4")


def held(what):
    world = World(NIDD, **LONG)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request(*what))
    world.network = Accepted("h2", NetworkState.BUFFERED)
    return world


@pytest.mark.parametrize("second", [Refusal.FAILED, Refusal.EXPIRED, Refusal.REJECTED, Refusal.UNREACHABLE, None])
@pytest.mark.parametrize("what", [READ, EXECUTE])
def test_a_failure_after_a_success_takes_nothing_back(what, second):
    world = held(what)
    world.reports("h1", NetworkState.DELIVERED)
    world.reports("h1", second)
    assert world.states() == ["DELIVERED"]
    world.passes(4000)
    assert len(world.submitted) == 1
    assert world.states() == ["UNANSWERED"]


@pytest.mark.parametrize("first", [Refusal.FAILED, Refusal.EXPIRED, Refusal.UNREACHABLE])
@pytest.mark.parametrize("what", [READ, EXECUTE])
def test_a_success_after_a_failure_ends_the_wait_for_the_next_try(what, first):
    world = held(what)
    world.reports("h1", first)
    assert world.states() == ["QUEUED"]
    world.reports("h1", NetworkState.DELIVERED)
    assert world.states() == ["DELIVERED"]
    world.passes(4000)
    assert len(world.submitted) == 1
    assert world.states() == ["UNANSWERED"]


def first_copy_arrived_after_all(what):
    """Return a world where the network holds a second copy, and reports that the device has the first one."""
    world = held(what)
    world.reports("h1", Refusal.FAILED)
    world.passes(6)
    assert len(world.submitted) == 2
    world.reports("h1", NetworkState.DELIVERED)
    return world


def test_a_second_copy_of_an_execute_is_taken_back_when_the_first_arrived_after_all():
    world = first_copy_arrived_after_all(EXECUTE)
    assert [one.handle for one in world.cancels] == ["h2"]
    assert world.states() == ["DELIVERED"]
    world.passes(4000)
    assert len(world.submitted) == 2
    assert world.states() == ["UNANSWERED"]


def test_a_second_copy_of_a_read_does_no_harm():
    world = first_copy_arrived_after_all(READ)
    assert world.cancels == []
    assert world.states() == ["BUFFERED"]


def test_a_second_copy_that_cannot_be_taken_back_is_asked_about_once():
    world = held(EXECUTE)
    world.cancel_answer = Cancellation.UNKNOWN
    world.reports("h1", Refusal.FAILED)
    world.passes(6)
    world.reports("h1", NetworkState.DELIVERED)
    world.passes(600)
    assert len(world.cancels) == 1
    assert len(world.submitted) == 2
