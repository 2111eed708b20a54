"""R11: at deliver_by the network is asked to give it up; EXPIRED means certainly never delivered."""

from dataclasses import replace

import pytest
from world import LORAWAN, NIDD, World, request, response

from bindings.contract import Accepted, Ambiguous, Cancellation, NetworkState, Refusal, Refused
from bridge.delivery.rules import WORD_MAY_COME
from bridge.relay import events as ev


def buffered(answer: Cancellation | None, south=NIDD, data: bytes = request()) -> World:
    world = World(south)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.cancel_answer = answer
    world.server_sends(data)
    return world


def test_r11_what_never_left_the_queue_is_expired(south):
    world = World(south)
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(mid=2, token=b"2"))
    world.passes(120)
    assert world.states()[1] == "EXPIRED"
    assert {s.attempt.downlink for s in world.submitted} == {world.submitted[0].attempt.downlink}


@pytest.mark.parametrize(
    ("answer", "state"),
    [(Cancellation.REMOVED, "EXPIRED"), (Cancellation.GONE, "UNKNOWN"), (Cancellation.UNKNOWN, "BUFFERED")],
)
def test_r11_the_outcome_is_what_the_cancel_achieved(answer, state):
    world = buffered(answer)
    world.passes(114)
    assert world.cancels == []
    world.passes(2)
    assert [c.handle for c in world.cancels] == ["h"]
    assert world.states() == [state]


def test_r11_what_was_gone_is_responded_or_unknown():
    world = buffered(Cancellation.GONE)
    world.passes(116)
    quiet = buffered(Cancellation.GONE)
    quiet.passes(116)
    world.device_sends(response(world.last_south()))
    assert world.states() == ["RESPONDED"]
    quiet.passes(300)
    assert quiet.states() == ["UNKNOWN"]


def test_r11_the_answer_may_come_while_the_cancel_is_on_its_way():
    world = buffered(None)
    world.passes(116)
    world.device_sends(response(world.last_south()))
    assert world.states() == ["RESPONDED"]
    world.event(ev.CancelDone(world.cancels[0].downlink, world.cancels[0].number, Cancellation.REMOVED))
    assert world.states() == ["RESPONDED"]
    world.server_sends(request(mid=2, token=b"2"))
    assert len(world.submitted) == 2


@pytest.mark.parametrize("setback", ["ambiguous", "flushed"])
def test_r11_expired_is_not_said_of_what_may_have_been_delivered_before(setback):
    world = World(NIDD)
    world.network = Ambiguous("lost") if setback == "ambiguous" else Accepted("h", NetworkState.BUFFERED)
    if setback == "ambiguous":
        world.network = None
        world.server_sends(request())
        world.answers_open_call(Ambiguous("lost"))  # absent; goes again
        world.answers_open_call(Accepted("h2", NetworkState.BUFFERED))
    else:
        world.server_sends(request())
        world.event(ev.NetworkFlushed())
    world.passes(116)
    assert world.cancels
    assert world.states() == ["UNKNOWN"]


def test_r11_a_cancel_interrupted_by_a_restart_is_asked_again():
    world = buffered(None)
    world.passes(116)
    world.cancel_answer = Cancellation.REMOVED
    world.restart()
    assert len(world.cancels) == 2
    assert world.states() == ["EXPIRED"]


@pytest.mark.parametrize("answer", Cancellation)
def test_r11_a_repetition_in_the_network_is_taken_out_and_the_first_copy_counts(answer):
    world = World(NIDD)
    world.network = Accepted("h1", NetworkState.SENT)
    world.server_sends(request())
    world.network = Accepted("h2", NetworkState.BUFFERED)
    world.passes(61)
    world.cancel_answer = answer
    world.passes(60)
    assert world.states() == ["BUFFERED" if answer is Cancellation.UNKNOWN else "SENT"]
    world.passes(400)
    assert world.states() == ["UNANSWERED"]


def test_r11_a_network_that_expires_by_itself_gets_a_moment_to_say_so():
    world = buffered(None, LORAWAN)
    world.passes(116)
    assert world.states() == ["BUFFERED"]
    world.reports("h", Refusal.EXPIRED)
    assert world.states() == ["EXPIRED"]
    silent = buffered(None, LORAWAN)
    silent.passes(115 + WORD_MAY_COME + 1)
    assert silent.states() == ["UNKNOWN"]
    assert silent.cancels == []


def test_r11_a_network_that_can_do_neither_leaves_it_unknown():
    world = buffered(None, replace(LORAWAN, can_expire=False))
    world.passes(116)
    assert world.states() == ["UNKNOWN"]


def test_r11_nothing_is_submitted_after_deliver_by_however_late_the_step_is(south):
    world = World(south)
    world.network = Refused(Refusal.RATE_LIMITED, "429", retry_at=world.wall + 100)
    world.server_sends(request())
    world.network = Accepted("h", NetworkState.SENT)
    world.wall += 100_000
    world.restart()
    world.event(ev.DeviceReachable())
    assert len(world.submitted) == 1
    assert world.states() == ["RATE_LIMITED"]
