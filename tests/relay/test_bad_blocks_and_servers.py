"""Servers that begin again, change sizes, or resemble each other, while a device is in the middle of something."""

from dataclasses import replace

import pytest
from test_r23_several_servers import ONE, TWO, Several, named
from test_r25_block1 import BODY, Device, unblock, write
from world import NIDD, World, ack, notification, observe, registered, request, response, rst

from bridge.coap.message import Message, Type
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.coap.udp import decode

UNKNOWN_CRITICAL = (65001, b"x")


def shrunk() -> tuple[World, Device]:
    """Return a transfer whose first 256 bytes the device has, of a network that then takes 100 bytes only."""
    world = World(NIDD)
    device = Device(world)
    world.server_sends(write(0, 4))
    device.answers()
    world.south = replace(NIDD, max_downlink=100)
    return world, device


def taken(world: World) -> None:
    """Have the device take the last block that reached it, whatever it had before."""
    part = world.last_south()
    world.device_sends(response(part, Code.CONTINUE, b"", [(int(Opt.BLOCK1), part.option(Opt.BLOCK1) or b"")]))


def test_r25_a_write_that_begins_again_with_another_token_waits_for_the_parts_of_the_block_under_way():
    world, device = shrunk()
    world.server_sends(write(1, 4, mid=101))
    device.answers()
    world.server_sends(write(0, 2, mid=200))
    assert unblock(world.last_south()) == (5, True, 2)  # a part of block 1 is out
    for _ in range(4):
        taken(world)
    assert [unblock(decode(one.attempt.payload)) for one in world.submitted][1:] == [
        (4, True, 2), (5, True, 2), (6, True, 2), (7, True, 2), (0, True, 2),
    ]  # fmt: skip
    answers = [(one.code, one.token) for one in map(decode, world.to_server) if one.code]
    assert [token for _, token in answers] == [b"token100", b"token101", b"token200"]
    assert {code for code, _ in answers} == {Code.CONTINUE}


def test_r25_a_server_may_change_the_size_of_its_blocks_in_both_directions_in_a_write_that_is_split():
    world, device = shrunk()
    blocks = [(1, 4, 4), (16, 1, 1), (17, 1, 1), (9, 2, 1), (10, 2, 1), (11, 2, 1), (3, 4, 4)]
    for mid, (number, szx, parts) in enumerate(blocks, 101):
        world.server_sends(write(number, szx, mid=mid, more=(number, szx) != (3, 4)))
        for _ in range(parts):
            device.answers()
    assert device.body == BODY
    answers = [one for one in map(decode, world.to_server) if one.code]
    assert [one.code for one in answers] == [Code.CONTINUE] * 7 + [Code.CHANGED]
    assert len({one.token for one in answers}) == 8


def test_r23_two_servers_with_one_message_id_one_token_and_one_location_are_never_mixed_up():
    world = Several(ONE, TWO)
    for mid, server in enumerate(("one", "two"), 1):
        assert world.registers(named(f"{server}.example", mid), b"rd", b"a")[0] == server
    for server in "one", "two":
        world.server_sends(request(mid=500, token=b"same", options=observe()), server)
    observed: dict[str, Message] = {}
    for server in "one", "two":
        observed[server] = world.last_south()
        world.device_sends(response(observed[server], payload=server.encode(), options=observe(1)))
        world.server_sends(ack(world.sent[-1][1]), server)
    for number, (server, asked) in enumerate(observed.items()):
        world.device_sends(notification(asked, 9000 + number, 2, b"of " + server.encode()))
        world.server_sends((ack if server == "one" else rst)(world.sent[-1][1]), server)
    content = [(server, one.token, one.payload) for server, one in world.sent if one.code == Code.CONTENT]
    assert content == [
        ("one", b"same", b"one"), ("two", b"same", b"two"), ("one", b"same", b"of one"), ("two", b"same", b"of two"),
    ]  # fmt: skip
    (reset,) = world.device_sends(notification(observed["two"], 9100, 3))
    assert decode(reset).type is Type.RST  # its server ended it
    world.device_sends(notification(observed["one"], 9101, 3, b"goes on"))
    assert (world.sent[-1][0], world.sent[-1][1].payload) == ("one", b"goes on")


def test_r30_a_storm_of_observations_is_refused_and_leaves_nothing_behind():
    world = World(NIDD)
    for number in range(2000):
        options = observe()
        world.server_sends(request(path=f"3303/{number}/5700", mid=number, token=b"%d" % number, options=options))
    refused = [one for one in map(decode, world.to_server) if one.code]
    assert {one.code for one in refused} == {Code.SERVICE_UNAVAILABLE}
    assert len(world.downlinks()) == 2000 - len(refused) == world.policy.max_requests
    assert len(world.submitted) == 1


@pytest.mark.parametrize("separate", [False, True])
def test_a_critical_option_in_a_devices_answer_that_the_bridge_does_not_know_is_the_servers_to_refuse(separate):
    """RFC 7252 §5.4.1: a server that does not know it either rejects the separate response with a Reset."""
    world = World(NIDD)
    world.server_sends(request())
    asked, options = world.last_south(), [UNKNOWN_CRITICAL]
    if separate:
        world.device_sends(ack(asked))
    told = {"mtype": Type.CON, "mid": 777} if separate else {}
    world.device_sends(response(asked, options=options, **told))
    assert world.last_north().option(UNKNOWN_CRITICAL[0]) == UNKNOWN_CRITICAL[1]
    assert world.states() == ["RESPONDED"]
    if world.last_north().type is Type.CON:
        world.server_sends(rst(world.last_north()))
        assert [row["state"] for row in world.uplinks("response")] == ["REJECTED"]


def test_a_non_confirmable_update_and_deregister_go_on_as_confirmable_and_are_answered():
    world = World(NIDD)
    registered(world)
    for mid, (code, answer, left) in enumerate([(Code.POST, Code.CHANGED, 1), (Code.DELETE, Code.DELETED, 0)], 50):
        world.device_sends(request(code, "rd/abc", mid, b"%d" % mid, mtype=Type.NON))
        assert world.last_north().type is Type.CON
        world.server_sends(response(world.last_north(), answer, b""))
        found = world.last_south()
        assert (found.type, found.code, found.token) == (Type.NON, answer, b"%d" % mid)
        assert len(world.state.registrations) == left


def test_an_answer_that_comes_after_the_server_gave_up_is_not_that_to_its_next_request_under_the_same_token():
    world = World(NIDD)
    world.server_sends(request(mid=5, token=b"tok"))
    late = world.last_south()
    world.passes(130)
    assert world.last_north().code == Code.GATEWAY_TIMEOUT
    world.server_sends(ack(world.last_north()))
    world.server_sends(request(path="3/0/1", mid=6, token=b"tok"))
    before = len(world.to_server)
    world.device_sends(response(late, payload=b"late"))
    assert len(world.to_server) == before
    world.device_sends(response(world.last_south(), payload=b"in time"))
    world.passes(100_000)
    assert {decode(one).payload for one in world.to_server[before:]} - {b""} == {b"in time"}
    (refused,) = world.device_sends(response(late, payload=b"much too late", mtype=Type.CON, mid=4444))
    assert (decode(refused).type, decode(refused).mid) == (Type.RST, 4444)
