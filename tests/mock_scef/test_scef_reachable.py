"""Downlinks for a UE that can be reached: what is answered follows from what passed on air."""

from scef_emulation import asleep

from mock_network.scef.core import Refusal, effects as e
from mock_network.scef.schema import DeliveryStatus


def test_a_reachable_ue_without_rds_gets_it_and_the_post_is_answered_with_success(net):
    answer = net.answered(b"hello")
    assert answer.status is DeliveryStatus.SUCCESS_NEXT_HOP_ACKNOWLEDGED
    assert net.received() == [b"hello"]
    assert [effect.data for effect in net.kinds(e.ToApplication)] == [b"hello"]
    assert net.statuses() == []


def test_success_is_answered_only_after_the_data_has_passed_the_air(net):
    delivery = net.post(b"hello")
    net.wait(0.05)
    assert delivery not in net.answers
    assert net.received() == []


def test_a_datagram_lost_on_air_is_not_claimed_to_be_acknowledged(net):
    net.change(loss_down=1.0)
    assert net.answered().status is DeliveryStatus.SUCCESS_NEXT_HOP_UNACKNOWLEDGED
    assert net.received() == []
    assert net.air("downlink-lost")[0].detail["reason"] == "lost on air"


def test_rds_asked_for_and_enabled_is_acknowledged_by_the_ue(net):
    net.change(rds_enabled=True)
    assert net.answered(reliable=True).status is DeliveryStatus.SUCCESS_ACKNOWLEDGED
    net.change(rds_ack=False, rds_timer=0.5)
    assert net.answered(reliable=True).status is DeliveryStatus.SUCCESS_UNACKNOWLEDGED
    net.change(rds_ack=True, loss_down=1.0)
    assert net.answered(reliable=True).status is DeliveryStatus.SUCCESS_UNACKNOWLEDGED


def test_rds_asked_for_but_not_enabled_is_refused(net):
    answer = net.refused(reliable=True)
    assert (answer.why, answer.downlink) == (Refusal.RDS_DISABLED, True)
    assert net.received() == []


def test_rds_disabled_while_data_is_buffered_fails_it():
    net = asleep()
    net.change(rds_enabled=True)
    assert net.answered(reliable=True).status is DeliveryStatus.BUFFERING_TEMPORARILY_NOT_REACHABLE
    net.change(rds_enabled=False)
    net.uplink(b"up")
    assert net.statuses() == ["FAILURE_RDS_DISABLED"]
    assert net.received() == []


def test_a_slow_radio_is_answered_as_pending_and_its_end_is_notified(net):
    net.change(radio_latency=30.0)
    assert net.answered().status is DeliveryStatus.SENDING
    net.wait(30)
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]
