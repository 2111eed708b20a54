"""R5: the acknowledgement is held for a quick answer, else Empty ACK and a separate confirmable response."""

import itertools
from dataclasses import replace

import pytest
from world import LORAWAN, NIDD, World, ack, request, response, rst

from bindings.contract import Accepted, NetworkState
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import decode
from bridge.delivery.network import FREE, NetworkCondition
from bridge.relay import events as ev


def test_r05_a_quick_answer_is_piggybacked():
    world = World(NIDD)
    assert world.server_sends(request()) == []
    world.passes(0.5)
    world.device_sends(response(world.last_south()))
    assert [decode(d).type for d in world.to_server] == [Type.ACK]
    assert world.last_north().code == Code.CONTENT


def test_r05_after_the_window_an_empty_ack_goes_and_the_answer_is_separate():
    world = World(NIDD)
    world.server_sends(request())
    world.passes(0.9)
    assert world.to_server == []
    world.passes(0.2)
    assert [(m.type, m.code) for m in map(decode, world.to_server)] == [(Type.ACK, 0)]
    world.device_sends(response(world.last_south()))
    separate = world.last_north()
    assert (separate.type, separate.code, separate.token) == (Type.CON, Code.CONTENT, b"12345678")


def test_r05_a_slow_network_is_not_waited_for():
    world = World(LORAWAN)
    (empty,) = world.server_sends(request())
    assert (empty.type, empty.code, empty.mid) == (Type.ACK, 0, 100)


def test_r05_a_request_that_the_network_holds_is_acknowledged_at_once():
    world = World(NIDD)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request())
    assert [(m.type, m.code) for m in map(decode, world.to_server)] == [(Type.ACK, 0)]


def test_r05_a_request_that_the_network_holds_and_sends_soon_can_be_answered_piggybacked():
    world = World(replace(NIDD, sends_soon=True))
    world.network = Accepted("h", NetworkState.BUFFERED)
    assert world.server_sends(request()) == []
    world.passes(0.9)
    world.device_sends(response(world.last_south()))
    assert [decode(d).type for d in world.to_server] == [Type.ACK]
    assert world.last_north().code == Code.CONTENT


def test_r05_a_request_that_the_network_holds_longer_than_the_window_is_acknowledged_when_that_ends():
    world = World(replace(NIDD, sends_soon=True))
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request())
    world.passes(1.1)
    assert [(m.type, m.code) for m in map(decode, world.to_server)] == [(Type.ACK, 0)]


def test_r05_a_request_behind_another_is_acknowledged_at_once():
    world = World(NIDD)
    world.server_sends(request(mid=1, token=b"1"))
    (empty,) = world.server_sends(request(mid=2, token=b"2"))
    assert (empty.type, empty.code, empty.mid) == (Type.ACK, 0, 2)


ITS_TURN_IS_SOON = NetworkCondition(takes_answers=False, takes_others=False, is_turn_soon=True)


def test_r05_a_request_that_waits_for_a_few_calls_of_others_can_be_answered_piggybacked():
    world = World(NIDD)
    world.condition = ITS_TURN_IS_SOON
    assert world.server_sends(request()) == []
    world.passes(0.5)
    world.condition = FREE
    world.event(ev.Tick())  # its turn has come
    world.device_sends(response(world.last_south()))
    assert [decode(d).type for d in world.to_server] == [Type.ACK]
    assert world.last_north().code == Code.CONTENT


def test_r05_a_request_that_waits_for_a_few_calls_of_others_is_acknowledged_when_the_window_ends():
    world = World(NIDD)
    world.condition = ITS_TURN_IS_SOON
    world.server_sends(request())
    world.passes(0.9)
    assert world.to_server == []
    world.passes(0.2)
    assert [(m.type, m.code) for m in map(decode, world.to_server)] == [(Type.ACK, 0)]


@pytest.mark.parametrize(
    "condition",
    [
        NetworkCondition(takes_answers=False, takes_others=False),  # many endpoints wait
        NetworkCondition(takes_answers=False, takes_others=False, paused_until=1_700_000_060.0),
        NetworkCondition(takes_answers=False, takes_others=False, limited_until=1_700_000_060.0),
    ],
)
def test_r05_a_request_that_has_to_wait_long_for_its_network_is_acknowledged_at_once(condition: NetworkCondition):
    world = World(NIDD)
    world.condition = condition
    (empty,) = world.server_sends(request())
    assert (empty.type, empty.code, empty.mid) == (Type.ACK, 0, 100)


def test_r05_of_two_requests_that_wait_only_the_next_one_can_be_answered_piggybacked():
    world = World(NIDD)
    world.condition = ITS_TURN_IS_SOON
    assert world.server_sends(request(mid=1, token=b"1")) == []
    (empty,) = world.server_sends(request(mid=2, token=b"2"))
    assert (empty.type, empty.code, empty.mid) == (Type.ACK, 0, 2)


def test_r05_a_separate_response_is_retransmitted_as_rfc_7252_says(world: World):
    world.server_sends(request())
    world.passes(2)
    world.device_sends(response(world.last_south()))
    at = [world.wall]
    count = len(world.to_server)
    for _ in range(1000):
        world.passes(0.1)
        if len(world.to_server) > count:
            count += 1
            at.append(world.wall)
    pauses = [b - a for a, b in itertools.pairwise(at)]
    assert 2.0 <= pauses[0] <= 3.1
    assert len(pauses) >= 4
    for earlier, later in itertools.pairwise(pauses):
        assert later == pytest.approx(earlier * 2, abs=0.25)


@pytest.mark.parametrize("end", ["ack", "rst", "answer_by"])
def test_r05_retransmission_stops_at_ack_reset_or_answer_by(world: World, end):
    world.server_sends(request())
    world.passes(2)
    world.device_sends(response(world.last_south()))
    separate = world.last_north()
    if end == "ack":
        world.server_sends(ack(separate))
    elif end == "rst":
        world.server_sends(rst(separate))
    else:
        world.passes(115)
    count = len(world.to_server)
    world.passes(600)
    assert len(world.to_server) == count
    expected = {"ack": "FORWARDED", "rst": "REJECTED", "answer_by": "EXPIRED"}[end]
    assert [row["state"] for row in world.uplinks("response")] == [expected]


def test_r05_a_separate_response_is_resumed_with_its_mid_after_a_restart(world: World):
    world.server_sends(request())
    world.passes(2)
    world.device_sends(response(world.last_south()))
    separate = world.to_server[-1]
    world.passes(1)
    world.restart()
    assert world.to_server[-1] == separate
    world.passes(10)
    assert world.to_server[-1] == separate
    world.server_sends(ack(decode(separate)))
    assert [row["state"] for row in world.uplinks("response")] == ["FORWARDED"]


def test_r05_a_non_request_is_answered_non_and_never_acknowledged(world: World):
    world.server_sends(request(mtype=Type.NON))
    world.passes(5)
    assert world.to_server == []
    world.device_sends(response(world.last_south(), mtype=Type.NON, mid=9))
    assert [decode(d).type for d in world.to_server] == [Type.NON]


@pytest.mark.parametrize("mtype", [Type.CON, Type.NON])
def test_r05_an_answer_that_cannot_leave_now_goes_as_a_message_that_the_server_acknowledges(mtype: Type):
    world = World(NIDD)
    world.server_sends(request(mtype=mtype))
    world.link_fails()
    world.device_sends(response(world.last_south()))
    assert [up["state"] for up in world.uplinks("response")] == ["RECEIVED"]
    world.passes(5)
    world.link_opens()
    assert (world.last_north().type, world.last_north().code) == (Type.CON, Code.CONTENT)
    assert [up["state"] for up in world.uplinks("response")] == ["RECEIVED"]
    world.server_sends(ack(world.last_north()))
    assert [up["state"] for up in world.uplinks("response")] == ["FORWARDED"]


@pytest.mark.parametrize("mtype", [Type.CON, Type.NON])
def test_r05_an_answer_with_more_bytes_than_may_leave_now_goes_as_a_message_that_the_server_acknowledges(mtype: Type):
    """As toward a server that has not shown its address: the answer is held back, and may be dropped there."""
    world = World(NIDD)
    world.server_sends(request(mtype=mtype))
    world.most_to_server = 100
    world.device_sends(response(world.last_south(), payload=bytes(300)))
    assert world.last_north().type is Type.CON
    assert [up["state"] for up in world.uplinks("response")] == ["RECEIVED"]
    world.server_sends(ack(world.last_north()))
    assert [up["state"] for up in world.uplinks("response")] == ["FORWARDED"]
