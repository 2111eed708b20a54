"""R10: a clock that was set back while no process ran lengthens no life beyond what it was meant to be."""

import pytest
from world import START, World, ack, notification, observed, registered, request, response

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.numbers import Code
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.relay import events as ev
from bridge.relay.model import Policy, RelayState

DAY = 86400.0


def restarted_a_day_back(world: World) -> float:
    """Restart with a clock that was set back by a day; return the time of that."""
    world.wall -= DAY
    world.restart()
    return world.wall


def test_r10_a_request_is_given_its_time_once_more_and_then_ends(south):
    world = World(south, default_ttl=600.0)
    world.network = Accepted("h", NetworkState.BUFFERED)
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(mid=2, token=b"2"))
    world.passes(100)
    now = restarted_a_day_back(world)
    assert [row["deliver_by"] for row in world.downlinks()] == [now + 600] * 2
    world.passes(601)
    assert world.states()[1] == "EXPIRED"
    assert [count.name for count in world.counts].count("messages_from_the_future") == 2


def test_r10_what_left_is_repeated_as_if_it_had_left_just_now(south):
    world = World(south, default_ttl=7200.0)
    world.server_sends(request())
    world.passes(10)
    restarted_a_day_back(world)
    world.passes(south.retransmit_interval - 1)
    assert len(world.submitted) == 1
    world.passes(11)
    assert len(world.submitted) == 2


def test_r10_a_notification_that_no_server_took_is_not_kept_for_a_day_longer():
    world = World()
    registered(world)
    asked = observed(world)
    world.device_sends(notification(asked, mid=900))
    world.passes(100)
    before = world.uplinks("notification")[0]["expires_at"] - START
    now = restarted_a_day_back(world)
    assert world.uplinks("notification")[0]["expires_at"] <= now + before


def test_r10_a_device_that_joined_in_the_future_may_repeat_itself(south):
    world = World(south)
    world.event(ev.DeviceJoined())
    now = restarted_a_day_back(world)
    assert world.state.relay is not None
    assert world.state.relay.joined_at == now


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_r10_a_clock_that_is_right_changes_nothing(south, seconds):
    world = World(south, default_ttl=600.0)
    world.server_sends(request())
    world.wall -= seconds
    world.restart()
    assert world.downlinks()[0]["deliver_by"] == START + 600


def test_r10_the_deadlines_of_a_request_move_back_once_however_often_the_process_starts(south):
    world = World(south, default_ttl=3600.0)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + 7200)
    world.server_sends(request())
    world.wall -= 1800
    world.restart()
    due = world.wall + 3600
    for _ in range(3):
        world.passes(10)
        world.restart()
        assert [row["deliver_by"] for row in world.downlinks()] == [due]
    assert world.states() == ["QUEUED"]


def test_r10_the_end_of_a_send_moves_back_once_however_often_the_process_starts():
    world = World()
    registered(world)
    world.device_sends(request(2, "dp", 50, b"s1", b"x"))
    sent = world.uplinks("request")[-1]
    lives = sent["expires_at"] - sent["received_at"]
    world.wall -= 40_000
    world.restart()
    due = world.wall + lives
    for _ in range(3):
        world.passes(10)
        world.restart()
        assert world.uplinks("request")[-1]["expires_at"] == due


def test_r10_r04_a_servers_message_id_is_free_again_in_time_after_a_clock_was_set_back(south):
    world = World(south, default_ttl=3600.0)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + 7200)
    world.server_sends(request(mid=1, token=b"1"))
    restarted_a_day_back(world)
    world.passes(EXCHANGE_LIFETIME + 1)
    world.server_sends(request(mid=1, token=b"1"))
    assert len(world.downlinks()) == 2


def ahead_by_a_day(world: World) -> None:
    """Set the clock ahead while the service runs; messages that wait were accepted by a clock that was right."""
    world.wall += DAY
    world.event(ev.Tick())


def test_r10_what_was_put_off_by_a_clock_that_ran_ahead_goes_again_after_its_pause(south):
    world = World(south, default_ttl=7 * DAY)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + 60)
    world.server_sends(request())
    world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + DAY + 3600)
    ahead_by_a_day(world)
    assert len(world.submitted) == 2
    now = restarted_a_day_back(world)
    (row,) = world.downlinks()
    assert row["not_before"] <= now + 3600
    assert row["deliver_by"] == START + 7 * DAY
    world.network = Accepted(None, NetworkState.SENT)
    world.passes(3601)
    assert len(world.submitted) == 3


def test_r10_what_left_by_a_clock_that_ran_ahead_holds_the_slot_no_longer_than_usual(south):
    world = World(south, default_ttl=7 * DAY)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + 60)
    world.server_sends(request(mid=1, token=b"1"))
    world.server_sends(request(mid=2, token=b"2"))
    world.network = Accepted(None, NetworkState.SENT)
    ahead_by_a_day(world)
    assert world.states() == ["SENT", "QUEUED"]
    restarted_a_day_back(world)
    copies = south.max_retransmit + 1
    world.passes(copies * (south.retransmit_interval + south.response_timeout) + 10)
    assert world.states()[0] == "UNANSWERED"
    assert world.downlinks()[1]["attempts"], "it has had its turn"


@pytest.mark.parametrize("starts", [1, 3])
def test_r10_attempts_move_back_once_however_often_the_process_starts(south, starts):
    world = World(south, default_ttl=7 * DAY)
    world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + 60)
    world.server_sends(request())
    world.network = Refused(Refusal.UNREACHABLE, "asleep", world.wall + DAY + 3600)
    ahead_by_a_day(world)
    now = restarted_a_day_back(world)
    for _ in range(starts):
        world.passes(10)
        world.restart()
    assert world.downlinks()[0]["not_before"] == now + 3600
    assert [count.name for count in world.counts if count.label == "down"] == ["messages_from_the_future"]


def test_r10_r04_the_ids_of_a_request_that_was_answered_are_free_again_in_time(south):
    world = World(south)
    world.wall += DAY
    world.server_sends(request(mid=1, token=b"1"))
    world.device_sends(response(world.last_south(), Code.CONTENT, b"v"))
    assert world.states() == ["RESPONDED"]
    restarted_a_day_back(world)
    world.server_sends(request(mid=1, token=b"1"))
    assert len(world.downlinks()) == 1, "a retransmission"
    world.passes(EXCHANGE_LIFETIME + 1)
    world.server_sends(request(mid=1, token=b"1"))
    assert len(world.downlinks()) == 2


def test_r10_r30_requests_that_were_answered_take_the_room_of_others_no_longer_than_usual(south):
    world = World(south, policy=Policy(max_exchanges=2))
    world.wall += DAY
    for mid in (1, 2):
        world.server_sends(request(code=Code.POST, mid=mid, token=bytes((mid,))))
        world.device_sends(response(world.last_south(), Code.CHANGED, b""))
    restarted_a_day_back(world)
    world.passes(EXCHANGE_LIFETIME + 1)
    world.server_sends(request(mid=3, token=b"3"))
    assert len(world.submitted) == 3


def test_r10_r13_what_a_device_sends_again_after_its_span_is_new(south):
    world = World(south)
    registered(world)
    asked = observed(world)
    world.wall += DAY
    message = notification(asked, mid=900)
    world.device_sends(message)
    world.server_sends(ack(world.last_north()))
    restarted_a_day_back(world)
    world.passes(south.exchange_span + 1)
    world.device_sends(message)
    assert len(world.uplinks("notification")) == 2


def test_r10_r21_a_server_takes_a_device_for_awake_no_longer_than_usual():
    world = World()
    registered(world)
    (one,) = world.state.registrations
    one.since = one.refreshed_at = one.awake_since = START + DAY
    world.state.relay = world.state.relay or RelayState(1, 0, [one])
    world.event(ev.DeviceJoined())
    now = restarted_a_day_back(world)
    (one,) = world.state.registrations
    assert (one.since, one.refreshed_at, one.awake_since) == (now, now, now)


def test_r10_r30_an_observation_is_idle_after_as_long_as_usual():
    world = World()
    registered(world)
    world.wall += DAY
    asked = observed(world)
    now = restarted_a_day_back(world)
    assert world.state.observations[asked.token].heard_at == now
