"""R11 for a person's wish: durable, done as soon as the state allows, and no more is said than is certain."""

import pytest
from world import LORAWAN, NIDD, World, ack, request, response

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
    SubmitResult,
)
from bridge.coap.message import Message
from bridge.coap.numbers import Code
from bridge.coap.udp import decode
from bridge.relay import events as ev

SLEEPS = Refused(Refusal.UNREACHABLE, "asleep", retry_at=1_700_000_090.0)
HELD = Accepted("h", NetworkState.BUFFERED)
SENT = Accepted("h", NetworkState.SENT)
EXECUTE = request(2, "3/0/4")
both_ways = pytest.mark.parametrize("restarts", [False, True])


def asked(
    network: SubmitResult | None, cancel: Cancellation | None, south: SouthProfile = NIDD, data: bytes = request()
) -> World:
    """Let a server ask, the network answer its submit, and a person cancel the request."""
    world = World(south)
    world.network = network
    world.cancel_answer = cancel
    world.server_sends(data)
    world.event(ev.CancelAsked(number(world)))
    return world


def number(world: World) -> int:
    return world.submitted[0].attempt.downlink


def told(world: World) -> Message:
    """Return what the server was told last but acknowledgements."""
    return [m for m in map(decode, world.to_server) if m.code][-1]


def test_r11_a_wish_is_on_disk_before_anything_is_done_about_it():
    world = asked(HELD, None)
    assert [row["cancel_asked"] for row in world.downlinks()] == [True]
    assert [row["state"] for row in world.downlinks()] == ["BUFFERED"]
    assert len(world.cancels) == 1


def test_r11_what_waits_in_the_bridge_is_cancelled_at_once(south):
    world = asked(SLEEPS, None, south)
    assert world.states() == ["CANCELLED"]
    assert told(world).code == Code.SERVICE_UNAVAILABLE
    world.passes(100)
    assert len(world.submitted) == 1


@both_ways
@pytest.mark.parametrize(
    ("answer", "state"),
    [(Cancellation.REMOVED, "CANCELLED"), (Cancellation.GONE, "UNKNOWN"), (Cancellation.UNKNOWN, "BUFFERED")],
)
def test_r11_what_the_network_holds_is_what_the_cancel_achieved_also_after_a_crash(answer, state, restarts):
    world = asked(HELD, None if restarts else answer)
    if restarts:
        assert world.states() == ["BUFFERED"]
        world.cancel_answer = answer
        world.restart()
        assert len(world.cancels) == 2
    assert world.states() == [state]
    world.passes(1000)
    assert world.states() == ["CANCELLED" if state == "CANCELLED" else "UNKNOWN"]
    assert len(world.submitted) == 1  # no copy of what was cancelled


def test_r11_a_crash_before_the_network_was_asked_costs_nothing():
    world = asked(HELD, None)
    world.cancels.clear()  # the process ended after the commit
    for _ in range(3):
        world.restart()
        assert len(world.cancels) == 1
        world.cancels.clear()
    world.event(ev.CancelDone(number(world), 1, Cancellation.REMOVED))
    assert world.states() == ["CANCELLED"]


def test_r11_after_a_wish_the_device_may_still_answer_what_it_got():
    world = asked(HELD, Cancellation.GONE)
    world.device_sends(response(world.last_south()))
    assert world.states() == ["RESPONDED"]
    assert told(world).code == Code.CONTENT


@pytest.mark.parametrize(
    ("result", "state"),
    [(HELD, "CANCELLED"), (SENT, "SENT"), (SLEEPS, "CANCELLED"), (Refused(Refusal.TOO_LARGE, "no"), "TOO_LARGE")],
)
def test_r11_a_wish_during_the_submit_waits_for_its_answer(result, state):
    world = asked(None, Cancellation.REMOVED)
    assert world.states() == ["SUBMITTING"]
    assert world.cancels == []
    world.answers_open_call(result)
    assert world.states() == [state]
    world.passes(1000)
    assert len(world.submitted) == 1


@both_ways
@pytest.mark.parametrize("data", [request(), EXECUTE], ids=["repeatable", "once"])
@pytest.mark.parametrize(("presence", "state"), [(Presence.PRESENT, "CANCELLED"), (Presence.ABSENT, "UNKNOWN")])
def test_r11_a_wish_during_a_submit_whose_answer_is_lost(presence, state, data, restarts):
    world = asked(None, Cancellation.REMOVED, data=data)
    world.lookup_answer = Lookup(presence, "h" if presence is Presence.PRESENT else None)
    if restarts:
        world.restart()
    else:
        world.answers_open_call(Ambiguous("lost"))
    assert world.states() == [state]
    assert all(row["over"] for row in world.downlinks())
    assert len(world.submitted) == 1  # absence proves nothing, and nobody wants a second copy


@both_ways
@pytest.mark.parametrize(
    ("presence", "state"),
    [(Presence.PRESENT, "CANCELLED"), (Presence.ABSENT, "UNKNOWN"), (Presence.UNSUPPORTED, "UNKNOWN")],
)
def test_r11_a_wish_for_what_nobody_knows_looks_once_more(presence, state, restarts):
    world = World(NIDD)
    world.network = Ambiguous("lost")
    world.server_sends(EXECUTE)
    assert (world.states(), len(world.lookups)) == (["UNKNOWN"], 1)
    world.lookup_answer = Lookup(Presence.FAILED)
    world.event(ev.CancelAsked(number(world)))
    assert (world.states(), len(world.lookups)) == (["UNKNOWN"], 2)
    assert not world.downlinks()[0]["over"]
    world.lookup_answer = Lookup(presence, "h" if presence is Presence.PRESENT else None)
    if restarts:
        world.restart()
    world.passes(35)
    assert world.states() == [state]
    assert world.downlinks()[0]["over"]
    assert len(world.submitted) == 1


def test_r11_a_wish_is_not_ended_while_the_submit_is_under_way():
    """A report that says nothing does not make the network's answer, and with it the handle, worthless."""
    world = World(NIDD)
    world.network = SENT
    world.server_sends(request())
    world.network = None
    world.passes(61)
    world.event(ev.CancelAsked(number(world)))
    world.reports("h", None)  # of the first copy
    assert world.states() == ["SUBMITTING"]
    world.answers_open_call(Accepted("h2", NetworkState.BUFFERED))
    assert [cancel.handle for cancel in world.cancels] == ["h2"]
    assert world.states() == ["SENT"]


@both_ways
def test_r11_what_left_stays_sent_and_no_further_copy_goes(south, restarts):
    world = asked(SENT, None, south)
    assert world.states() == ["SENT"]
    if restarts:
        world.restart()
    world.passes(5000)
    assert world.states() == ["UNANSWERED"]
    assert len(world.submitted) == 1
    assert world.cancels == []


@both_ways
def test_r11_a_copy_in_the_network_is_taken_back_and_the_first_one_counts(restarts):
    world = World(NIDD)
    world.network = SENT
    world.server_sends(request())
    world.network = Accepted("h2", NetworkState.BUFFERED)
    world.passes(61)
    world.cancel_answer = None if restarts else Cancellation.REMOVED
    world.event(ev.CancelAsked(number(world)))
    if restarts:
        world.cancel_answer = Cancellation.REMOVED
        world.restart()
    assert world.states() == ["SENT"]
    world.passes(400)
    assert world.states() == ["UNANSWERED"]
    assert len(world.submitted) == 2


def test_r11_what_the_device_has_is_not_cancelled():
    world = World(NIDD)
    world.network = SENT
    world.server_sends(request())
    world.device_sends(ack(world.last_south()))
    world.event(ev.CancelAsked(number(world)))
    assert world.states() == ["DELIVERED"]
    world.device_sends(response(world.last_south()))
    assert world.states() == ["RESPONDED"]


@both_ways
def test_r11_a_nack_after_a_wish_is_no_reason_to_send_again(restarts):
    world = World(LORAWAN, confirmed=True)
    world.network = Accepted("h", NetworkState.SENT)
    world.server_sends(request())
    world.event(ev.CancelAsked(number(world)))
    if restarts:
        world.restart()
    world.reports("h", None, nack=True)
    world.passes(2000)
    assert world.states() == ["NACKED"]  # its acknowledgement may be what was lost
    assert len(world.submitted) == 1


@both_ways
@pytest.mark.parametrize("handle", [None, "h"], ids=["all", "one"])
def test_r11_what_is_flushed_after_a_wish_is_not_submitted_again(handle, restarts):
    world = asked(HELD, None)
    if restarts:
        world.restart()
    world.event(ev.NetworkFlushed("flushed", handle))
    world.event(ev.CancelDone(number(world), world.cancels[-1].number, Cancellation.GONE))
    world.passes(500)
    assert world.states() == ["UNKNOWN"]
    assert len(world.submitted) == 1


@both_ways
def test_r11_a_cancelled_message_that_the_network_gives_back_is_not_submitted_again(restarts):
    world = asked(HELD, None)
    if restarts:
        world.restart()
    world.reports("h", Refusal.UNREACHABLE)
    assert world.states() == ["CANCELLED"]
    world.event(ev.CancelDone(number(world), world.cancels[-1].number, Cancellation.GONE))
    world.passes(100)
    assert len(world.submitted) == 1


def test_r11_a_network_that_says_gone_and_then_that_it_gave_it_up_had_it_cancelled():
    world = asked(HELD, Cancellation.GONE)
    assert world.states() == ["UNKNOWN"]
    world.reports("h", Refusal.UNREACHABLE)
    assert world.states() == ["CANCELLED"]


def test_r11_cancelled_is_not_said_where_an_earlier_attempt_is_in_doubt():
    world = World(NIDD)
    world.network = None
    world.server_sends(request())
    world.answers_open_call(Ambiguous("lost"))  # absent; goes again
    world.answers_open_call(Accepted("h2", NetworkState.BUFFERED))
    world.event(ev.CancelAsked(number(world)))
    assert [cancel.handle for cancel in world.cancels] == ["h2"]
    assert world.states() == ["UNKNOWN"]


def test_r11_a_wish_for_the_second_time_changes_nothing():
    world = asked(HELD, None)
    world.event(ev.CancelAsked(number(world)))
    assert len(world.cancels) == 1
    world.event(ev.CancelDone(number(world), world.cancels[-1].number, Cancellation.REMOVED))
    world.event(ev.CancelAsked(number(world)))
    assert world.states() == ["CANCELLED"]
    assert len(world.settled) == 1


def test_r11_a_wish_for_what_is_not_there_does_nothing(world: World):
    world.event(ev.CancelAsked(4711))
    assert world.downlinks() == []
