"""R11: a network that expires by itself may be quicker than the cancel; its report says what the cancel could not."""

from world import World, request

from bindings.contract import Accepted, Cancellation, NetworkState, Refusal
from bridge.coap.numbers import Code
from bridge.delivery.rules import WORD_MAY_COME
from bridge.relay import events as ev


def expired_in_the_network() -> World:
    world = World()
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.cancel_answer = Cancellation.GONE
    world.server_sends(request())
    world.passes(116)
    assert world.cancels
    return world


def test_a_report_of_expiry_after_the_cancel_found_it_gone_is_the_outcome():
    world = expired_in_the_network()
    assert [row["state"] for row in world.downlinks()] == ["UNKNOWN"]
    world.event(ev.Reported("h1", Refusal.EXPIRED, "maximumLatency over"))
    assert [row["state"] for row in world.downlinks()] == ["EXPIRED"]
    assert world.last_north().code == Code.GATEWAY_TIMEOUT


def test_without_such_a_report_nobody_knows():
    world = expired_in_the_network()
    world.passes(400)
    assert [row["state"] for row in world.downlinks()] == ["UNKNOWN"]


def test_a_network_that_could_not_cancel_may_still_say_that_it_gave_the_message_up():
    """A SCEF whose answer to DELETE is 405 reports FAILURE_TIMEOUT a second after the deadline."""
    world = World()
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.cancel_answer = Cancellation.UNKNOWN
    world.server_sends(request())
    world.passes(116)
    assert len(world.cancels) == 1
    world.event(ev.Reported("h1", Refusal.EXPIRED, "FAILURE_TIMEOUT"))
    assert [row["state"] for row in world.downlinks()] == ["EXPIRED"]
    assert len(world.cancels) == 1  # not asked again and again


def test_it_is_not_waited_for_for_ever():
    world = World()
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.cancel_answer = Cancellation.UNKNOWN
    world.server_sends(request())
    world.passes(115 + WORD_MAY_COME)
    assert [(row["state"], row["over"]) for row in world.downlinks()] == [("UNKNOWN", True)]
    world.event(ev.Reported("h1", Refusal.EXPIRED))
    assert [row["state"] for row in world.downlinks()] == ["UNKNOWN"]


def test_a_report_of_expiry_for_what_was_reported_sent_changes_nothing():
    world = World()
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request())
    world.event(ev.Reported("h1", NetworkState.SENT))
    world.event(ev.Reported("h1", Refusal.EXPIRED))
    assert [row["state"] for row in world.downlinks()] == ["SENT"]
