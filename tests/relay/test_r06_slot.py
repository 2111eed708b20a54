"""R6: one request slot per device; answers go first, then the next block of a transfer, then first in, first out."""

import pytest
from world import LORAWAN, NIDD, World, register, registered, request, response, rst

from bindings.contract import Accepted, Ambiguous, Kind, NetworkState, Refusal, Refused
from bridge.coap.message import Type, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, empty
from bridge.delivery.network import NetworkCondition
from bridge.relay import events as ev


def requests_sent(world: World) -> list[int]:
    """Return the downlinks submitted as requests, in order."""
    return [s.attempt.downlink for s in world.submitted if s.attempt.kind is Kind.REQUEST]


@pytest.mark.parametrize("state", ["submitting", "buffered", "sent", "delivered", "unknown"])
def test_r06_the_slot_is_held(south, state):
    world = World(south)
    world.network = {
        "submitting": None,
        "buffered": Accepted("h", NetworkState.BUFFERED),
        "sent": Accepted("h", NetworkState.SENT),
        "delivered": Accepted("h", NetworkState.DELIVERED),
        "unknown": Ambiguous("lost"),
    }[state]
    world.server_sends(request(4, "3/0", mid=1, token=b"1", options=[]))  # Delete: not repeatable
    world.server_sends(request(mid=2, token=b"2"))
    assert len(world.submitted) == 1
    assert world.states()[1] == "QUEUED"


@pytest.mark.parametrize("end", ["response", "reset", "timeout", "cancelled"])
def test_r06_the_slot_is_given_on(south, end):
    world = World(south, default_ttl=86400.0)
    world.network = Accepted("h", NetworkState.BUFFERED if end == "cancelled" else NetworkState.SENT)
    world.server_sends(request(2, "3/0/4", mid=1, token=b"1"))
    first = world.last_south()
    world.server_sends(request(mid=2, token=b"2"))
    if end == "response":
        world.device_sends(response(first))
    elif end == "reset":
        world.device_sends(rst(first))
    elif end == "cancelled":
        world.event(ev.CancelAsked(world.submitted[0].attempt.downlink))
    else:
        world.passes(south.response_timeout - 1)
        assert len(world.submitted) == 1
        world.passes(2)
    assert len(world.submitted) == 2


def test_r06_answers_and_opaque_messages_take_no_slot(world: World):
    world.server_sends(request())
    world.device_sends(register())
    world.server_sends(response(world.last_north(), 65))
    assert world.submitted[-1].attempt.kind is Kind.ANSWER
    world.server_sends(bytes([23, 254, 253]) + bytes(10))
    assert world.submitted[-1].attempt.kind is Kind.OPAQUE


def test_r06_answers_go_before_requests(south):
    world = World(south)
    registered(world)
    world.network = None
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(mid=2, token=b"2"))
    world.device_sends(request(2, "dp", 9, b"s", b"[]"))
    world.server_sends(response(world.last_north(), 68))
    world.device_sends(response(world.last_south()))  # frees the slot while the call is still open
    world.answers_open_call(Accepted("h", NetworkState.SENT))
    assert world.submitted[-1].attempt.kind is Kind.ANSWER


def test_r06_an_answer_goes_where_all_others_wait_for_their_turn_at_the_network(world: World):
    world.condition = NetworkCondition(takes_answers=True, takes_others=False)
    world.server_sends(request())
    assert world.submitted == []
    world.device_sends(register())
    world.server_sends(response(world.last_north(), Code.CREATED))
    assert [submit.attempt.kind for submit in world.submitted] == [Kind.ANSWER]


def test_r06_requests_go_first_in_first_out(world: World):
    for n in range(5):
        world.server_sends(request(mid=n, token=bytes((n,)), path=f"3/0/{n}"))
    for _ in range(5):
        world.device_sends(response(world.last_south()))
    assert requests_sent(world) == sorted(requests_sent(world))
    assert len(set(requests_sent(world))) == 5


def test_r06_the_next_block_of_a_running_transfer_goes_before_what_came_earlier(world: World):
    def block(number: int, mid: int) -> bytes:
        value = uint_value(number << 4 | 8)
        return request(3, "5/0/0", mid, b"t%d" % mid, b"x" * 16, [(int(Opt.BLOCK1), value)])

    world.server_sends(block(0, 1))
    world.server_sends(request(mid=50, token=b"r"))
    world.device_sends(response(world.last_south(), 95))  # the read goes now
    world.server_sends(request(mid=51, token=b"r2"))
    world.server_sends(block(1, 2))
    world.device_sends(response(world.last_south()))
    assert world.last_south().uint(Opt.BLOCK1) == 1 << 4 | 8


def test_r06_what_came_later_does_not_overtake_a_request_that_waits_to_be_tried_again(south):
    world = World(south)
    world.network = Refused(Refusal.RATE_LIMITED, "429", retry_at=world.wall + 30)
    world.server_sends(request(mid=1, token=b"1"))
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(request(mid=2, token=b"2"))
    assert len(world.submitted) == 1
    world.passes(31)
    assert requests_sent(world)[:2] == [world.submitted[0].attempt.downlink] * 2


def test_r06_one_network_call_at_a_time():
    for profile in NIDD, LORAWAN:
        world = World(profile)
        world.network = None
        world.server_sends(request())
        world.device_sends(register())
        world.server_sends(response(world.last_north(), 65))
        assert len(world.submitted) == 1
        world.answers_open_call(Accepted("h", NetworkState.SENT))
        assert len(world.submitted) == 2
        assert decode(world.submitted[1].attempt.payload).code == 65


def test_r06_the_slot_is_free_once_nobody_waits_and_the_device_is_heard():
    """The device's one answer was lost on the air: the next request must not wait for it for 1500 s."""
    world = World(LORAWAN)
    world.network = Accepted("h1", NetworkState.SENT)
    world.server_sends(request(mid=1, token=b"1"))
    lost = world.last_south()
    world.device_sends(empty(Type.NON, 7), "k1")  # a poll, while the server still waits: its answer may yet come
    world.passes(116)
    world.server_sends(request(mid=2, token=b"2"))
    assert len(world.submitted) == 1
    world.restart()
    world.device_sends(empty(Type.NON, 8), "k2")
    assert len(world.submitted) == 2
    world.device_sends(response(world.last_south()))
    assert world.states() == ["SENT", "RESPONDED"]
    world.device_sends(response(lost), "k3")
    assert world.states() == ["RESPONDED", "RESPONDED"]
    assert world.downlinks()[0]["late"]


def test_r06_a_slot_that_was_free_stays_free_after_a_restart():
    world = World(LORAWAN)
    world.network = Accepted("h1", NetworkState.SENT)
    world.server_sends(request(mid=1, token=b"1"))
    world.passes(116)
    world.device_sends(empty(Type.NON, 8), "k2")
    world.restart()
    world.server_sends(request(mid=2, token=b"2"))
    assert len(world.submitted) == 2
