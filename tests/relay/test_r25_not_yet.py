"""R25: a size that fits soon, as after a LoRaWAN join, is waited for; only what will not fit then is too large."""

from dataclasses import replace

from test_r25_size import write
from world import LORAWAN, World, request, response

from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, empty
from bridge.delivery.network import FREE, NetworkCondition
from bridge.relay import events as ev

JOINED = replace(LORAWAN, max_downlink=36, max_downlink_soon=51)
SETTLED = replace(LORAWAN, max_downlink=51)
FULL = NetworkCondition(takes_answers=False, takes_others=False)
LONG_PATH = "3303/0/5700/a-long-name-of-a-resource-123"  # without a payload that could be split


def settles(world: World, mid: int = 99) -> None:
    """Let the device send one more message, after which the network carries more."""
    world.south = SETTLED
    world.device_sends(empty(0, mid))


def test_r25_a_request_that_fits_soon_waits_and_goes_with_the_devices_next_message():
    world = World(JOINED)
    assert [one.code for one in world.server_sends(request(path=LONG_PATH))] in ([], [Code.EMPTY])
    assert world.states() == ["QUEUED"]
    assert world.downlinks()[0]["reason"].startswith("does not fit yet: ")
    settles(world)
    assert [len(one.attempt.payload) > 36 for one in world.submitted] == [True]
    assert not world.downlinks()[0]["reason"]


def test_r25_what_does_not_fit_in_time_is_expired_and_says_why():
    world = World(JOINED)
    world.server_sends(request(path=LONG_PATH))
    world.passes(130)
    assert world.submitted == []
    assert world.states() == ["EXPIRED"]
    assert "does not fit yet" in world.downlinks()[0]["reason"]


def test_r25_a_first_firmware_block_is_offered_the_size_that_fits_soon():
    """Now not even a block of 16 bytes fits."""
    world = World(replace(JOINED, max_downlink=20))
    (offer,) = world.server_sends(write(bytes(512), 8 | 5))
    assert (offer.code, offer.uint(Opt.BLOCK1)) == (Code.REQUEST_ENTITY_TOO_LARGE, 1)  # 32 bytes
    world.server_sends(write(bytes(32), 8 | 1, mid=6))
    assert world.states() == ["QUEUED"]
    settles(world)
    assert decode(world.submitted[-1].attempt.payload).uint(Opt.BLOCK1) == 8 | 1


def test_r25_what_will_not_fit_either_is_too_large_at_once():
    world = World(replace(JOINED, max_downlink=20, max_downlink_soon=24))
    (answer,) = world.server_sends(request(path=LONG_PATH))
    assert answer.code == Code.SERVICE_UNAVAILABLE
    assert b"too large" in answer.payload
    assert world.downlinks() == []


def test_r25_a_join_while_a_request_waits_does_not_end_it():
    world = World(replace(SETTLED, max_downlink=60))
    world.condition = FULL
    world.server_sends(request(path=LONG_PATH))
    world.south = JOINED
    world.event(ev.DeviceJoined())
    world.condition = FREE
    world.event(ev.Tick())
    assert (world.states(), world.submitted) == (["QUEUED"], [])
    world.restart()
    settles(world)
    assert len(world.submitted) == 1
    world.device_sends(response(world.last_south(), Code.CONTENT, b"v"))
    assert world.states() == ["RESPONDED"]
