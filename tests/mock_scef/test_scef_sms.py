"""Device triggers as SMS, in virtual time: delivered, kept, repeated, recalled, expired; and SMS of UEs."""

import pytest
from scef_emulation import DESTINATION, UE, Emulation

from mock_network.scef.core import Refusal, RefusedError, effects as e
from mock_network.scef.schema.sms import DeviceTriggering


@pytest.fixture
def net():
    emulation = Emulation()
    emulation.ue(t3324=10, t3412=3600)
    return emulation


@pytest.fixture
def sleeping(net):
    net.wait(30)
    net.move("sleep")
    return net


def trigger(net, payload=b"wake", **members):
    members = {"validity_period": 600, "priority": "NO_PRIORITY", "application_port_id": 5683, **members}
    terms = DeviceTriggering(external_id=UE, trigger_payload=payload, notification_destination=DESTINATION, **members)
    return net.act(lambda now: net.scef.sms.create("as1", terms, now))


def results(net):
    return [(one.trigger.terms.trigger_payload, one.result.value) for one in net.kinds(e.NotifyTrigger)]


def applied(net):
    return [one.data for one in net.kinds(e.ToApplication) if one.channel == "sms"]


def test_a_ue_without_pdn_connection_gets_sms_and_a_detached_one_does_not():
    net = Emulation()
    net.ue(pdn=False)
    trigger(net, b"1")
    net.wait(1)
    assert applied(net) == [b"1"]
    net.move("detach")
    trigger(net, b"2")
    net.wait(60)
    assert applied(net) == [b"1"]
    net.move("attach")
    net.wait(1)
    assert applied(net) == [b"1", b"2"]


def test_a_sleeping_ue_gets_it_when_it_wakes(sleeping):
    trigger(sleeping)
    sleeping.wait(500)
    assert results(sleeping) == []
    sleeping.move("wake")
    sleeping.wait(1)
    assert results(sleeping) == [(b"wake", "SUCCESS")]


def test_after_its_validity_period_it_has_expired_and_is_never_delivered(sleeping):
    trigger(sleeping, validity_period=60)
    sleeping.wait(61)
    assert results(sleeping) == [(b"wake", "EXPIRED")]
    sleeping.move("wake")
    sleeping.wait(60)
    assert applied(sleeping) == []


def test_a_validity_period_of_zero_is_one_attempt(sleeping):
    trigger(sleeping, validity_period=0)
    assert results(sleeping) == [(b"wake", "EXPIRED")]
    sleeping.move("wake")
    sleeping.change(sms_loss=1.0)
    trigger(sleeping, b"lost", validity_period=0)
    sleeping.wait(100)
    assert results(sleeping)[1:] == [(b"lost", "FAILURE")]


def test_priority_goes_first_then_the_oldest_one_at_a_time(sleeping):
    for payload, priority in ((b"a", "NO_PRIORITY"), (b"b", "PRIORITY"), (b"c", "NO_PRIORITY"), (b"d", "PRIORITY")):
        trigger(sleeping, payload, priority=priority)
    sleeping.move("wake")
    sleeping.wait(10)
    assert applied(sleeping) == [b"b", b"d", b"a", b"c"]


def test_an_sms_lost_on_air_is_sent_again(net):
    net.change(sms_loss=1.0)
    trigger(net)
    net.wait(1)
    net.change(sms_loss=0.0)
    net.wait(60)
    assert results(net) == [(b"wake", "SUCCESS")]
    assert [entry.what for entry in net.air("sms", "sms-lost")] == ["sms-lost", "sms"]


def test_an_acknowledgement_that_is_lost_gives_the_application_two_and_perhaps_an_expiry_that_is_none(net):
    net.change(sms_ack_loss=1.0)
    trigger(net, validity_period=15)
    net.wait(100)
    assert applied(net) == [b"wake", b"wake"]
    assert results(net) == [(b"wake", "EXPIRED")]


def test_a_trigger_whose_time_is_over_while_it_is_on_air_may_still_succeed(net):
    net.change(radio_latency=20.0)
    trigger(net, validity_period=10)
    net.wait(15)
    assert results(net) == []
    net.wait(10)
    assert results(net) == [(b"wake", "SUCCESS")]


def test_out_of_coverage_the_subscriber_is_absent_until_it_is_heard(net):
    net.change(in_coverage=False)
    trigger(net)
    net.wait(60)
    assert net.air("sms-lost")[0].detail["reason"] == "absent subscriber"
    net.change(in_coverage=True)
    net.move("wake")
    net.wait(60)
    assert results(net) == [(b"wake", "SUCCESS")]


def test_an_application_that_listens_to_another_port_gets_nothing_and_the_network_says_success(net):
    net.change(sms_port=1234)
    trigger(net)
    net.wait(1)
    assert applied(net) == []
    assert len(net.air("sms-ignored")) == 1
    assert results(net) == [(b"wake", "SUCCESS")]


def test_a_replaced_trigger_is_delivered_with_its_new_payload_and_for_its_new_time(sleeping):
    one = trigger(sleeping, b"old", validity_period=60)
    changes = {"trigger_payload": b"new", "validity_period": 600}
    sleeping.act(lambda now: sleeping.scef.sms.change(one, changes, now))
    sleeping.wait(300)
    sleeping.move("wake")
    sleeping.wait(1)
    assert applied(sleeping) == [b"new"]
    assert results(sleeping) == [(b"new", "SUCCESS")]


def test_a_trigger_on_air_cannot_be_recalled(net):
    net.change(radio_latency=8.0)
    one = trigger(net)
    with pytest.raises(RefusedError) as caught:
        net.act(lambda now: net.scef.sms.recall(one, now))
    assert caught.value.why is Refusal.TRIGGER_OVER


def test_triggers_for_a_ue_that_is_removed_have_failed(net):
    net.change(radio_latency=8.0)
    trigger(net, b"on air")
    trigger(net, b"waiting")
    net.act(lambda now: net.scef.remove_ue(net.the(), now))
    net.wait(100)
    assert results(net) == [(b"waiting", "FAILURE"), (b"on air", "FAILURE")]
    assert net.scef.due() is None


# SMS of the UE


def send(net, data=b"mo"):
    net.act(lambda now: net.scef.mo_sms(net.the(), data, now))


def test_an_sms_of_a_sleeping_ue_wakes_it_and_arrives_after_its_time_on_air(sleeping):
    send(sleeping)
    assert sleeping.kinds(e.DeliverSms) == []
    sleeping.wait(1)
    assert [(one.data, one.port) for one in sleeping.kinds(e.DeliverSms)] == [(b"mo", 0)]
    assert sleeping.scef.cell.reach(sleeping.the()).data


@pytest.mark.parametrize(
    ("settings", "data", "reason"),
    [
        ({}, bytes(134), "too large"),
        ({"attached": False}, b"x", "detached"),
        ({"sms": False}, b"x", "no subscription for SMS"),
        ({"in_coverage": False, "attached": True}, b"x", "detached"),
        ({"loss_up": 1.0}, b"x", "lost on air"),
    ],
)
def test_what_the_modem_cannot_send_is_dropped_and_said_why(settings, data, reason):
    net = Emulation()
    net.ue(**settings)
    send(net, data)
    net.wait(1)
    assert net.kinds(e.DeliverSms) == []
    assert net.air("mo-sms-dropped", "mo-sms-lost")[0].detail["reason"] == reason
