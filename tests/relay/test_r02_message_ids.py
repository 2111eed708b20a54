"""R2: message IDs toward a server are durable, and not repeated within 247 s."""

from world import World, ack, notification, observed, registered, request, response

from bridge.coap.message import Type
from bridge.coap.udp import decode


def own_mids(world: World) -> list[int]:
    """Return the message IDs that the bridge chose, in the order in which they were first sent."""
    mids = []
    for data in world.to_server:
        message = decode(data)
        if message.type in (Type.CON, Type.NON) and message.mid not in mids:
            mids.append(message.mid)
    return mids


def test_r02_a_retransmission_keeps_its_message_id(world: World):
    world.device_sends(request(2, "dp", 1, b"s", b"[]"))
    world.passes(40)
    sent = [decode(d) for d in world.to_server]
    assert len(sent) > 2
    assert len({m.mid for m in sent}) == 1


def test_r02_a_message_resumes_with_its_message_id_after_a_restart(world: World):
    world.device_sends(request(2, "dp", 1, b"s", b"[]"))
    mid = world.last_north().mid
    world.restart()
    assert world.last_north().mid == mid


def test_r02_ids_go_on_after_a_restart_in_which_the_last_message_was_a_piggybacked_answer(world: World):
    """An acknowledgement carries the server's message ID: it says nothing of where the bridge's own are."""
    south = observed(world)
    mids = []
    for n in range(3):
        world.device_sends(notification(south, 10 + n, 2 + n))
        mids.append(world.last_north().mid)
        world.server_sends(ack(world.last_north()))
    world.server_sends(request(mid=(mids[0] - 1) & 0xFFFF, token=b"piggy"))
    world.device_sends(response(world.last_south()))
    world.restart()
    world.device_sends(notification(south, 20, 9))
    assert world.last_north().mid not in mids


def test_r02_ids_go_on_after_a_restart_in_which_a_refusal_was_the_last_message(world: World):
    """The refusal of a NON request is no row, but it has a message ID of the bridge."""
    south = observed(world)
    world.device_sends(notification(south, 10))
    world.server_sends(ack(world.last_north()))
    proxied = request(mid=5, token=b"p", options=[(35, b"coap://x")], mtype=Type.NON)
    refused = world.server_sends(proxied)[-1]
    assert refused.type is Type.NON
    world.restart()
    world.device_sends(notification(south, 11, 3))
    assert world.last_north().mid != refused.mid


def test_r02_ids_are_not_repeated_within_247_seconds_whatever_ends_first(world: World):
    """A Send waits for its answer while later messages come and go; then the process starts anew, again and again."""
    world.device_sends(request(2, "dp", 1, b"s", b"[]"))
    world.server_sends(ack(world.last_north()))
    south = observed(world)
    used: dict[int, float] = {}
    for n in range(30):
        world.device_sends(notification(south, 100 + n, 2 + n))
        mid = world.last_north().mid
        assert world.wall - used.get(mid, -1e9) >= 247
        used[mid] = world.wall
        world.server_sends(ack(mid))
        world.passes(25)
        world.restart()


def test_r02_an_id_still_in_use_is_stepped_over(world: World):
    world.device_sends(request(2, "dp", 1, b"s", b"[]"))
    waiting = world.last_north().mid
    world.state.north_mids.last = (waiting - 1) & 0xFFFF  # as after 65535 more messages
    registered(world, 2)
    assert own_mids(world).count(waiting) == 1
    assert world.state.north_mids.allocate(world.state.by_north_mid) != waiting


def test_r02_a_device_does_not_see_a_message_id_again_within_its_exchange_span(south):
    """An unanswered request is known for a day, answered ones for less: the ids of these are not stepped back over."""
    world = World(south)
    world.server_sends(request(mid=1, token=b"late"))
    world.passes(south.response_timeout * 3)
    world.device_sends(request(2, "dp", 5, b"s", b"[]", mtype=Type.NON))
    world.server_sends(response(world.last_north(), 68))
    used = {world.last_south().mid}
    for n in range(4):
        world.server_sends(request(mid=10 + n, token=b"t%d" % n))
        asked = world.last_south()
        assert asked.mid not in used
        used.add(asked.mid)
        world.device_sends(response(asked))
        world.passes(south.exchange_span / 6)
        world.restart()
