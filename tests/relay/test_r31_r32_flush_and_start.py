"""R31: what a network dropped is queued again or unknown. R32: how an endpoint is taken up after a start."""

import pytest
from world import START, World, ack, observe, request, response

from bindings.contract import Accepted, Ambiguous, Lookup, NetworkState, Presence, Refusal, Refused
from bridge.coap.message import Type
from bridge.coap.udp import decode
from bridge.relay import events as ev

FLUSHES = [ev.DeviceJoined(), ev.NetworkFlushed("the configuration was terminated"), ev.NetworkFlushed("", "h")]


@pytest.mark.parametrize("flush", FLUSHES)
def test_r31_what_had_not_left_is_queued_again_with_its_deadline_and_attempts(south, flush):
    world = World(south)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request())
    world.network = None
    world.passes(20)
    world.event(flush)
    (row,) = world.downlinks()
    assert (row["state"], row["attempts"][-1].number, row["deliver_by"]) == ("SUBMITTING", 2, START + 115)


@pytest.mark.parametrize("flush", FLUSHES)
def test_r31_what_had_left_stays(south, flush):
    world = World(south)
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(request())
    world.event(flush)
    assert world.states() == ["SENT"]


@pytest.mark.parametrize("flush", FLUSHES)
def test_r31_an_execute_is_not_submitted_again(south, flush):
    """Its report of "sent" may have been lost: at most once (R9) goes before."""
    world = World(south, default_ttl=5000.0)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request(2, "3/0/4"))
    world.event(flush)
    world.passes(3000)
    assert len(world.submitted) == 1
    assert world.states() == ["UNKNOWN"]


def test_r31_a_queue_that_survived_the_join_is_left_alone(south):
    world = World(south)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request())
    world.event(ev.DeviceJoined(queue_kept=True))
    assert world.states() == ["BUFFERED"]


@pytest.mark.parametrize("state", [NetworkState.SENT, NetworkState.DELIVERED, NetworkState.BUFFERED])
def test_r31_a_report_after_the_flush_of_its_handle_still_counts(south, state):
    world = World(south)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request())
    world.server_sends(bytes([23, 254, 253]) + bytes(9))
    world.network = Refused(Refusal.RATE_LIMITED, "later", retry_at=world.wall + 50)
    world.event(ev.NetworkFlushed("made way", "h"))
    world.reports("h", state)
    assert world.states()[0] in ("QUEUED", state.name)


def test_r31_a_cancelled_message_that_is_flushed_is_not_submitted_again(south):
    for flush in FLUSHES:
        world = World(south)
        world.network = Accepted("h", NetworkState.BUFFERED)
        world.cancel_answer = None
        world.server_sends(request())
        world.event(ev.CancelAsked(world.submitted[0].attempt.downlink))
        world.event(flush)
        world.passes(3000)
        assert len(world.submitted) == 1
        assert world.states() == ["UNKNOWN"]


def test_r32_accepted_requests_get_their_empty_ack_at_once(world: World):
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(mid=2, token=b"2"))
    world.to_server.clear()  # lost with the process
    world.restart()
    assert [(m.type, m.code, m.mid) for m in map(decode, world.to_server)] == [(Type.ACK, 0, 1), (Type.ACK, 0, 2)]


def test_r32_nothing_new_is_sent_until_the_unknown_is_looked_up(south):
    world = World(south)
    world.network = None
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(bytes([23, 254, 253]) + bytes(9))
    world.lookup_answer = Lookup(Presence.FAILED)
    world.restart()
    world.network = Accepted("h", NetworkState.SENT)
    world.device_sends(request(2, "dp", 1, b"s", b"[]"))
    world.server_sends(response(world.last_north(), 68))
    assert len(world.submitted) == 1
    world.lookup_answer = Lookup(Presence.PRESENT, "h")
    world.passes(31)
    assert len(world.submitted) == 3


@pytest.mark.parametrize("moment", ["queued", "submitting", "buffered", "sent", "delivered", "unknown", "answered"])
@pytest.mark.parametrize("often", [1, 3])
def test_r32_a_request_is_answered_once_whenever_the_process_starts_anew(south, moment, often):
    world = World(south)
    world.network = {
        "queued": Refused(Refusal.RATE_LIMITED, "429", retry_at=world.wall + 5),
        "submitting": None,
        "buffered": Accepted("h", NetworkState.BUFFERED),
        "sent": Accepted("h", NetworkState.SENT),
        "delivered": Accepted("h", NetworkState.DELIVERED),
        "unknown": Ambiguous("lost"),
        "answered": Accepted("h", NetworkState.SENT),
    }[moment]
    world.lookup_answer = Lookup(Presence.PRESENT, "h")
    world.server_sends(request())
    world.network = Accepted("h", NetworkState.SENT)
    if moment == "queued":
        world.passes(6)
    asked = world.last_south()
    world.passes(2)
    if moment == "answered":
        world.device_sends(response(asked, payload=b"v"))
    for _ in range(often):
        world.restart()
    if moment != "answered":
        world.device_sends(response(asked, payload=b"v"))
    for _ in range(often):
        world.restart()
    answers = [m for m in map(decode, world.to_server) if m.code == 69]
    assert len({(m.mid, m.token, m.payload) for m in answers}) == 1
    world.server_sends(ack(answers[-1]))
    count = len(world.to_server)
    world.restart()
    world.passes(1000)
    assert len(world.to_server) == count
    assert world.states() == ["RESPONDED"]
    assert [up["state"] for up in world.uplinks("response")] == ["FORWARDED"]


def test_r32_an_observation_goes_on_after_a_start(world: World):
    world.server_sends(request(options=observe()))
    asked = world.last_south()
    world.device_sends(response(asked, options=observe(1)))
    world.restart()
    world.passes(3000)
    world.restart()
    world.device_sends(response(asked, payload=b"22", options=observe(7), mtype=Type.NON, mid=9))
    assert (world.last_north().payload, world.last_north().token) == (b"22", b"12345678")


def test_r32_an_endpoint_that_leaves_the_directory_gives_every_message_its_outcome(south):
    world = World(south)
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(mid=2, token=b"2"))
    world.device_sends(request(2, "dp", 5, b"s", b"[]"))
    world.event(ev.EndpointRemoved())
    assert world.states() == ["UNANSWERED", "CANCELLED"]
    assert [up["state"] for up in world.uplinks("request")] == ["EXPIRED"]
    assert all(row["over"] for row in world.downlinks())
