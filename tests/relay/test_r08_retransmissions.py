"""R8: retransmission follows the south profile: none while the network holds the message, the same bytes each time."""

import pytest
from world import LORAWAN, NIDD, START, World, ack, register, request

from bindings.contract import Accepted, Ambiguous, LimitOf, NetworkState, Refusal, Refused
from bridge.coap.message import Type
from bridge.delivery.attempts import MOST

LONG = {"default_ttl": 86400.0}


@pytest.mark.parametrize(("south", "copies", "interval"), [(NIDD, 3, 60.0), (LORAWAN, 5, 300.0)])
def test_r08_an_unanswered_request_goes_again_at_the_profiles_pace(south, copies, interval):
    world = World(south, **LONG)
    world.server_sends(request())
    for n in range(1, copies):
        world.passes(interval - 1)
        assert len(world.submitted) == n
        world.passes(1)
        assert len(world.submitted) == n + 1
    world.passes(5000)
    assert len(world.submitted) == copies
    assert len({s.attempt.payload for s in world.submitted}) == 1
    assert [s.attempt.number for s in world.submitted] == list(range(1, copies + 1))
    assert world.states() == ["UNANSWERED"]


def test_r08_nothing_goes_again_while_the_network_holds_it(south):
    world = World(south, **LONG)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request())
    world.passes(4000)
    assert len(world.submitted) == 1
    world.reports("h", NetworkState.SENT)
    world.passes(south.retransmit_interval - 1)
    assert len(world.submitted) == 1
    world.passes(2)
    assert len(world.submitted) == 2


def test_r08_nothing_goes_again_over_confirmed_lorawan_frames():
    world = World(LORAWAN, confirmed=True, **LONG)
    world.server_sends(request())
    world.passes(5000)
    assert len(world.submitted) == 1


def test_r08_confirmed_nidd_retransmits_all_the_same():
    world = World(NIDD, confirmed=True, **LONG)
    world.server_sends(request())
    world.passes(61)
    assert len(world.submitted) == 2


def test_r08_a_non_confirmable_request_is_not_retransmitted(south):
    world = World(south, **LONG)
    world.server_sends(request(mtype=Type.NON))
    world.passes(3000)
    assert len(world.submitted) == 1


def test_r08_a_nack_goes_back_to_the_queue_at_most_five_times():
    world = World(LORAWAN, confirmed=True, **LONG)
    for n in range(1, 6):
        world.network = Accepted(f"h{n}", NetworkState.SENT)
        if n == 1:
            world.server_sends(request())
        else:
            world.reports(f"h{n - 1}", None, nack=True)
        assert len(world.submitted) == n
    world.reports("h5", None, nack=True)
    world.passes(4000)
    assert len(world.submitted) == 5
    assert world.states() == ["NACKED"]


def test_r08_a_nacked_request_that_the_network_does_not_take_for_a_while_is_tried_again():
    world = World(LORAWAN, confirmed=True, **LONG)
    world.network = Accepted("h1", NetworkState.SENT)
    world.server_sends(request())
    world.network = Refused(Refusal.FAILED, "503", retry_at=world.wall + 20)
    world.reports("h1", None, nack=True)
    assert world.states() == ["QUEUED"]
    world.network = Accepted("h2", NetworkState.SENT)
    world.passes(21)
    assert world.states() == ["SENT"]


def test_r08_r09_a_nacked_execute_never_goes_again():
    """The device may have carried it out: only the acknowledgement of its MAC failed to come."""
    world = World(LORAWAN, confirmed=True, **LONG)
    world.network = Accepted("h1", NetworkState.SENT)
    world.server_sends(request(2, "3/0/4"))
    world.reports("h1", None, nack=True)
    world.restart()
    world.passes(4000)
    assert len(world.submitted) == 1
    assert world.states() == ["NACKED"]


def test_r08_r09_a_copy_of_which_nobody_knows_counts():
    """The copy may have left: with the first one it makes two of the three that NIDD allows."""
    world = World(NIDD, **LONG)
    world.network = Accepted("h1", NetworkState.SENT)
    world.server_sends(request())
    world.network = Ambiguous("the answer was lost")
    world.passes(61)
    assert len(world.submitted) == 2
    world.network = Accepted("h3", NetworkState.SENT)
    world.passes(4000)
    assert len(world.submitted) == 3


def test_r08_a_network_that_fails_is_asked_again_until_the_deadline(south):
    """Its 500 says nothing about the next hour: the message has time left."""
    world = World(south, **LONG)
    world.network = Refused(Refusal.FAILED, "500")
    world.server_sends(request())
    world.passes(4000)
    assert len(world.submitted) > 2 * south.max_attempts
    assert world.states() == ["QUEUED"]
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.passes(301)
    assert world.states() == ["BUFFERED"]


def test_r08_a_network_that_fails_to_the_deadline_had_the_message_never(south):
    world = World(south, default_ttl=600.0)
    world.network = Refused(Refusal.FAILED, "500 queue full")
    world.server_sends(request())
    world.passes(601)
    assert len(world.submitted) == 7  # after 0, 5, 15, 35, 75, 155, 315 seconds
    assert world.states() == ["FAILED"]


def test_r08_failures_of_what_was_accepted_are_counted_to_the_profiles_attempts(south):
    """Each may have cost a message of the quota."""
    world = World(south, **LONG)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request())
    for number in range(1, south.max_attempts + 1):
        assert len(world.submitted) == number
        world.network = Accepted(f"h{number + 1}", NetworkState.BUFFERED)
        world.reports(f"h{number}", Refusal.FAILED)
        world.passes(300)
    world.passes(4000)
    assert len(world.submitted) == south.max_attempts
    assert world.states() == ["FAILED"]


def test_r08_what_expires_in_the_network_before_its_deadline_goes_again(south):
    """The network waits less long than it was asked to; that the device did not get it is certain."""
    world = World(south, default_ttl=600.0)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request(2, "3/0/4"))
    world.reports("h1", Refusal.EXPIRED)
    assert world.states() == ["QUEUED"]
    world.network = Refused(Refusal.UNREACHABLE, "asleep", retry_at=world.wall + 1000)
    world.passes(10)
    assert len(world.submitted) == 2
    world.passes(600)
    assert world.states() == ["UNREACHABLE"]


def test_r08_a_network_that_lets_all_expire_at_once_gets_the_message_ever_less_often(south):
    """Each copy may cost one: not one every five seconds for a day."""
    world = World(south, default_ttl=600.0)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request())
    for number in range(1, 8):
        assert len(world.submitted) == number  # after 0, 5, 15, 35, 75, 155, 315 seconds
        world.network = Accepted(f"h{number + 1}", NetworkState.BUFFERED)
        world.reports(f"h{number}", Refusal.EXPIRED)
        world.passes(5 * 2 ** (number - 1) - 1)
        assert len(world.submitted) == number
        world.passes(1)
    assert world.states() == ["EXPIRED"]


def test_r08_what_expired_in_the_network_goes_when_the_device_is_heard(south):
    world = World(south, **LONG)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request())
    world.reports("h1", Refusal.EXPIRED)
    before = len(world.submitted)
    world.device_sends(register())
    assert len(world.submitted) == before + 1


@pytest.mark.parametrize("why", [Refusal.FAILED, Refusal.EXPIRED])
def test_r08_a_time_that_the_network_names_holds_though_the_device_is_heard(south, why):
    world = World(south, **LONG)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request())
    world.reports("h1", why, retry_at=world.wall + 3)
    before = len(world.submitted)
    world.device_sends(register())
    assert len(world.submitted) == before
    world.passes(3)
    assert len(world.submitted) == before + 1


def test_r08_many_refusals_hide_no_failure_that_counts(south):
    world = World(south, **LONG)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request())
    for number in range(1, south.max_attempts):
        world.network = Accepted(f"h{number + 1}", NetworkState.BUFFERED)
        if number == south.max_attempts - 1:
            world.network = Refused(Refusal.FAILED, "500")
        world.reports(f"h{number}", Refusal.FAILED)
        world.passes(300)
    world.passes(2 * MOST * 300)
    world.network = Accepted("last", NetworkState.BUFFERED)
    world.passes(301)
    world.reports("last", Refusal.FAILED)
    assert world.states() == ["FAILED"]


def test_r08_what_expires_in_the_network_at_its_deadline_is_expired(south):
    world = World(south, default_ttl=600.0)
    world.network = Accepted("h1", NetworkState.BUFFERED)
    world.server_sends(request())
    world.passes(599.5)
    world.reports("h1", Refusal.EXPIRED)
    assert world.states() == ["EXPIRED"]


def test_r08_a_message_that_the_network_failed_to_handle_goes_when_the_device_is_heard(south):
    """The message may have failed because the device had no connection; now the device has one."""
    world = World(south, **LONG)
    world.network = Refused(Refusal.FAILED, "500")
    world.server_sends(request())
    world.passes(200)
    before = len(world.submitted)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.device_sends(register())
    assert len(world.submitted) == before + 1


@pytest.mark.parametrize("why", [Refusal.UNREACHABLE, Refusal.RATE_LIMITED])
def test_r08_a_network_that_says_when_is_asked_again_until_the_deadline(south, why):
    world = World(south)
    world.network = Refused(why, "later", retry_at=world.wall + 10)
    world.server_sends(request())
    for _ in range(11):
        world.network = Refused(why, "later", retry_at=world.wall + 20)
        world.passes(10)
    assert len(world.submitted) == 12
    world.passes(60)
    assert world.states() == [why.name]


@pytest.mark.parametrize(("limit_of", "seconds"), [(LimitOf.NETWORK, 900), (LimitOf.DEVICE, 86_400)])
def test_r08_a_message_waits_no_longer_for_a_limit_of_the_network_than_the_network_is_held(limit_of, seconds):
    world = World(default_ttl=7 * 86_400.0)
    world.network = Refused(Refusal.RATE_LIMITED, "429", world.wall + 86_400, limit_of)
    world.server_sends(request())
    (row,) = world.state.deliveries.live.values()
    assert row.not_before == START + seconds


@pytest.mark.parametrize("retry_at", [None, START - 600])
def test_r08_a_network_that_names_a_time_already_past_is_asked_no_sooner_than_one_that_names_none(south, retry_at):
    world = World(south, default_ttl=600.0)
    world.network = Refused(Refusal.UNREACHABLE, "later", retry_at)
    world.server_sends(request())
    world.passes(599)
    assert len(world.submitted) == 7  # after 0, 5, 15, 35, 75, 155, 315 seconds


def test_r08_an_outage_of_the_network_counts_against_no_message(south):
    world = World(south, default_ttl=7200.0)
    world.network = Refused(Refusal.NETWORK_UNAVAILABLE, "500 without a cause")
    world.server_sends(request())
    world.passes(4000)
    assert len(world.submitted) > south.max_attempts
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.passes(600)
    assert world.states() == ["BUFFERED"]


def test_r08_a_message_that_an_outage_kept_to_its_deadline_never_left(south):
    world = World(south, default_ttl=600.0)
    world.network = Refused(Refusal.NETWORK_UNAVAILABLE, "connection refused")
    world.server_sends(request())
    world.passes(700)
    assert world.states() == ["FAILED"]


def test_r08_a_repetition_that_is_refused_leaves_the_first_copy_sent(south):
    world = World(south, **LONG)
    world.server_sends(request())
    world.network = Refused(Refusal.TOO_LARGE, "now too large")
    world.passes(south.retransmit_interval + 1)
    assert world.states() == ["SENT"]
    world.passes(5000)
    assert len(world.submitted) == 2
    assert world.states() == ["UNANSWERED"]


def test_r08_an_empty_ack_stops_the_retransmission(south):
    world = World(south, **LONG)
    world.server_sends(request())
    world.device_sends(ack(world.last_south()))
    world.passes(5000)
    assert len(world.submitted) == 1


def test_r08_retransmission_goes_on_after_a_restart(south):
    world = World(south, **LONG)
    world.server_sends(request())
    world.passes(10)
    world.restart()
    world.passes(south.retransmit_interval - 11)
    assert len(world.submitted) == 1
    world.passes(2)
    assert len(world.submitted) == 2
    assert len({s.attempt.payload for s in world.submitted}) == 1


def test_r08_no_copy_leaves_after_deliver_by_even_if_its_time_was_slept_through(south):
    world = World(south, default_ttl=south.retransmit_interval + 30)
    world.server_sends(request())
    world.wall += south.retransmit_interval + 40  # the machine slept; no timer fired
    world.restart()
    world.passes(5000)
    assert len(world.submitted) == 1
    assert world.states() == ["UNANSWERED"]
