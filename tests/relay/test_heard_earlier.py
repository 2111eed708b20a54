"""What a network delivers later than it heard it, such as its history after an outage: time has gone on."""

import pytest
from world import START, World, ack, notification, observed, register, request, response

from bindings.contract import Accepted, Ambiguous, NetworkState, Refusal, Refused
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import empty
from bridge.relay import events as ev


def test_r14_the_answer_to_an_earlier_message_has_the_rest_of_the_devices_exchange(world: World, south):
    heard_at = START - 200.0
    world.device_sends(register(), heard_at=heard_at)
    world.server_sends(response(world.last_north(), Code.CREATED))
    assert world.submitted[-1].attempt.deadline == heard_at + south.exchange_span


def test_r14_an_answer_that_the_device_no_longer_waits_for_is_not_sent(world: World, south):
    world.device_sends(request(2, "dp", 5, b"s", b"[]"), heard_at=START - south.exchange_span - 1)
    world.server_sends(response(world.last_north(), Code.CHANGED))
    world.passes(1)
    assert world.submitted == []
    assert [down["state"] for down in world.downlinks("answer")] == ["EXPIRED"]


def test_r15_a_register_that_the_device_has_given_up_ends_without_reaching_the_server(world: World, south):
    world.device_sends(register(), heard_at=START - south.exchange_span)
    assert world.to_server == []
    (up,) = world.uplinks("request")
    assert (up["state"], up["reason"]) == ("EXPIRED", "the network delivered it after the device had stopped waiting")


def test_r15_data_of_long_ago_still_has_its_whole_time(world: World):
    north = observed(world)
    world.device_sends(request(2, "dp", 5, b"s", b"[]"), heard_at=START - 1e6)
    world.device_sends(notification(north, 77), heard_at=START - 1e6)
    ends = {up["operation"]: up["expires_at"] for kind in ("request", "notification") for up in world.uplinks(kind)}
    assert ends == {"Send": world.wall + world.policy.long_ttl, "Notify": world.wall + world.policy.long_ttl}


def test_r13_repeats_are_told_by_when_they_were_heard(world: World, south):
    world.device_sends(register(), "1", heard_at=START - south.exchange_span - 30)
    world.device_sends(register(), "2", heard_at=START - 20)
    assert [up["state"] for up in world.uplinks("request")] == ["EXPIRED", "RECEIVED"]


def test_r15_data_that_waited_in_the_inbox_lives_from_when_its_network_was_told_that_it_is_kept(world: World):
    """Another bridge took it, and nobody served the device: as a bridge that was down meanwhile would have it."""
    north = observed(world)
    kept_at = world.wall - 3600.0
    for data in (request(2, "dp", 5, b"s", b"[]"), notification(north, 77)):
        world.event(ev.DeviceMessage(data, None, kept_at, None, kept_at))
    ends = {up["operation"]: up["expires_at"] for kind in ("request", "notification") for up in world.uplinks(kind)}
    assert ends == {"Send": kept_at + world.policy.long_ttl, "Notify": kept_at + world.policy.long_ttl}


SIGNS = {
    "uplink": lambda heard_at: ev.DeviceMessage(empty(Type.ACK, 77), None, heard_at),
    "report": lambda heard_at: ev.DeviceReachable(heard_at=heard_at),
}


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize(("heard", "submitted"), [(-30.0, 1), (30.0, 2)], ids=["before", "after"])
def test_r9_what_was_heard_before_an_attempt_says_nothing_of_it(south, sign, heard, submitted):
    """An attempt in doubt holds the slot until the device is heard after it, however late that is told."""
    world = World(south, default_ttl=86400.0)
    world.network = Ambiguous("lost")
    world.server_sends(request(4, "3/0", mid=1, token=b"1", options=[]))  # Delete: not repeatable
    tried_at = world.wall
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(request(mid=2, token=b"2"))
    world.passes(60)
    assert len(world.submitted) == 1
    world.event(SIGNS[sign](tried_at + heard))
    assert len(world.submitted) == submitted


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize(("heard", "submitted"), [(-30.0, 1), (30.0, 2)], ids=["before", "after"])
def test_a_device_that_was_found_out_of_reach_since_it_was_heard_is_left_alone(south, sign, heard, submitted):
    world = World(south, default_ttl=86400.0)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", retry_at=world.wall + 3600)
    world.server_sends(request(mid=1, token=b"1"))
    tried_at = world.wall
    world.passes(60)
    world.event(SIGNS[sign](tried_at + heard))
    assert len(world.submitted) == submitted


def test_nothing_is_heard_later_than_now(world: World, south):
    world.device_sends(register(), heard_at=START + 3600)
    (up,) = world.uplinks("request")
    assert (up["received_at"], up["expires_at"]) == (START, START + south.exchange_span)
    assert ack(1) not in world.to_server
