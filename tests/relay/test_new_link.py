"""A link toward a server opened: what was repeated in vain goes at once, and a new connection gets the registration."""

import pytest
from world import World, notification, observed, register, registered, response

from bridge.coap.message import NON
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode
from bridge.relay import events as ev
from bridge.relay.new_link import TOKEN


def opens(world: World, server: str = "srv", *, new_address: bool = True) -> list[bytes]:
    """Let a link open; return what went to servers because of it."""
    before = len(world.to_server)
    world.event(ev.LinkOpened(server, new_address))
    return world.to_server[before:]


def test_a_registration_is_bound_to_the_new_connection_by_an_update_without_parameters(world: World):
    registered(world)
    (data,) = opens(world)
    update = decode(data)
    assert (update.code, update.type, update.strings(Opt.URI_PATH), update.payload) == (2, NON, ["rd", "abc"], b"")
    assert update.option(Opt.URI_QUERY) is None
    south = len(world.submitted)
    world.server_sends(response(update, Code.CHANGED, b""))
    assert len(world.submitted) == south, "the device knows nothing of it"


def test_a_server_that_forgot_the_registration_makes_the_device_register_anew(world: World):
    registered(world)
    world.server_sends(response(decode(opens(world)[0]), Code.NOT_FOUND, b""))
    assert opens(world) == []
    world.restart()
    world.device_sends(bytes((0x41, 2, 0, 9, 1)) + b"\xb2rd\x03abc")
    assert world.last_south().code == Code.NOT_FOUND


def test_another_answer_is_counted(world: World):
    registered(world)
    world.server_sends(response(decode(opens(world)[0]), Code.FORBIDDEN, b""))
    assert world.counted("registrations_not_bound") == 1


def test_the_answer_is_known_after_a_restart(world: World):
    registered(world)
    update = decode(opens(world)[0])
    world.restart()
    world.server_sends(response(update, Code.NOT_FOUND, b""))
    assert opens(world) == []
    assert world.counted("responses_without_request") == 0


@pytest.mark.parametrize("case", ["nobody registered", "the same address", "another server"])
def test_otherwise_no_update_goes(world: World, case: str):
    if case != "nobody registered":
        registered(world)
    assert opens(world, "other" if case == "another server" else "srv", new_address=case != "the same address") == []


def test_a_device_s_own_request_with_this_token_is_answered(world: World):
    world.device_sends(register(token=TOKEN))
    world.server_sends(response(world.last_north(), Code.CREATED, b"", [(int(Opt.LOCATION_PATH), b"rd")]))
    assert (world.last_south().code, world.last_south().token) == (Code.CREATED, TOKEN)


def test_what_was_repeated_in_vain_goes_at_once(world: World):
    south = observed(world)
    world.device_sends(notification(south, 50))
    world.passes(100.0)
    count = len(world.to_server)
    opens(world, new_address=False)
    world.passes(0.1)
    assert len(world.to_server) == count + 1
    opens(world, "other", new_address=False)
    world.passes(0.1)
    assert len(world.to_server) == count + 1


def test_what_has_just_left_is_not_repeated(world: World):
    south = observed(world)
    world.device_sends(notification(south, 50))
    count = len(world.to_server)
    opens(world, new_address=False)
    world.passes(0.1)
    assert len(world.to_server) == count
