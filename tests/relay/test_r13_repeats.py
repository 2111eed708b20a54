"""R13: what the network says twice is dropped; what the device repeats is answered from the kept reply."""

import pytest
from world import NIDD, World, ack, notification, observed, register, registered, request, response, rst

from bindings.contract import Accepted, NetworkState
from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.relay import events as ev
from bridge.relay.model import Policy


def test_r13_the_networks_duplicate_is_dropped_by_its_id(world: World):
    world.device_sends(register(), "fcnt-7")
    before = len(world.to_server)
    world.restart()
    resumed = len(world.to_server)
    world.device_sends(register(), "fcnt-7")
    assert len(world.to_server) == resumed >= before
    assert world.counted("network_duplicates") == 1


@pytest.mark.parametrize("after", [0.0, 1.0, 1.9, 2.5])
def test_r13_the_same_bytes_get_the_kept_answer_however_soon_they_come(after):
    """ACK_TIMEOUT is 2 s and clients jitter; what a network without ids delivers twice cannot be told from that."""
    world = World(NIDD)
    registered(world)
    send = request(2, "rd/abc", 5, b"u")
    world.device_sends(send)
    world.server_sends(response(world.last_north(), Code.CHANGED))
    reply = world.submitted[-1].attempt.payload
    north = len(world.to_server)
    world.passes(after)
    assert world.device_sends(send) == [reply]
    assert len(world.to_server) == north


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("after", [0.5, 3.0, 200.0])
def test_r13_what_came_before_other_messages_is_known_still(after, restarts):
    """A network that delivers late, and a device with several messages on their way: A, B, A, B."""
    world = World(NIDD)
    sends = [request(2, "dp", 5 + n, b"s%d" % n, b"[%d]" % n) for n in range(3)]
    replies = []
    for send in sends:
        world.device_sends(send)
        world.server_sends(response(world.last_north(), Code.CHANGED))
        replies.append(world.submitted[-1].attempt.payload)
    north = len(world.to_server)
    world.passes(after)
    if restarts:
        world.restart()
    assert [world.device_sends(send) for send in sends] == [[reply] for reply in replies]
    assert len(world.to_server) == north


@pytest.mark.parametrize("restarts", [False, True])
def test_r13_a_repeat_is_answered_from_the_kept_reply(south, restarts):
    world = World(south)
    send = request(2, "dp", 5, b"s", b"[]")
    world.device_sends(send, "a")
    world.server_sends(response(world.last_north(), 68))
    reply = world.submitted[-1].attempt.payload
    north = len(world.to_server)
    for n in range(3):
        world.passes(south.exchange_span / 4 - 1)
        if restarts:
            world.restart()
        assert world.device_sends(send, f"b{n}") == [reply]
    assert len(world.to_server) == north


def test_r13_after_the_exchange_span_the_same_bytes_are_new(world: World, south):
    send = request(2, "dp", 5, b"s", b"[]")
    world.device_sends(send, "a")
    world.server_sends(response(world.last_north(), 68))
    north = len(world.to_server)
    world.passes(south.exchange_span + 1)
    assert world.device_sends(send, "b") == []
    assert len(world.to_server) == north + 1


def test_r13_a_repeat_adds_nothing_while_the_reply_waits(world: World):
    world.device_sends(request(2, "dp", 5, b"s", b"[]"), "a")
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(response(world.last_north(), 68))
    assert len(world.submitted) == 1
    world.device_sends(request(2, "dp", 5, b"s", b"[]"), "b")
    assert len(world.submitted) == 1
    assert len(world.downlinks("answer")) == 1


def test_r13_a_repeat_before_the_server_answered_is_not_forwarded_again(world: World):
    world.device_sends(register(), "a")
    north = len(world.to_server)
    world.device_sends(register(), "b")
    assert len(world.to_server) == north
    assert world.submitted == []


def test_r13_a_register_after_another_request_is_a_new_one(world: World):
    """A device that sends something else after its Register has the answer: the same Register is that of a restart."""
    registered(world)
    send = request(2, "dp", 6, b"s", b"[1]")
    world.device_sends(send, "b")
    world.server_sends(response(world.last_north(), Code.CHANGED))
    north = len(world.to_server)
    world.device_sends(register(), "c")
    assert len(world.to_server) == north + 1
    world.server_sends(response(world.last_north(), Code.CREATED))
    world.device_sends(send, "d")  # and so is what it sends next, under the message IDs of the time before
    assert len(world.to_server) == north + 2


@pytest.mark.parametrize("restarts", [False, True])
def test_r13_a_join_ends_the_exchange(world: World, restarts):
    """A device that lost power begins with the same message IDs, and the same bytes."""
    world.device_sends(register(), "a")
    world.server_sends(response(world.last_north(), Code.CREATED))
    world.passes(60)
    world.event(ev.DeviceJoined())
    if restarts:
        world.restart()
    north = len(world.to_server)
    world.device_sends(register(), "b")
    assert len(world.to_server) == north + 1


def test_r13_a_register_whose_reply_was_delivered_is_always_forwarded_anew(world: World):
    world.network = Accepted("h", NetworkState.DELIVERED)
    registered(world)
    north = len(world.to_server)
    world.passes(30)
    world.device_sends(register(), "again")
    assert len(world.to_server) == north + 1


def test_r13_a_repeated_notification_and_response_are_acknowledged_again(world: World):
    asked = observed(world)
    note = notification(asked, 50)
    world.device_sends(note, "a")
    world.server_sends(ack(world.last_north()))
    north = len(world.to_server)
    assert world.device_sends(note, "b") == [ack(50)]
    world.server_sends(request(mid=7, token=b"7"))
    separate = response(world.last_south(), mtype=Type.CON, mid=60)
    assert ack(60) in world.device_sends(separate, "c")
    north = len(world.to_server)
    assert world.device_sends(separate, "d") == [ack(60)]
    assert len(world.to_server) == north


def test_r13_a_repeat_of_what_the_server_no_longer_wants_is_answered_reset(world: World):
    """A confirmable notification whose observation the server cancelled must not be repeated forever."""
    asked = observed(world)
    world.device_sends(notification(asked, 50, 2), "a")
    first = world.last_north()
    world.device_sends(notification(asked, 51, 3), "b")  # waits behind the first
    world.server_sends(rst(first))
    assert [up["state"] for up in world.uplinks("notification")] == ["REJECTED", "REJECTED"]
    assert world.device_sends(notification(asked, 51, 3), "c") == [rst(51)]


@pytest.mark.parametrize("restarts", [False, True])
def test_r13_what_servers_ask_meanwhile_does_not_make_the_reply_forgotten(south, restarts):
    world = World(south)
    send = request(2, "dp", 5, b"s", b"[]")
    world.device_sends(send, "a")
    world.server_sends(response(world.last_north(), 68))
    reply = world.submitted[-1].attempt.payload
    for n in range(3 * world.policy.max_kept):
        world.server_sends(request(mid=n, token=b"t%d" % n))
        world.device_sends(response(world.last_south(), mtype=Type.CON, mid=1000 + n), f"r{n}")
        world.passes(1)
    if restarts:
        world.restart()
    north = len(world.to_server)
    assert world.device_sends(send, "b") == [reply]
    assert len(world.to_server) == north


def test_r13_its_notifications_do_not_make_the_devices_latest_request_forgotten(south):
    world = World(south, policy=Policy(max_kept=4))
    asked = observed(world)
    send = request(2, "dp", 5, b"s", b"[]")
    world.device_sends(request(2, "dp", 4, b"s", b"[]"), "before")
    world.server_sends(response(world.last_north(), 68))
    world.device_sends(send, "a")
    world.server_sends(response(world.last_north(), 68))
    reply = world.submitted[-1].attempt.payload
    for n in range(20):
        world.device_sends(notification(asked, 50 + n, 2 + n, b"%d" % n, Type.NON), f"n{n}")
        world.server_sends(ack(world.last_north()))
    assert len(world.state.kept_uplinks) == 4
    north = len(world.to_server)
    assert world.device_sends(send, "b") == [reply]
    assert len(world.to_server) == north
