"""R10: deliver_by and answer_by, and where they come from."""

import pytest
from world import START, World, ack, request, response

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.message import Type, uint_value
from bridge.coap.numbers import Code
from bridge.coap.udp import decode
from bridge.delivery.explain import explain
from bridge.relay.model import Policy, ServerProfile

TTL = 65052


def test_r10_the_ttl_option_is_the_deadline_and_does_not_reach_the_radio(world: World):
    world.server_sends(request(3, payload=b"v", options=[(12, b"\x00"), (TTL, uint_value(3600)), (2049, b"kept")]))
    (row,) = world.downlinks()
    assert row["deliver_by"] == START + 3600
    assert world.submitted[0].attempt.deadline == START + 3600
    south = world.last_south()
    assert south.option(TTL) is None
    assert south.option(2049) == b"kept"
    assert south.payload == b"v"


@pytest.mark.parametrize("value", [b"", b"\xff" * 4, b"\xff" * 12])
def test_r10_any_ttl_value_is_taken(world: World, value):
    world.server_sends(request(options=[(TTL, value)]))
    (row,) = world.downlinks()
    assert START <= row["deliver_by"] <= START + 604800


def test_r10_a_server_may_ask_for_so_much_time_and_no_more(south):
    world = World(south, policy=Policy(max_ttl=1000.0))
    for mid, ttl in enumerate((999, 1000, 1001, 2**31)):
        world.server_sends(request(mid=mid, token=bytes((mid,)), options=[(TTL, uint_value(ttl))]))
    assert [row["deliver_by"] - START for row in world.downlinks()] == [999, 1000, 1000, 1000]
    assert world.counted("deadlines_cut") == 2


def test_r10_what_no_server_asked_for_is_not_cut(south):
    world = World(south, policy=Policy(max_ttl=60.0), default_ttl=700.0)
    world.server_sends(request())
    assert [row["deliver_by"] - START for row in world.downlinks()] == [700]


def test_r10_a_request_with_the_longest_deadline_says_so_while_it_waits(south):
    world = World(south, policy=Policy(max_ttl=1000.0))
    for mid, ttl in enumerate((999, 5000)):
        world.server_sends(request(mid=mid, token=bytes((mid,)), options=[(TTL, uint_value(ttl))]))
    first, second = explain(world.state.deliveries, world.wall, world.south, world.condition, 1000.0)
    assert "max_ttl" not in first.why
    assert second.why.endswith("its deadline is the latest that a server may ask for, 1000 s ([policy] max_ttl)")


def test_r10_a_ttl_of_zero_is_never_submitted(world: World):
    world.server_sends(request(options=[(TTL, b"")]))
    assert world.submitted == []
    assert world.states() == ["EXPIRED"]
    assert world.last_north().code == Code.GATEWAY_TIMEOUT


def test_r10_the_endpoints_policy_comes_after_the_option_and_before_answer_by(south):
    world = World(south, default_ttl=700.0)
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(mid=2, token=b"2", options=[(TTL, uint_value(50))]))
    assert [row["deliver_by"] - START for row in world.downlinks()] == [700, 50]
    bare = World(south)
    bare.server_sends(request())
    assert [row["deliver_by"] - START for row in bare.downlinks()] == [115]


def test_r10_answer_by_is_the_servers_patience_less_a_margin(south):
    world = World(south, ServerProfile(patience=30.0, margin=2.0))
    world.server_sends(request())
    world.passes(27.5)
    assert all(decode(d).code == 0 for d in world.to_server)
    world.passes(1)
    assert world.last_north().code == Code.GATEWAY_TIMEOUT


def test_r10_some_servers_are_left_in_silence(south):
    world = World(south, ServerProfile(silent_expiry=True))
    world.server_sends(request())
    world.passes(3000)
    assert [(m.type, m.code) for m in map(decode, world.to_server)] == [(Type.ACK, 0)]
    assert world.downlinks()[0]["answered"]


def test_r10_a_request_may_be_delivered_after_the_server_stopped_waiting(south):
    world = World(south, default_ttl=3600.0)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", retry_at=world.wall + 1000)
    world.server_sends(request(3, payload=b"on"))
    world.passes(116)
    assert world.last_north().code == Code.GATEWAY_TIMEOUT
    world.server_sends(ack(world.last_north()))
    world.network = Accepted("h", NetworkState.SENT)
    world.passes(1000)
    assert world.states() == ["SENT"]
    before = len(world.to_server)
    world.device_sends(response(world.last_south(), 68))
    assert len(world.to_server) == before
    assert world.states() == ["RESPONDED"]
    assert world.downlinks()[0]["late"]


def test_r10_the_verdict_on_a_request_is_given_once(world: World):
    world.server_sends(request())
    for _ in range(4):
        world.passes(116)
        world.restart()
    world.passes(20000)
    assert len(world.uplinks("verdict")) == 1
