"""What servers and devices do wrong or seldom: messages that pass, are refused, or end, and what is left then."""

import pytest
from world import LORAWAN, NIDD, World, ack, register, registered, request, response

from bridge.coap.message import Message, Type, encode_body, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode, frame

PUT = 3
UNKNOWN_CRITICAL = 65001
"""Odd, so critical; of the experimental range (RFC 7252 §12.2)."""


def location(*segments: bytes) -> list[tuple[int, bytes]]:
    return [(int(Opt.LOCATION_PATH), segment) for segment in segments]


def block(world: World, number: int, mid: int, size: int = 64, *, more: bool = True) -> Message:
    """Have the server send a block of a write, and return what then reached the device last."""
    value = uint_value(number << 4 | more << 3 | (size.bit_length() - 5))
    world.server_sends(request(PUT, "5/0/0", mid, b"t%d" % mid, bytes(size), [(int(Opt.BLOCK1), value)]))
    return world.last_south()


def takes(world: World, part: Message, key: str, *, more: bool = True) -> Message:
    """Have the device take a block; return what the server gets."""
    option = (int(Opt.BLOCK1), part.option(Opt.BLOCK1) or b"")
    world.device_sends(response(part, Code.CONTINUE if more else Code.CHANGED, b"", [option]), key)
    found = world.last_north()
    if found.type is Type.CON:
        world.server_sends(ack(found))
    return found


# Registration


def test_a_register_that_the_server_refuses_for_its_version_reaches_the_device_as_it_is():
    """4.12 (Transport TS §6.7): the device is to try another version; nothing is registered."""
    world = World(NIDD)
    world.device_sends(register(queries=["lwm2m=1.9", "lt=60"]), "k1")
    world.server_sends(response(world.last_north(), Code.PRECONDITION_FAILED, b"unsupported version"))
    answer = world.last_south()
    assert (answer.code, answer.payload) == (Code.PRECONDITION_FAILED, b"unsupported version")
    assert world.state.registrations == []


def test_a_non_confirmable_register_goes_on_as_a_confirmable_one_and_is_answered():
    """Leshan refuses a NON Register with 4.00; on a network without IP it has come nevertheless."""
    world = World(NIDD)
    world.device_sends(register(mid=7, token=b"n", mtype=Type.NON), "k1")
    assert world.last_north().type is Type.CON
    world.server_sends(response(world.last_north(), Code.CREATED, b"", location(b"rd", b"abc")))
    answer = world.last_south()
    assert (answer.type, answer.code, answer.token) == (Type.NON, Code.CREATED, b"n")
    assert len(world.state.registrations) == 1


@pytest.mark.parametrize("south", [NIDD, LORAWAN])
def test_a_location_that_the_network_cannot_carry_is_no_registration(south):
    """Eight segments of 255 bytes. The device is not told half a Location: its Register is answered 5.03."""
    world = World(south)
    world.device_sends(register(), "k1")
    world.server_sends(response(world.last_north(), Code.CREATED, b"", location(*[b"x" * 255] * 8)))
    (submitted,) = world.submitted
    answer = decode(submitted.attempt.payload)
    assert (answer.code, answer.options, answer.payload) == (Code.SERVICE_UNAVAILABLE, (), b"")


# Block-wise writes


def test_a_block_wise_write_that_begins_again_in_the_middle_begins_again_at_the_device():
    world = World(NIDD)
    for number in range(3):
        takes(world, block(world, number, 10 + number), f"k{number}")
    again = block(world, 0, 20)
    assert (again.uint(Opt.BLOCK1) or 0) >> 4 == 0
    assert takes(world, again, "again").code == Code.CONTINUE


def test_blocks_of_another_size_that_overlap_those_before_are_the_devices_to_judge():
    """RFC 7959 §2.5: block 1 of 64 bytes after block 1 of 128 is what the device has already; it answers 4.08."""
    world = World(NIDD)
    for number in range(2):
        takes(world, block(world, number, 10 + number, 128), f"k{number}")
    overlapping = block(world, 1, 20, 64)
    assert overlapping.option(Opt.BLOCK1) == uint_value(1 << 4 | 1 << 3 | 2)
    world.device_sends(response(overlapping, Code.REQUEST_ENTITY_INCOMPLETE), "overlap")
    assert world.last_north().code == Code.REQUEST_ENTITY_INCOMPLETE


def test_a_block_wise_write_that_stops_holds_nothing_up_and_is_forgotten():
    world = World(NIDD)
    takes(world, block(world, 0, 10), "k0")
    world.server_sends(request(mid=11, token=b"other"))
    assert world.last_south().strings(Opt.URI_PATH) == ["3", "0", "0"]
    world.device_sends(response(world.last_south()), "k1")
    assert world.last_north().code == Code.CONTENT
    world.passes(100_000)
    assert {row["state"] for row in world.downlinks()} <= {"RESPONDED"}


# Options


def test_a_critical_option_that_the_bridge_does_not_know_is_the_devices_to_refuse():
    """RFC 7252 §5.4.1: its 4.02 is the server's answer. The bridge changes no option that no rule names (R1)."""
    world = World(NIDD)
    world.server_sends(request(mid=5, options=[(UNKNOWN_CRITICAL, b"x")]))
    asked = world.last_south()
    assert asked.option(UNKNOWN_CRITICAL) == b"x"
    world.device_sends(response(asked, Code.BAD_OPTION, b"option 65001"), "k1")
    assert (world.last_north().code, world.last_north().payload) == (Code.BAD_OPTION, b"option 65001")


def test_a_devices_critical_option_that_the_bridge_does_not_know_is_the_servers_to_refuse():
    world = World(NIDD)
    registered(world)
    message = decode(register(mid=9))
    body = encode_body([*message.options, (UNKNOWN_CRITICAL, b"x")], message.payload)
    world.device_sends(frame(Type.CON, message.code, message.mid, message.token, body), "k2")
    assert world.last_north().option(UNKNOWN_CRITICAL) == b"x"
    world.server_sends(response(world.last_north(), Code.BAD_OPTION))
    assert world.last_south().code == Code.BAD_OPTION
