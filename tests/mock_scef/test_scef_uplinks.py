"""Uplinks: what modems send, what is lost, and what the SCS/AS is told."""

import pytest
from scef_emulation import Emulation


def test_an_uplink_is_notified_after_its_time_on_air(net):
    net.uplink(b"up")
    assert net.uplinks() == []
    net.wait(0.2)
    assert net.uplinks() == [b"up"]


def test_an_uplink_without_configuration_is_discarded_and_counted():
    net = Emulation()
    net.ue()
    net.uplink(b"up")
    net.wait(1)
    assert net.uplinks() == []
    assert net.scef.air_log.counts["uplink-discarded"] == 1


def test_uplinks_do_not_overtake_each_other_whatever_the_jitter(net):
    net.change(radio_jitter=5.0)
    for number in range(20):
        net.uplink(bytes([number]))
    net.wait(10)
    assert [data[0] for data in net.uplinks()] == list(range(20))


@pytest.mark.parametrize(
    ("settings", "data", "reason"),
    [
        ({}, bytes(1359), "too large"),
        ({"uplink_packet_size": 800}, bytes(101), "too large"),
        ({"pdn": False}, b"x", "no PDN connection"),
        ({"in_coverage": True, "uplink_rate": 1}, b"x", "rate control"),
    ],
)
def test_the_modem_drops_what_it_cannot_send_and_says_why(settings, data, reason):
    net = Emulation()
    net.ue(**settings)
    net.configure()
    if reason == "rate control":
        net.uplink(b"first")
    net.uplink(data)
    net.wait(1)
    assert net.air("uplink-dropped")[0].detail["reason"] == reason
    assert b"x" not in net.uplinks()


def test_an_uplink_out_of_coverage_is_dropped_and_one_lost_on_air_never_arrives(net):
    net.change(in_coverage=False)
    net.uplink(b"1")
    net.change(in_coverage=True, loss_up=1.0)
    net.uplink(b"2")
    net.wait(1)
    assert net.uplinks() == []
    assert [entry.what for entry in net.air("uplink-dropped", "uplink-lost")] == ["uplink-dropped", "uplink-lost"]
