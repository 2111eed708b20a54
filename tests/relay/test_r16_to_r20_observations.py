"""R16–R20: notifications, their order, and how an observation ends on both sides."""

from dataclasses import replace

import pytest
from world import NIDD, World, ack, notification, observe, observed, register, registered, request, response, rst

from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import decode, frame
from bridge.relay import events as ev
from bridge.relay.model import Observation, ServerProfile


def test_r16_a_notification_is_acknowledged_when_the_server_has_it(world: World):
    asked = observed(world)
    assert world.device_sends(notification(asked, 50)) == []
    world.server_sends(ack(world.last_north()))
    assert world.submitted[-1].attempt.payload == ack(50)


def test_r16_or_when_the_hold_is_over_and_delivery_goes_on(world: World):
    asked = observed(world)
    before = len(world.submitted)
    world.device_sends(notification(asked, 50))
    world.passes(0.9)
    assert len(world.submitted) == before
    world.passes(0.2)
    assert world.submitted[-1].attempt.payload == ack(50)
    world.passes(3000)
    world.server_sends(ack(world.last_north()))
    assert [up["state"] for up in world.uplinks("notification")] == ["FORWARDED"]
    assert [s.attempt.payload for s in world.submitted].count(ack(50)) == 1


def test_r16_after_a_restart_it_is_acknowledged_at_once(world: World):
    asked = observed(world)
    world.device_sends(notification(asked, 50))
    world.restart()
    assert world.submitted[-1].attempt.payload == ack(50)


def test_r16_a_non_confirmable_notification_goes_north_as_con_and_is_not_acknowledged(world: World):
    asked = observed(world)
    before = len(world.submitted)
    world.device_sends(notification(asked, 50, mtype=Type.NON))
    assert world.last_north().type is Type.CON
    world.server_sends(ack(world.last_north()))
    world.passes(100)
    assert len(world.submitted) == before


IGNORES = ServerProfile(acknowledges_notifications=False)


@pytest.mark.parametrize("mtype", [Type.CON, Type.NON])
def test_r16_a_server_that_acknowledges_no_notification_gets_each_once_as_non(mtype: Type):
    world = World(NIDD, IGNORES)
    asked = observed(world)
    for n in range(3):
        world.device_sends(notification(asked, 50 + n, 2 + n, b"%d" % n, mtype=mtype))
        assert (world.last_north().type, world.last_north().payload) == (Type.NON, b"%d" % n)
        assert (world.submitted[-1].attempt.payload == ack(50 + n)) is (mtype is Type.CON)
    sent = len(world.to_server)
    world.restart()
    world.passes(86400)
    assert len(world.to_server) == sent
    assert {up["reason"] for up in world.uplinks("notification")} == {
        "sent as NON: this server acknowledges no notification"
    }


def test_r19_its_reset_to_such_a_notification_ends_the_observation():
    world = World(NIDD, IGNORES)
    asked = observed(world)
    world.device_sends(notification(asked, 50, mtype=Type.NON))
    world.server_sends(rst(world.last_north().mid))
    assert [up["state"] for up in world.uplinks("notification")] == ["REJECTED"]
    before = len(world.to_server)
    world.device_sends(notification(asked, 51, 3))
    assert len(world.to_server) == before
    assert world.submitted[-1].attempt.payload == rst(51)
    world.server_sends(rst(decode(world.to_server[before - 1]).mid))
    assert world.counts[-1].name == "resets_without_message"


def test_r17_one_that_was_sent_as_con_blocks_nothing_once_the_profile_is_changed(world: World):
    asked = observed(world)
    world.device_sends(notification(asked, 50, 2, b"0"))
    world.device_sends(notification(asked, 51, 3, b"1"))
    world.passes(200)
    assert world.last_north().payload == b"0"
    world.endpoint = replace(world.endpoint, servers=(replace(world.endpoint.servers[0], profile=IGNORES),))
    world.restart()
    assert [up["state"] for up in world.uplinks("notification")] == ["FORWARDED", "FORWARDED"]
    assert world.last_north().payload == b"1"


@pytest.mark.parametrize("profile", [ServerProfile(), IGNORES])
def test_r17_what_waits_for_the_endpoints_own_address_goes_at_once_when_it_is_there(profile: ServerProfile):
    world = World(NIDD, profile)
    asked = observed(world)
    sent = len(world.to_server)
    world.link_fails()
    world.device_sends(notification(asked, 50, 2, b"0"))
    world.passes(1)  # less than a retransmission takes
    world.down.clear()
    world.event(ev.AddressCame())
    assert [decode(one).payload for one in world.to_server[sent:]] == [b"0"]
    assert world.counted("north_retransmissions") == 0
    if profile.acknowledges_notifications:
        world.passes(3)
        assert world.to_server[sent:] == [world.to_server[sent]] * 2  # as a new one


@pytest.mark.parametrize("mtype", [Type.CON, Type.NON])
def test_r17_one_that_goes_as_non_waits_until_it_can_leave_and_is_forwarded_only_then(mtype: Type):
    world = World(NIDD, IGNORES)
    asked = observed(world)
    sent = len(world.to_server)
    world.link_fails()
    for n in range(2):
        world.device_sends(notification(asked, 50 + n, 2 + n, b"%d" % n, mtype=mtype))
    world.passes(600)
    assert [up["state"] for up in world.uplinks("notification")] == ["RECEIVED", "RECEIVED"]
    world.restart()
    assert [up["state"] for up in world.uplinks("notification")] == ["RECEIVED", "RECEIVED"]
    world.link_opens()
    assert [decode(one).payload for one in world.to_server[sent:]] == [b"0", b"1"]
    assert {decode(one).type for one in world.to_server[sent:]} == {Type.NON}
    assert [up["state"] for up in world.uplinks("notification")] == ["FORWARDED", "FORWARDED"]


def test_r17_one_that_goes_as_non_and_cannot_leave_for_a_day_expires():
    world = World(NIDD, IGNORES)
    asked = observed(world)
    world.link_fails()
    world.device_sends(notification(asked, 50, mtype=Type.NON))
    world.passes(86_500)
    (row,) = world.uplinks("notification")
    assert row["state"] == "EXPIRED"
    assert row["reason"] == (
        "it could not leave for the server: the link was down, or the server had not shown yet that it has its address"
    )


def test_r17_one_that_could_not_leave_as_non_is_acknowledged_once_the_profile_says_that_the_server_does_it():
    world = World(NIDD, IGNORES)
    asked = observed(world)
    world.link_fails()
    world.device_sends(notification(asked, 50, mtype=Type.NON))
    world.endpoint = replace(world.endpoint, servers=(replace(world.endpoint.servers[0], profile=ServerProfile()),))
    world.restart()
    world.link_opens()
    world.passes(10)
    assert world.last_north().type is Type.CON
    assert [up["state"] for up in world.uplinks("notification")] == ["RECEIVED"]
    world.server_sends(ack(world.last_north()))
    assert [up["state"] for up in world.uplinks("notification")] == ["FORWARDED"]


def test_r19_a_reset_that_comes_before_it_is_known_that_the_notification_left_ends_the_observation():
    world = World(NIDD, IGNORES)
    asked = observed(world)
    world.link_fails()
    world.device_sends(notification(asked, 50, mtype=Type.NON))
    (row,) = world.uplinks("notification")
    world.server_sends(rst(row["north_mid"]))
    assert [up["state"] for up in world.uplinks("notification")] == ["REJECTED"]


def test_r17_one_device_originated_con_at_a_time(world: World):
    asked = observed(world)
    for n in range(4):
        world.device_sends(notification(asked, 50 + n, 2 + n, b"%d" % n))
    order = []
    for _ in range(4):
        order.append(world.last_north().payload)
        count = len(world.to_server)
        world.server_sends(ack(world.last_north()))
        assert len(world.to_server) <= count + 1
    assert order == [b"0", b"1", b"2", b"3"]


def test_r17_the_order_holds_over_a_restart(world: World):
    asked = observed(world)
    for n in range(4):
        world.device_sends(notification(asked, 50 + n, 2 + n, b"%d" % n))
    order = []
    for _ in range(4):
        world.restart()
        order.append(world.last_north().payload)
        world.server_sends(ack(world.last_north()))
    assert order == [b"0", b"1", b"2", b"3"]


def test_r17_a_response_does_not_wait_for_them(world: World):
    asked = observed(world)
    world.device_sends(notification(asked, 50))
    world.server_sends(request(mid=9, token=b"9"))
    asked = world.last_south()
    world.passes(2)
    world.device_sends(response(asked, payload=b"quick"))
    assert world.last_north().payload == b"quick"


def test_r17_a_notification_waits_for_the_response_that_began_its_observation(world: World):
    world.server_sends(request(options=observe()))
    world.passes(2)
    asked = world.last_south()
    world.device_sends(response(asked, options=observe(1), payload=b"first"))
    separate = world.last_north()
    world.device_sends(notification(asked, 50, 2, b"second"))
    assert world.last_north().payload == b"first"
    world.server_sends(ack(separate))
    assert world.last_north().payload == b"second"


def test_r18_an_empty_ack_means_delivered(world: World):
    world.server_sends(request())
    world.device_sends(ack(world.last_south()))
    assert world.states() == ["DELIVERED"]


@pytest.mark.parametrize("restarts", [False, True])
def test_r18_the_later_con_response_is_forwarded_and_acknowledged(south, restarts):
    world = World(south)
    world.server_sends(request())
    asked = world.last_south()
    world.device_sends(ack(asked))
    world.passes(30)
    if restarts:
        world.restart()
    assert world.device_sends(response(asked, payload=b"v", mtype=Type.CON, mid=60)) == [ack(60)]
    assert world.last_north().payload == b"v"
    assert world.states() == ["RESPONDED"]


def test_r18_a_reset_is_passed_on_where_the_server_still_waits_for_an_acknowledgement():
    world = World(NIDD)
    world.server_sends(request())
    world.device_sends(rst(world.last_south()))
    assert world.to_server == [rst(100)]
    assert world.states() == ["REJECTED"]


def test_r18_else_it_is_a_bad_gateway(world: World):
    world.server_sends(request())
    world.passes(2)
    world.device_sends(rst(world.last_south()))
    assert (world.last_north().type, world.last_north().code) == (Type.CON, Code.BAD_GATEWAY)
    assert world.states() == ["REJECTED"]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("asks", [observe(), []], ids=["Observe", "Read"])
def test_r18_what_goes_nowhere_is_never_acknowledged(south, asks, restarts):
    """A device that answers an Observe without option 6 does not observe; what it sends under the token is unasked."""
    world = World(south)
    world.server_sends(request(options=asks))
    asked = world.last_south()
    world.device_sends(response(asked, payload=b"20"))
    world.passes(3)
    if restarts:
        world.restart()
    north = len(world.to_server)
    assert world.device_sends(response(asked, payload=b"21", mtype=Type.CON, mid=900)) == [rst(900)]
    assert len(world.to_server) == north
    again = response(asked, payload=b"20", mtype=Type.CON, mid=901)
    assert world.device_sends(again) == [ack(901)]  # this is on disk
    assert world.device_sends(response(asked, payload=b"22", mtype=Type.NON, mid=902)) == []
    assert world.device_sends(response(asked, payload=b"22", options=observe(3), mtype=Type.NON, mid=903)) == [rst(903)]


def test_r18_a_servers_response_under_a_message_id_of_long_ago_is_not_acknowledged(south):
    world = World(south)
    world.device_sends(request(2, "dp", 5, b"s", b"[]"), "a")
    asked = world.last_north()
    world.server_sends(response(asked, Code.CHANGED, mtype=Type.CON, mid=77))
    assert world.server_sends(response(asked, Code.CHANGED, mtype=Type.CON, mid=77)) == [decode(ack(77))]
    other = frame(Type.CON, Code.CHANGED, 77, b"other", b"")
    assert world.server_sends(other) == [decode(rst(77))]


def test_r18_an_empty_ack_for_a_request_that_never_left_says_nothing(world: World):
    world.network = None
    world.server_sends(request(mid=100, token=b"1"))
    world.server_sends(request(mid=101, token=b"2"))  # waits behind the first
    waiting = [row for row in world.downlinks() if row["state"] == "QUEUED"]
    world.device_sends(ack(waiting[0]["south_mid"]))
    assert world.states() == ["SUBMITTING", "QUEUED"]
    assert world.counted("acknowledgements_without_message") == 1


@pytest.mark.parametrize("word", [ack, rst])
def test_r18_an_empty_message_for_a_request_that_is_over_changes_nothing_after_a_restart(world: World, word):
    world.server_sends(request())
    world.device_sends(response(world.last_south()))
    world.restart()
    world.device_sends(word(world.last_south()))
    assert world.states() == ["RESPONDED"]
    assert world.counted("acknowledgements_without_message") == 1


def test_r19_the_servers_reset_ends_the_observation_for_the_device_too(world: World):
    asked = observed(world)
    world.device_sends(notification(asked, 50, 2))
    world.passes(2)  # acknowledged by the hold
    world.device_sends(notification(asked, 51, 3))
    world.passes(2)
    world.server_sends(rst(world.last_north()))
    assert [up["state"] for up in world.uplinks("notification")] == ["REJECTED", "REJECTED"]
    before = len(world.to_server)
    for mid in 52, 53:  # a Reset may be lost
        assert world.device_sends(notification(asked, mid, mid)) == [rst(mid)]
    assert len(world.to_server) == before
    assert [row["state"] for row in world.rows(Observation)] == ["cancelled"]


def test_r19_the_reset_goes_to_the_notification_itself_while_that_waits(world: World):
    asked = observed(world)
    world.device_sends(notification(asked, 50))
    world.server_sends(rst(world.last_north()))
    assert world.submitted[-1].attempt.payload == rst(50)


def test_r19_the_next_notification_is_reset_after_a_restart_too(world: World):
    asked = observed(world)
    world.device_sends(notification(asked, 50))
    world.passes(2)
    world.server_sends(rst(world.last_north()))
    world.restart()
    assert world.device_sends(notification(asked, 51, 3)) == [rst(51)]


def test_r19_an_acknowledgement_with_4_04_says_the_same_as_a_reset(world: World):
    asked = observed(world)
    world.device_sends(notification(asked, 50))
    world.server_sends(response(world.last_north(), Code.NOT_FOUND, b""))
    assert world.submitted[-1].attempt.payload == rst(50)
    assert [up["state"] for up in world.uplinks("notification")] == ["REJECTED"]
    assert world.device_sends(notification(asked, 51, 3)) == [rst(51)]


def test_r16_whatever_an_acknowledgement_says_besides_it_is_one(world: World):
    asked = observed(world)
    world.device_sends(notification(asked, 50))
    north = len(world.to_server)
    world.server_sends(response(world.last_north(), Code.CHANGED, b""))
    assert world.submitted[-1].attempt.payload == ack(50)
    assert [up["state"] for up in world.uplinks("notification")] == ["FORWARDED"]
    world.passes(100)
    assert len(world.to_server) == north


def test_r19_a_server_may_use_the_token_of_an_ended_observation_again(world: World):
    """Its next Observe, and the end of that, are not mixed up with what is over (R1)."""
    first = observed(world)
    world.device_sends(notification(first, 50))
    world.server_sends(rst(world.last_north()))
    second = observed(world, 101)
    assert second.token != first.token
    world.server_sends(request(mid=102, options=observe(1)))
    assert world.last_south().token == second.token
    world.device_sends(response(world.last_south()))
    assert [row["state"] for row in world.rows(Observation)] == ["cancelled"]


def test_r19_an_observation_of_another_token_goes_on(world: World):
    one = observed(world, 100, b"one")
    two = observed(world, 101, b"two", "3/0/9")
    world.device_sends(notification(one, 50))
    world.passes(2)
    world.server_sends(rst(world.last_north()))
    world.device_sends(notification(two, 51))
    assert world.last_north().token == b"two"


@pytest.mark.parametrize("how", ["register", "deregister", "update refused"])
def test_r20_a_new_registration_epoch_ends_all_observations(south, how):
    world = World(south)
    registered(world)
    asked = observed(world)
    if how == "register":
        registered(world, 2)
    elif how == "deregister":
        world.device_sends(request(4, "rd/abc", 2, b"d"))
        world.server_sends(response(world.last_north(), Code.DELETED, b""))
    else:
        world.device_sends(request(2, "rd/abc", 2, b"u"))
        world.server_sends(response(world.last_north(), Code.NOT_FOUND, b""))
    assert [row["state"] for row in world.rows(Observation)] == ["cancelled"]
    before = len(world.to_server)
    for restart in False, True:
        if restart:
            world.restart()
        mid = 60 + restart
        assert world.device_sends(notification(asked, mid, 2 + restart)) == [rst(mid)]
    assert len(world.to_server) == before


def test_r20_an_update_that_is_taken_changes_nothing(world: World):
    registered(world)
    asked = observed(world)
    world.device_sends(request(2, "rd/abc", 2, b"u"))
    world.server_sends(response(world.last_north(), Code.CHANGED, b""))
    world.device_sends(notification(asked, 60))
    assert world.last_north().payload == b"21"


def test_r20_the_device_may_end_an_observation_itself(world: World):
    asked = observed(world)
    last = response(asked, Code.NOT_FOUND, b"", mtype=Type.CON, mid=61)
    world.device_sends(last)
    assert world.last_north().code == Code.NOT_FOUND
    assert world.rows(Observation) == []


def test_r20_cancel_observation_ends_it_on_the_devices_answer(world: World):
    asked = observed(world)
    world.server_sends(request(mid=101, options=observe(1)))
    cancel = world.last_south()
    world.device_sends(notification(asked, 70, 5))  # crosses the cancellation
    assert len(world.uplinks("notification")) == 1
    world.device_sends(response(cancel))
    assert world.rows(Observation) == []


def test_r24_after_the_endpoints_address_changed_the_next_update_is_answered_404(world: World):
    registered(world)
    asked = observed(world)
    world.event(ev.NorthChanged())
    before = len(world.to_server)
    world.restart()
    world.device_sends(request(2, "rd/abc", 5, b"u"))
    assert len(world.to_server) == before
    answer = world.last_south()
    assert (answer.type, answer.code, answer.mid, answer.token) == (Type.ACK, Code.NOT_FOUND, 5, b"u")
    assert world.device_sends(notification(asked, 61)) == [rst(61)]
    registered(world, 6)
    world.device_sends(request(2, "rd/abc", 8, b"v"))
    assert world.last_north().code == Code.POST
    assert decode(world.to_server[-1]).strings(11) == ["rd", "abc"]


def test_r24_a_register_needs_no_refusal(world: World):
    world.event(ev.NorthChanged())
    world.device_sends(register())
    assert world.last_north().code == Code.POST
