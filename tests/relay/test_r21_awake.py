"""R21: what a server in queue mode believes, awake or asleep, and how that agrees with what the network knows."""

from dataclasses import replace

import pytest
from world import LORAWAN, NIDD, World, ack, notification, observed, register, request, response

from bridge.coap.message import Type
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, empty
from bridge.config.profiles import PROFILES
from bridge.relay import events as ev
from bridge.relay.awake import TOKEN, awake_until
from bridge.relay.model import QueueMode

KINDS = sorted(PROFILES)


def world_of(kind: str, south=NIDD, *, announce: bool = False, **changes) -> World:
    """Return a world whose server is of a kind, knows that the device sleeps, and has it registered."""
    profile = replace(PROFILES[kind], queue_mode=QueueMode.KEEP, announce_awake=announce, **changes)
    world = World(south, profile)
    world.device_sends(register(mid=1, queries=["lt=86400", "lwm2m=1.1", "b=U", "Q"]))
    created = [(int(Opt.LOCATION_PATH), b"rd"), (int(Opt.LOCATION_PATH), b"7")]
    world.server_sends(response(world.last_north(), Code.CREATED, b"", created))
    return world


def awake_for(world: World) -> float:
    """Return the seconds for which the server takes the device for awake, from now on; negative: it is asleep."""
    (registration,) = world.state.registrations
    until = awake_until(registration, world.endpoint.servers[0].profile)
    assert until is not None
    return until - world.wall


@pytest.mark.parametrize(("kind", "seconds"), [("leshan", 93), ("thingsboard", 10), ("emqx", 22), ("default", 93)])
def test_r21_a_register_makes_the_device_awake_for_as_long_as_this_kind_of_server_says(kind, seconds):
    world = world_of(kind)
    assert awake_for(world) == seconds
    world.passes(seconds + 1)
    world.restart()
    assert awake_for(world) == -1


def test_r21_a_server_that_was_not_told_of_the_sleep_sends_at_any_time():
    world = world_of("leshan")
    world.state.registrations[0].queue_mode = False
    assert awake_until(world.state.registrations[0], PROFILES["leshan"]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_r21_update_notification_and_response_make_it_awake_again(kind):
    world = world_of(kind)
    seconds = PROFILES[kind].awake_time
    south = observed(world)
    for number in range(3):
        world.passes(200)
        assert awake_for(world) < 0
        if number == 0:
            world.device_sends(request(2, "rd/7", 50, b"u"))
            world.server_sends(response(world.last_north(), Code.CHANGED, b""))
        elif number == 1:
            world.device_sends(notification(south, 60))
            world.server_sends(ack(world.last_north()))
        else:
            world.server_sends(request(1, "3", 9, b"x"))
            world.device_sends(response(world.last_south(), Code.CONTENT, b"v"))
        assert awake_for(world) == seconds


@pytest.mark.parametrize(("kind", "counts"), [("leshan", False), ("emqx", True), ("thingsboard", True)])
def test_r21_whether_a_send_makes_it_awake_depends_on_the_server(kind, counts):
    world = world_of(kind)
    world.passes(200)
    world.device_sends(request(2, "dp", 50, b"s", b"[]"))
    world.server_sends(response(world.last_north(), Code.CHANGED, b""))
    assert (awake_for(world) > 0) == counts


def test_r21_leshan_takes_a_device_for_asleep_that_does_not_answer_in_time_and_gets_no_504():
    """A 5.04 would be a response: it would make the device awake for another 93 s."""
    world = world_of("leshan", patience=30.0)
    world.network = None
    before = len(world.to_server)
    world.server_sends(request(1, "3", 9, b"x"))
    world.passes(40)
    assert all(decode(data).code == Code.EMPTY for data in world.to_server[before:])
    assert awake_for(world) < -1e6


def test_r21_what_the_bridge_itself_answers_makes_it_awake_as_well():
    """The server cannot tell a refusal of the bridge from a response of the device."""
    world = world_of("leshan", LORAWAN)
    world.passes(200)
    (refusal,) = world.server_sends(request(3, "5/0/1", 9, b"x", bytes(200)))
    assert refusal.code == Code.REQUEST_ENTITY_TOO_LARGE
    assert awake_for(world) == 93


def polls(world: World) -> None:
    world.device_sends(empty(Type.CON, 77))


def is_reported(world: World) -> None:
    world.event(ev.DeviceReachable())


def sends(world: World) -> None:
    world.device_sends(request(2, "dp", 50, b"s", b"[]"))
    world.server_sends(response(world.last_north(), Code.CHANGED, b""))


@pytest.mark.parametrize(("late", "announced"), [(90.0, 1), (93.0, 0)])
def test_r21_a_sign_that_comes_after_the_device_is_asleep_again_announces_nothing(south, late, announced):
    """Such as out of the inbox: the server would send to a device that no longer listens."""
    world = world_of("leshan", south, announce=True)
    world.passes(200)
    world.event(ev.DeviceReachable(heard_at=world.wall - late))
    assert world.counted("devices_announced") == announced


@pytest.mark.parametrize("sign", [polls, is_reported, sends])
@pytest.mark.parametrize("south", [NIDD, LORAWAN], ids=["nidd", "lorawan"])
def test_r21_a_reachable_device_is_announced_to_a_server_that_takes_it_for_asleep(south, sign):
    world = world_of("leshan", south, announce=True)
    world.passes(200)
    sign(world)
    update = world.last_north()
    assert (update.type, update.code, update.token) == (Type.CON, Code.POST, TOKEN)
    assert update.strings(Opt.URI_PATH) == ["rd", "7"]
    assert world.counted("devices_announced") == 1
    before = len(world.submitted)
    world.server_sends(response(update, Code.CHANGED, b""))
    assert awake_for(world) == 93
    assert len(world.submitted) == before  # the device hears nothing of it
    sign(world)  # it is awake now
    assert world.counted("devices_announced") == 1


@pytest.mark.parametrize("sign", [polls, is_reported])
def test_r21_nothing_is_announced_unasked(sign):
    world = world_of("leshan")
    world.passes(200)
    before = len(world.to_server)
    sign(world)
    assert len(world.to_server) == before


def test_r21_a_server_that_forgot_the_registration_says_so_to_the_announcement():
    world = world_of("leshan", announce=True)
    world.passes(200)
    polls(world)
    world.server_sends(response(world.last_north(), Code.NOT_FOUND, b""))
    assert world.state.registrations == []
