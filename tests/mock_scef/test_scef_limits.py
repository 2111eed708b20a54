"""Sizes, queues, rates and quotas."""

import pytest
from scef_emulation import Emulation, asleep

from mock_network.scef.core import Refusal
from mock_network.scef.core.refusals import REFUSALS
from mock_network.scef.schema.nidd import RdsPort


@pytest.fixture
def net():
    emulation = Emulation()
    emulation.ue()
    emulation.configure()
    return emulation


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
