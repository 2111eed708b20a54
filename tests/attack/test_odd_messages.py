"""Messages that no sane peer sends, against the one step."""

from dataclasses import replace

import pytest

from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import decode
from tests.relay.world import LORAWAN, World, ack, notification, observe, observed, register, request, response

LARGEST_INTEGER = 2**63 - 1  # of an SQLite column


def test_a_retransmission_after_a_late_answer_is_acknowledged():
    """The device answered after the 5.04, and then the server repeats its request."""
    world = World()
    world.server_sends(request(mid=100))
    world.passes(130)
    world.server_sends(ack(world.last_north()))
    world.device_sends(response(world.last_south()))
    before = len(world.submitted)
    (again,) = world.server_sends(request(mid=100))
    assert (again.type, again.code, again.mid) == (Type.ACK, 0, 100)
    assert len(world.submitted) == before


def test_an_observe_value_of_any_length_can_be_kept():
    """An option of a length outside its range is one that is not known (RFC 7252 §5.4.3), not a number for the row."""
    world = World()
    world.server_sends(request(options=[(6, b"\xff" * 9)]))
    (row,) = world.downlinks()
    assert row["observe"] is None
    assert all(abs(value) <= LARGEST_INTEGER for value in row.values() if isinstance(value, int))
    world.device_sends(response(world.last_south(), payload=b"read", options=observe(1)))
    assert world.last_north().payload == b"read"


def test_a_server_that_acknowledges_and_never_answers_does_not_shut_the_device_out():
    """Its Register still goes through, and nothing that the server did not have yet was dropped for it (R14, R30)."""
    world = World()
    for number in range(70):
        world.device_sends(request(Code.POST, "dp", 10 + number, bytes((number,)), b"reading"))
        world.server_sends(ack(world.last_north()))
    before = len(world.to_server)
    world.device_sends(register(mid=5000))
    assert len(world.to_server) == before + 1
    assert world.counted("uplinks_dropped") == 0


def test_a_response_is_awaited_as_long_as_the_device_knows_its_request():
    world = World()
    world.device_sends(request(Code.POST, "dp", 10, b"a", b"reading"))
    world.passes(100)
    world.server_sends(ack(world.last_north()))
    world.passes(250)
    assert world.wake is None
    assert not world.state.uplinks


def test_an_execute_goes_once_whatever_came_between_it_and_its_retransmission():
    """Kept exchanges are bounded: answered Reads are remembered by their IDs alone, an Execute as it is (R4, R30)."""
    world = World()
    execute = request(Code.POST, "3/0/4", 1, b"x")
    world.server_sends(execute)
    world.device_sends(response(world.last_south(), Code.CHANGED, b""))
    for number in range(world.policy.max_exchanges + 10):
        asked = len(world.submitted)
        world.server_sends(request(mid=100 + number))
        assert len(world.submitted) > asked
        world.device_sends(response(world.last_south()))
    assert world.counted("requests_refused") == 0
    before = len(world.submitted)
    (again,) = world.server_sends(execute)
    assert again.type is Type.ACK
    assert len(world.submitted) == before


def test_observations_that_nobody_wants_any_more_do_not_keep_new_ones_out():
    """Each began with an answer that came too late (R12): the server never knew of it."""
    world = World()
    for number in range(world.policy.max_observations + 2):
        world.server_sends(request(mid=number, token=number.to_bytes(2, "big"), options=observe()))
        south = world.last_south()
        assert south.option(6) is not None
        world.passes(130)
        world.device_sends(response(south, options=observe(1)))
    assert world.counted("requests_refused") == 0
    assert len(world.state.observations) <= world.policy.max_observations


def test_a_repeat_is_answered_after_the_clock_was_set_back():
    world = World()
    world.device_sends(register(mid=9))
    world.server_sends(response(world.last_north(), Code.CREATED, b"", [(8, b"rd"), (8, b"a")]))
    world.wall -= 3600
    world.mono += 5
    assert len(world.device_sends(register(mid=9))) == 1


def test_a_server_that_ignores_one_notification_still_gets_the_registration():
    """The notification is kept and continues; the device does not lose its registration over it (R17)."""
    world = World()
    south = observed(world)
    world.device_sends(notification(south, 5000))
    ignored = world.last_north()
    world.passes(100)
    before = len(world.to_server)
    world.device_sends(register(mid=77))
    (north,) = [decode(data) for data in world.to_server[before:]]
    assert north.code == Code.POST
    world.server_sends(response(north, Code.CREATED, b"", [(8, b"rd"), (8, b"a")]))
    world.passes(1)
    assert world.last_north().mid == ignored.mid
    world.server_sends(ack(ignored))
    assert [row["state"] for row in world.uplinks("notification")] == ["FORWARDED"]


@pytest.mark.parametrize("number", [0xFFFFF, 0x7000])
def test_a_block_that_cannot_be_named_in_a_smaller_size_is_not_made_one(number: int):
    """A block's number has 20 bits (RFC 7959 §2.2), which one far behind leaves when its size falls."""
    block = (number << 4 | 6).to_bytes(3, "big")
    more = (number << 4 | 14).to_bytes(3, "big")
    asks = World(south=replace(LORAWAN, max_uplink=51))
    asks.server_sends(request(path="5/0", options=[(23, block)]))
    writes = World(south=replace(LORAWAN, max_downlink=51))
    writes.server_sends(request(Code.PUT, "5/0", payload=b"x" * 1024, options=[(27, more)]))
    answers = World(south=replace(LORAWAN, max_downlink=51))
    answers.device_sends(request(path="x", mid=5))
    answers.server_sends(response(answers.last_north(), payload=b"x" * 1024, options=[(23, more)]))
    on_air = [decode(sent.attempt.payload) for world in (asks, writes, answers) for sent in world.submitted]
    assert all(len(value) <= 3 for message in on_air for option, value in message.options if option in (23, 27))
    if number == 0xFFFFF:
        assert asks.last_south().option(23) == block
        assert writes.last_north().code == Code.SERVICE_UNAVAILABLE
        assert answers.last_south().code == Code.SERVICE_UNAVAILABLE
    else:
        assert writes.last_south().payload == answers.last_south().payload[:32] == b"x" * 32
