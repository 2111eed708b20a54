"""R31, one downlink at a time: a request flushed for an answer is QUEUED again, unless it had left already."""

from world import LORAWAN, World, register, request, response

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.numbers import Code
from bridge.relay import events as ev
from bridge.relay.model import ServerProfile

READ, EXECUTE = 1, 2


def waiting(code: int = READ, path: str = "3/0/0") -> World:
    """Return a LoRaWAN device with one request in the network server's queue, under the handle h1."""
    world = World(LORAWAN)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request(code, path))
    world.network = Accepted("h2", NetworkState.BUFFERED)
    return world


def states(world: World) -> list[str]:
    return [row["state"] for row in world.downlinks()]


def test_a_flushed_request_is_submitted_again():
    world = waiting()
    world.event(ev.NetworkFlushed("removed from the queue to send an answer first", "h1"))
    assert len(world.submitted) == 2
    assert world.submitted[1].attempt.payload == world.submitted[0].attempt.payload
    world.event(ev.Reported("h2", NetworkState.SENT))
    assert states(world) == ["SENT"]


def test_only_the_named_downlink_is_flushed():
    world = waiting()
    world.device_sends(register())
    world.server_sends(response(world.last_north(), Code.CREATED))
    world.event(ev.NetworkFlushed("removed from the queue to send an answer first", "h2"))
    assert states(world) == ["BUFFERED"]


def test_a_report_that_it_had_left_wins_over_the_flush():
    world = waiting()
    world.network = None
    world.event(ev.NetworkFlushed("removed from the queue to send an answer first", "h1"))
    world.event(ev.Reported("h1", NetworkState.SENT))
    assert states(world) == ["SUBMITTING"]  # it goes again already
    world.answers_open_call(Refused(Refusal.UNREACHABLE, "asleep"))
    assert states(world) == ["SENT"]


def test_such_a_report_counts_also_while_it_is_still_queued():
    world = waiting()
    world.network = None
    world.device_sends(register())
    world.server_sends(response(world.last_north(), Code.CREATED))
    assert len(world.submitted) == 2
    world.event(ev.NetworkFlushed("removed from the queue to send an answer first", "h1"))
    assert states(world) == ["QUEUED"]
    world.event(ev.Reported("h1", NetworkState.SENT))
    assert states(world) == ["SENT"]
    assert len(world.submitted) == 2


def test_what_must_not_be_repeated_is_unknown_after_a_flush():
    world = waiting(EXECUTE, "3/0/4")
    assert not world.submitted[0].attempt.repeatable
    world.event(ev.NetworkFlushed("removed from the queue to send an answer first", "h1"))
    assert states(world) == ["UNKNOWN"]
    assert len(world.submitted) == 1


def test_a_flushed_request_never_counts_as_certainly_undelivered():
    world = waiting()
    world.network = None
    world.device_sends(register())
    world.server_sends(response(world.last_north(), Code.CREATED))
    world.event(ev.NetworkFlushed("removed from the queue to send an answer first", "h1"))
    world.passes(116)
    assert states(world) == ["UNKNOWN"]


def test_a_repetition_that_was_flushed_goes_again_and_the_earlier_copy_stays_sent():
    world = World(LORAWAN, ServerProfile(patience=86400))
    world.network = Accepted("h1", NetworkState.SENT)
    world.server_sends(request())
    world.network = Accepted("h2", NetworkState.BUFFERED)
    world.passes(300)
    assert states(world) == ["BUFFERED"]
    world.network = None
    world.event(ev.NetworkFlushed("removed from the queue to send an answer first", "h2"))
    assert len(world.submitted) == 3
    row = world.downlinks()[0]
    assert [one.known.name for one in row["attempts"]] == ["LEFT", "GONE", "PENDING"]


def test_a_join_with_a_queue_that_is_kept_submits_nothing_again():
    world = waiting()
    world.event(ev.DeviceJoined(queue_kept=True))
    assert states(world) == ["BUFFERED"]
    assert len(world.submitted) == 1
    world.event(ev.DeviceJoined())
    assert len(world.submitted) == 2
