"""R12: after 5.04 nothing more is forwarded; a late response is recorded."""

import pytest
from world import World, ack, notification, observe, request, response, rst

from bindings.contract import Accepted, Cancellation, NetworkState
from bridge.coap.message import Type, uint_value
from bridge.coap.numbers import Code
from bridge.relay import events as ev
from bridge.relay.model import Policy

TTL = 65052
HOUR = 3600


def timed_out(south, data: bytes) -> World:
    world = World(south)
    world.server_sends(data)
    world.passes(116)
    assert world.last_north().code == Code.GATEWAY_TIMEOUT
    return world


@pytest.mark.parametrize("mtype", [Type.ACK, Type.CON, Type.NON])
@pytest.mark.parametrize("restarts", [False, True])
def test_r12_a_late_response_is_recorded_and_not_forwarded(south, mtype, restarts):
    world = timed_out(south, request())
    asked = world.last_south()
    world.server_sends(ack(world.last_north()))
    world.passes(3000)
    if restarts:
        world.restart()
    before = len(world.to_server)
    got = world.device_sends(response(asked, mtype=mtype, mid=asked.mid if mtype is Type.ACK else 99))
    assert len(world.to_server) == before
    (row,) = world.downlinks()
    assert (row["state"], row["late"]) == ("UNANSWERED", True)
    assert [up["state"] for up in world.uplinks("response")] == ["EXPIRED"]
    assert got == ([ack(99)] if mtype is Type.CON else [])


def test_r12_the_servers_reset_to_the_verdict_is_swallowed(south):
    world = timed_out(south, request())
    before = len(world.submitted)
    verdict = world.last_north()
    world.server_sends(rst(verdict))
    world.passes(10)
    assert [row["state"] for row in world.uplinks("verdict")] == ["REJECTED"]
    assert len(world.submitted) == before


def test_r12_an_observation_that_a_late_response_began_is_answered_reset(south):
    world = timed_out(south, request(options=observe()))
    asked = world.last_south()
    world.device_sends(response(asked, options=observe(1)))
    before = len(world.to_server)
    assert world.device_sends(notification(asked, 4000)) == [rst(4000)]
    assert len(world.to_server) == before
    assert world.device_sends(notification(asked, 4001, 3)) == [rst(4001)]


def test_r12_a_second_late_response_changes_nothing_more(south):
    world = timed_out(south, request())
    asked = world.last_south()
    world.device_sends(response(asked))
    world.passes(5)
    world.device_sends(response(asked, payload=b"other"))
    assert world.states() == ["RESPONDED"]
    assert world.downlinks()[0]["late"]


@pytest.mark.parametrize("restarts", [False, True])
def test_r12_what_the_network_may_still_send_is_remembered_until_then(restarts):
    """The request ends long before its deadline, but not for the network: its answer and its token stay its own."""
    world = World()
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.cancel_answer = Cancellation.UNKNOWN
    world.server_sends(request(options=[(TTL, uint_value(48 * HOUR))]))
    asked = world.last_south()
    world.event(ev.CancelAsked(world.submitted[0].attempt.downlink))
    world.passes(1 * HOUR)
    assert world.states() == ["UNKNOWN"]
    world.passes(43 * HOUR)
    if restarts:
        world.restart()
    world.device_sends(response(asked))
    (row,) = world.downlinks()
    assert row["late"]
    assert [up["state"] for up in world.uplinks("response")] == ["EXPIRED"]


def test_r12_r30_a_request_that_was_transmitted_is_kept_no_longer_for_a_long_ttl(south):
    world = World(south)
    world.server_sends(request(options=[(TTL, uint_value(2**31))]))
    world.passes(10_000)
    (row,) = world.downlinks()
    assert row["state"] == "UNANSWERED"
    assert row["keep_until"] == row["finished_at"] + 24 * HOUR


def test_r12_r30_a_request_that_the_network_may_still_transmit_is_kept_for_a_month_at_most(south):
    world = World(south, policy=Policy(max_ttl=366 * 24 * HOUR))
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request(options=[(TTL, uint_value(2**31))]))
    world.event(ev.EndpointRemoved("the endpoint was removed"))
    (row,) = world.downlinks()
    assert row["over"]
    assert row["keep_until"] == row["finished_at"] + 31 * 24 * HOUR
