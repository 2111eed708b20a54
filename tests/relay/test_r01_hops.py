"""R1: two message layers; what is inside passes unchanged; south tokens are the bridge's own."""

from collections import deque

from world import World, ack, notification, observe, observed, registered, request, response

from bridge.coap.message import Type
from bridge.coap.numbers import OptionNumber as Opt
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.coap.udp import decode
from bridge.relay.model import Policy
from bridge.relay.state import RETIRED


def test_r01_options_and_payload_pass_unchanged_both_ways(world: World):
    options = [(int(Opt.CONTENT_FORMAT), b"\x00\x28"), (int(Opt.URI_HOST), b"h"), (2049, b"odd")]
    sent = request(3, "3/0/13", payload=b"hello", options=options)
    world.server_sends(sent)
    south = world.last_south()
    assert south.body == decode(sent).body
    back = response(south, 68, b"yes", [(2051, b"also odd")])
    world.device_sends(back)
    assert world.last_north().body == decode(back).body
    assert world.last_north().code == 68


def test_r01_each_hop_has_its_own_mid_and_token(world: World):
    world.server_sends(request(mid=777, token=b"12345678"))
    south = world.last_south()
    assert south.mid != 777
    assert len(south.token) == 1
    world.device_sends(response(south))
    assert world.last_north().token == b"12345678"


def test_r01_a_south_token_is_not_given_again_while_its_exchange_is_late_or_observed(world: World):
    held = {observed(world).token}
    world.server_sends(request(mid=101, token=b"late"))
    held.add(world.last_south().token)
    world.passes(2000)  # unanswered: a late answer is still recognised
    assert world.downlinks()[-1]["state"] == "UNANSWERED"
    for n in range(300):
        world.server_sends(request(mid=1000 + n, token=n.to_bytes(2, "big")))
        south = world.last_south()
        assert south.token not in held
        world.device_sends(response(south))
        if world.last_north().type is Type.CON:
            world.server_sends(ack(world.last_north()))
        world.passes(1)


def test_r01_a_token_of_one_byte_is_given_wherever_one_is_free():
    world = World()
    held = {observed(world).token: float("inf")}
    for n in range(1500):
        world.passes(0.5)  # 494 exchanges are remembered at a time
        world.server_sends(request(mid=1000 + n, token=n.to_bytes(2, "big")))
        south = world.last_south()
        world.device_sends(response(south))
        held = {token: until for token, until in held.items() if until >= world.wall}
        assert held.get(south.token, 0.0) <= world.wall
        assert len(south.token) == 1 or sum(len(token) == 1 for token in held) == 256
        held[south.token] = world.wall + EXCHANGE_LIFETIME


def test_r01_tokens_of_a_restarted_bridge_are_not_those_still_held(world: World):
    held = observed(world).token
    world.passes(3000)
    for start in (held[0] - 1) % 256, held[0]:
        world.restart()
        world.state.last_token = start
        world.server_sends(request(mid=200 + start, token=b"fresh%d" % start))
        assert world.last_south().token != held
        world.device_sends(response(world.last_south()))


def test_r01_a_request_with_observe_on_a_known_north_token_keeps_its_south_token(world: World):
    first = observed(world)
    world.passes(10)
    world.server_sends(request(mid=101, options=observe(1)))
    assert world.last_south().token == first.token
    assert world.last_south().mid != first.mid


def test_r01_both_answers_find_their_requests_when_two_share_a_token(world: World):
    """A server observes and, before the answer came, cancels with the same token (RFC 7641 §3.6)."""
    world.server_sends(request(mid=100, options=observe(0)))
    first = world.last_south()
    world.server_sends(request(mid=101, options=observe(1)))  # waits for the slot
    world.device_sends(response(first, payload=b"first", options=observe(5)))
    assert world.last_north().payload == b"first" or world.to_server[-1] != b""
    assert world.states() == ["RESPONDED", "SENT"]
    second = world.last_south()
    assert second.mid != first.mid
    world.device_sends(response(second, payload=b"second"))
    assert world.last_north().payload == b"second"
    assert world.states() == ["RESPONDED", "RESPONDED"]


def test_r01_a_notification_does_not_answer_a_request_that_has_not_left(world: World):
    first = observed(world)
    world.passes(10)
    world.server_sends(request(mid=200, token=b"other"))  # holds the slot
    world.server_sends(request(mid=201, options=observe(0)))  # the observation again: waits
    world.device_sends(notification(first, 4000))
    assert world.states() == ["RESPONDED", "SENT", "QUEUED"]
    assert [row["operation"] for row in world.uplinks("notification")] == ["Notify"]


def test_r01_a_response_goes_only_to_the_exchange_of_its_token(world: World):
    registered(world)
    world.server_sends(request(mid=100, token=b"mine"))
    south = world.last_south()
    before = len(world.to_server)
    wrong = response(south, mid=(south.mid + 1) & 0xFFFF)  # an acknowledgement of another message
    world.device_sends(wrong)
    assert len(world.to_server) == before
    assert world.states() == ["SENT"]


def test_r01_a_token_of_one_byte_is_free_again_after_its_rest_also_where_there_was_no_room_for_an_observation():
    world = World(policy=Policy(max_observations=1))
    world.server_sends(request(options=observe()))
    late = world.last_south()
    world.passes(2000)  # unanswered
    world.state.policy = Policy(max_observations=0)
    for n in range(RETIRED):
        world.state.retire(bytes((100 + n,)))
    world.state.freed = deque()  # all tokens of one byte were given once
    world.device_sends(notification(late, 7, 1))
    assert late.token in world.state.retired
    assert list(world.state.freed) == [bytes((100,))]
