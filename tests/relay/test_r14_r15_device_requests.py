"""R14: a device's request goes north as CON and is answered with its own MID. R15: how long it lives."""

import pytest
from world import World, ack, register, registered, request, response, rst

from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import decode


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_r14_the_device_is_answered_piggybacked_with_its_own_mid_and_token(south, separate, restarts):
    world = World(south)
    world.device_sends(register(mid=4321, token=b"ab"))
    north = world.last_north()
    assert (north.type, north.code) == (Type.CON, Code.POST)
    assert north.token != b"ab"
    if separate:
        world.server_sends(ack(north))
        assert world.submitted == []
    if restarts:
        world.restart()
    if separate:
        (reply,) = world.server_sends(response(north, Code.CREATED, mtype=Type.CON, mid=9))
        assert (reply.type, reply.mid) == (Type.ACK, 9)
    else:
        world.server_sends(response(north, Code.CREATED))
    south_reply = world.last_south()
    assert (south_reply.type, south_reply.code) == (Type.ACK, Code.CREATED)
    assert (south_reply.mid, south_reply.token) == (4321, b"ab")
    assert world.submitted[-1].attempt.deadline == world.uplinks("request")[0]["received_at"] + south.exchange_span


def test_r14_a_servers_reset_becomes_a_reset(world: World):
    world.device_sends(register(mid=7))
    world.server_sends(rst(world.last_north()))
    assert world.submitted[-1].attempt.payload == rst(7)
    assert [up["state"] for up in world.uplinks("request")] == ["REJECTED"]


def test_r14_a_repeated_separate_response_is_acknowledged_again(world: World):
    world.device_sends(register())
    north = world.last_north()
    world.server_sends(ack(north))
    separate = response(north, Code.CREATED, mtype=Type.CON, mid=9)
    world.server_sends(separate)
    sent = len(world.submitted)
    (again,) = world.server_sends(separate)
    assert (again.type, again.mid) == (Type.ACK, 9)
    assert len(world.submitted) == sent


def test_r14_a_response_that_nobody_asked_for_is_answered_reset(world: World):
    registered(world)
    (reply,) = world.server_sends(response(decode(register(token=b"zzzz")), 69, mtype=Type.CON, mid=77))
    assert (reply.type, reply.mid) == (Type.RST, 77)
    assert world.server_sends(response(decode(register(token=b"zzzz")), 69, mtype=Type.ACK)) == []


def test_r14_a_non_confirmable_request_is_answered_non(world: World):
    world.device_sends(request(2, "dp", 5, b"s", b"[]", mtype=Type.NON))
    assert world.last_north().type is Type.CON
    world.server_sends(response(world.last_north(), 68))
    assert (world.last_south().type, world.last_south().token) == (Type.NON, b"s")


def test_r14_no_response_is_heeded(world: World):
    world.device_sends(request(2, "dp", 5, b"s", b"[]", [(258, b"\x02")]))
    world.server_sends(response(world.last_north(), 68))
    assert world.submitted[-1].attempt.payload == ack(5)


@pytest.mark.parametrize("how", ["no response is wanted", "none came"])
def test_r14_what_is_finished_does_not_wait_again_after_a_restart(world: World, south, how):
    option = [(258, b"\x02")] if how == "no response is wanted" else []
    world.device_sends(request(2, "dp", 5, b"s", b"[]", option, mtype=Type.NON))
    north = world.last_north()
    world.server_sends(response(north, 68) if option else ack(north))
    world.passes(south.exchange_span + 1)
    missing = world.counted("responses_missing")
    assert missing == (0 if option else 1)
    world.restart()
    assert world.state.is_quiet
    world.passes(10_000)
    assert world.counted("responses_missing") == missing


def test_r15_an_unreachable_server_is_silence_toward_the_device(world: World, south):
    world.device_sends(register())
    world.passes(south.exchange_span + 10)
    assert world.submitted == []
    assert [up["state"] for up in world.uplinks("request")] == ["EXPIRED"]


def test_r15_a_server_that_ignores_all_retransmissions_of_a_message_is_told_of_once(world: World):
    world.device_sends(request(2, "dp", 5, b"s", b"[]"))
    world.passes(30)
    assert world.silent == []
    world.passes(300)
    assert world.silent == ["srv"]


@pytest.mark.parametrize(("path", "lives"), [("rd", "span"), ("rd/abc", "span"), ("bs", "span"), ("dp", "day")])
def test_r15_how_long_a_request_lives(south, path, lives):
    world = World(south)
    data = register() if path == "rd" else request(2, path, 5, b"s", b"[]" if path == "dp" else b"")
    world.device_sends(data)
    (row,) = world.uplinks("request")
    expected = south.exchange_span if lives == "span" else 86400
    assert row["expires_at"] - row["received_at"] == expected


def test_r15_a_send_reaches_a_server_that_is_back_after_hours_and_a_restart(world: World):
    world.device_sends(request(2, "dp", 5, b"s", b"[]"))
    world.passes(7200)
    world.restart()
    world.passes(3600)
    world.server_sends(response(world.last_north(), 68))
    assert [up["state"] for up in world.uplinks("request")] == ["FORWARDED"]


def states(world: World) -> list[str]:
    return [f"{up['operation']} {up['state']}" for up in world.uplinks("request")]


def test_r15_a_register_replaces_older_registers_and_updates(world: World):
    registered(world, 50)
    world.device_sends(request(2, "rd/abc", 1, b"1"))
    world.device_sends(register(mid=2, token=b"2"))
    world.device_sends(register(mid=3, token=b"3"))
    assert states(world)[1:] == ["Update REPLACED", "Register REPLACED", "Register RECEIVED"]
    assert world.last_north().code == Code.POST
    world.server_sends(response(world.last_north(), Code.CREATED))
    assert (world.last_south().mid, world.last_south().token) == (3, b"3")


def test_r15_an_update_replaces_only_an_update_without_parameters(world: World):
    registered(world, 50)
    world.device_sends(request(2, "rd/abc", 1, b"1", options=[(15, b"lt=60")]))
    world.device_sends(request(2, "rd/abc", 2, b"2"))
    world.device_sends(request(2, "rd/abc", 3, b"3"))
    world.device_sends(request(2, "dp", 4, b"4", b"[]"))
    world.device_sends(request(2, "rd/abc", 5, b"5", options=[(15, b"lt=90")]))
    assert states(world)[1:] == [
        "Update RECEIVED",
        "Update REPLACED",
        "Update REPLACED",
        "Send RECEIVED",
        "Update RECEIVED",
    ]
