"""Sizes, queues, rates and quotas."""

from scef_emulation import Emulation, asleep

from mock_network.scef.core import Refusal
from mock_network.scef.core.refusals import REFUSALS
from mock_network.scef.schema import DeliveryStatus
from mock_network.scef.schema.nidd import RdsPort


def test_more_than_the_maximum_packet_size_in_bits_is_too_large(net):
    assert net.answered(bytes(1358)).status.success
    assert net.refused(bytes(1359)).why is Refusal.DATA_TOO_LARGE
    assert REFUSALS[Refusal.DATA_TOO_LARGE] == (403, "DATA_TOO_LARGE")


def test_a_full_queue_refuses():
    net = asleep(queue_length=2)
    assert net.answered().status
    assert net.answered().status
    assert net.refused().why is Refusal.QUEUE_FULL


def test_the_rate_limit_refuses_a_reachable_ue_and_holds_back_what_was_buffered(net):
    net.change(downlink_rate=2)
    assert net.answered(b"1").status.success
    assert net.answered(b"2").status.success
    answer = net.refused(b"3")
    assert answer.why is Refusal.PLMN_RATE_EXCEEDED
    assert 350 < answer.wait <= 360
    net.wait(361)
    net.move("sleep")
    for data in (b"4", b"5", b"6"):
        net.answered(data)
    net.move("wake")
    net.wait(10)
    assert net.received() == [b"1", b"2", b"4", b"5"]
    net.wait(360)
    assert net.received()[-1] == b"6"


def test_the_quota_of_the_scs_as_is_its_own():
    net = Emulation(quota=1)
    net.ue()
    net.configure()
    mine = net.configuration
    net.configure(scs_as="as2")
    assert net.answered(configuration=mine).status.success
    assert net.refused(configuration=mine).why is Refusal.QUOTA_EXCEEDED
    assert net.answered().status.success


def test_an_rds_port_that_is_not_configured_is_unknown_where_ports_are_verified(net):
    assert net.answered(rds_port=(1, 2)).status.success
    net.configure(supported_features="8", rds_ports=[RdsPort(ue=3, scef=4)])
    assert net.refused(rds_port=(1, 2)).why is Refusal.RDS_PORT_UNKNOWN
    assert net.answered(rds_port=(3, 4)).status.success


def test_the_apn_has_a_rate_of_its_own_in_its_own_unit(net):
    net.change(apn_downlink_rate=1, apn_rate_unit="day")
    assert net.answered(b"1").status.success
    refused = net.refused(b"2")
    assert refused.why is Refusal.APN_RATE_EXCEEDED
    assert 86_000 < refused.wait <= 86_400
    net.wait(86_401)
    assert net.answered(b"3").status.success


def test_a_scef_may_hold_back_what_is_above_the_rate_in_place_of_refusing_it():
    net = Emulation(over_rate="delay")
    net.ue(downlink_rate=1)
    net.configure()
    net.answered(b"1")
    assert net.answered(b"2").status is DeliveryStatus.SENDING
    net.wait(300)
    assert net.received() == [b"1"]
    net.wait(100)
    assert net.received() == [b"1", b"2"]
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


def test_exception_reports_pass_the_plmns_rate_and_have_a_number_of_their_own_at_the_apn():
    net = Emulation()
    net.ue(uplink_rate=1, apn_uplink_rate=2, apn_exception_reports=1)
    net.configure()
    sent = [(b"1", False), (b"2", False), (b"3", True), (b"4", True), (b"5", True)]
    for data, exception in sent:
        net.uplink(data, exception=exception)
    net.wait(1)
    assert net.uplinks() == [b"1", b"3", b"4"]
    assert [entry.detail["reason"] for entry in net.air("uplink-dropped")] == ["rate control"] * 2


def test_a_packet_may_be_too_large_to_be_buffered():
    net = asleep(maximum_buffered_size=80)
    assert net.answered(bytes(10)).status.value == "BUFFERING_TEMPORARILY_NOT_REACHABLE"
    assert net.refused(bytes(11)).why is Refusal.UNREACHABLE


def test_one_scs_as_may_have_a_quota_of_its_own(net):
    net.scef.downlinks.quotas["as1"] = 1
    assert net.answered().status.success
    assert net.refused().why is Refusal.QUOTA_EXCEEDED
