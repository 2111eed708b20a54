"""R1, R20: what a device still notifies of an ended observation is never taken for another request's answer."""

from world import World, notification, observe, registered, request, response

from bindings.contract import Accepted, NetworkState
from bridge.coap.message import Type
from bridge.coap.numbers import OptionNumber as Opt


def test_a_message_with_observe_answers_no_request_without_it():
    world = World()
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request(2, "3/0/4", token=b"execute1"))
    stale = response(world.last_south(), payload=b"23", options=[(Opt.OBSERVE, b"\x05")], mtype=Type.CON, mid=900)
    world.device_sends(stale)
    assert world.downlinks()[0]["state"] == "BUFFERED"
    assert world.last_south().type is Type.RST
    assert world.last_south().mid == 900


def test_a_token_of_an_ended_observation_is_not_given_again():
    world = World()
    registered(world)
    world.server_sends(request(options=observe(), token=b"observe1"))
    ended = world.last_south().token
    world.device_sends(response(world.last_south(), options=[(Opt.OBSERVE, b"\x01")]))
    registered(world, mid=7)
    for number in range(300):
        world.passes(300)
        world.server_sends(request(mid=1000 + number, token=number.to_bytes(8, "big")))
        assert world.last_south().token != ended
        world.device_sends(response(world.last_south()))


def test_a_token_of_an_ended_observation_is_not_given_again_after_a_restart(south):
    """What is left of younger requests is an old one that was never answered."""
    world = World(south)
    world.server_sends(request(mid=1, token=b"silent"))
    world.passes(8000)
    registered(world)
    world.server_sends(request(mid=2, token=b"observe", options=observe()))
    ended = world.last_south()
    world.device_sends(response(ended, options=[(Opt.OBSERVE, b"\x01")]))
    registered(world, mid=7)
    world.passes(8000)
    world.restart()
    world.server_sends(request(mid=3, token=b"another", options=observe()))
    assert world.last_south().token != ended.token
    assert len(world.device_sends(notification(ended, 900, 9, b"stale"))) == 1
    assert world.last_south().type is Type.RST
    assert world.states()[-1] == "SENT"
