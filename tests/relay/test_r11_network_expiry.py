"""R11: a network that expires by itself may be quicker than the cancel; its report says what the cancel could not."""

from world import World, request

from bindings.contract import Accepted, Cancellation, NetworkState, Refusal
from bridge.coap.numbers import Code
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
    assert [row["state"] for row in world.downlinks()] == ["SENT"]
    world.event(ev.Reported("h1", Refusal.EXPIRED, "maximumLatency over"))
    assert [row["state"] for row in world.downlinks()] == ["EXPIRED"]
    assert world.last_north().code == Code.GATEWAY_TIMEOUT


def test_without_such_a_report_it_counts_as_sent():
    world = expired_in_the_network()
    world.passes(400)
    assert [row["state"] for row in world.downlinks()] == ["UNANSWERED"]


def test_a_report_of_expiry_for_what_was_reported_sent_changes_nothing():
    world = World()
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request())
    world.event(ev.Reported("h1", NetworkState.SENT))
    world.event(ev.Reported("h1", Refusal.EXPIRED))
    assert [row["state"] for row in world.downlinks()] == ["SENT"]
