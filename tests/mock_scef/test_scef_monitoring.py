"""Monitoring events in virtual time: what is told when, how often, and by which timers."""

import itertools

import pytest
from scef_emulation import DESTINATION, UE, Emulation

from mock_network.scef.core import effects as e
from mock_network.scef.core.monitoring_model import LossReason
from mock_network.scef.schema.monitoring import MonitoringEventSubscription

OTHER = "meter-2@example.com"
GROUP = "all@example.com"


@pytest.fixture
def net():
    """A UE that listens for 30 s after its data, and updates its tracking area every hour."""
    emulation = Emulation()
    emulation.ue(t3324=10, t3412=3600)
    return emulation


def subscribe(net, kind, **members):
    members = {"external_id": UE, "maximum_number_of_reports": 100, **members}
    terms = MonitoringEventSubscription(notification_destination=DESTINATION, monitoring_type=kind, **members)
    return net.act(lambda now: net.scef.monitoring.create("as1", terms, now))


def reports(net):
    return [report for effect in net.kinds(e.NotifyReports) for report in effect.reports]


# Reachability


def test_each_time_that_the_ue_wakes_is_told_once_with_the_end_of_its_listening(net):
    subscribe(net, "UE_REACHABILITY")
    net.wait(3 * 3600 + 100)
    told = reports(net)
    assert len(told) == 3
    assert all(one.available_until == pytest.approx(one.time + 10) for one in told)
    net.uplink(b"up")
    assert reports(net)[-1].available_until == pytest.approx(net.now + 30)


def test_data_does_not_tell_again_what_is_known(net):
    subscribe(net, "UE_REACHABILITY")
    for _ in range(3):
        net.uplink(b"up")
        net.wait(5)
    assert reports(net) == []


def test_reachability_for_sms_needs_no_pdn_connection(net):
    net.move("pdn-release")
    net.move("detach")
    subscribe(net, "UE_REACHABILITY", reachability_type="DATA")
    subscribe(net, "UE_REACHABILITY", reachability_type="SMS")
    net.change(pdn=False)
    net.move("attach")
    assert [one.subscription.terms.reachability_type for one in net.kinds(e.NotifyReports)] == ["SMS"]
    net.move("pdn-connect")
    assert [one.subscription.terms.reachability_type for one in net.kinds(e.NotifyReports)] == ["SMS", "DATA"]


def test_each_paging_time_window_is_reachability():
    net = Emulation()
    net.ue(edrx_cycle=81.92, edrx_ptw=2.56)
    net.wait(25)
    subscribe(net, "UE_REACHABILITY")
    net.wait(200)
    times = [one.time for one in reports(net)]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [pytest.approx(81.92)]


def test_going_idle_tells_the_timers_in_force_to_who_wants_them(net):
    subscribe(net, "UE_REACHABILITY", idle_status_indication=True, suggested_number_of_dl_packets=3)
    subscribe(net, "UE_REACHABILITY")
    net.wait(20.5)
    (told,) = reports(net)
    assert (told.idle.active_time, told.idle.periodic_au_timer) == (10, 3600)
    assert (told.idle.edrx_cycle_length, told.idle.suggested_number_of_dl_packets) == (None, 3)
    assert told.idle_since == pytest.approx(net.now - 0.5)


def test_a_ue_that_saves_no_power_has_no_idle_status():
    net = Emulation()
    net.ue()
    subscribe(net, "UE_REACHABILITY", idle_status_indication=True)
    net.wait(100)
    assert reports(net) == []


# After a failure


def test_availability_is_told_once_after_a_downlink_that_could_not_be_sent(net):
    subscribe(net, "AVAILABILITY_AFTER_DDN_FAILURE")
    net.configure()
    net.wait(31)
    net.uplink(b"up")
    assert reports(net) == []
    net.wait(31)
    net.answered(b"down")
    net.wait(100)
    net.uplink(b"up")
    assert len(reports(net)) == 1
    net.wait(31)
    net.uplink(b"up")
    assert len(reports(net)) == 1


def test_a_page_that_is_not_answered_is_such_a_failure(net):
    subscribe(net, "AVAILABILITY_AFTER_DDN_FAILURE")
    net.configure()
    net.wait(25)
    net.change(paging_loss=1.0)
    net.answered(b"down")
    net.wait(20)
    assert net.scef.cell.reach(net.the()).data is False
    net.uplink(b"up")
    assert len(reports(net)) == 1


# Loss


def lost(net):
    return [one.lost for one in reports(net)]


def test_a_ue_that_misses_its_update_is_lost_four_minutes_later(net):
    subscribe(net, "LOSS_OF_CONNECTIVITY")
    net.wait(30)
    net.change(in_coverage=False)
    net.wait(3600 + 200)
    assert lost(net) == []
    net.wait(40)
    assert lost(net) == [LossReason.MAX_DETECTION_TIME_EXPIRED_MME]
    net.wait(20_000)
    assert len(lost(net)) == 1


def test_the_shortest_detection_time_that_is_wanted_holds_while_it_is_wanted(net):
    subscribe(net, "LOSS_OF_CONNECTIVITY", maximum_detection_time=600)
    short, _ = subscribe(net, "LOSS_OF_CONNECTIVITY", maximum_detection_time=60)
    net.wait(30)
    net.change(in_coverage=False)
    net.act(lambda now: net.scef.monitoring.remove(short, now))
    net.wait(500)
    assert lost(net) == []
    net.wait(200)
    assert lost(net) == [LossReason.MAX_DETECTION_TIME_EXPIRED_MME]


def test_a_sign_of_life_begins_the_detection_anew(net):
    subscribe(net, "LOSS_OF_CONNECTIVITY", maximum_detection_time=600)
    for _ in range(5):
        net.wait(500)
        net.uplink(b"up")
    assert lost(net) == []


def test_detach_and_removal_have_their_own_reasons(net):
    subscribe(net, "LOSS_OF_CONNECTIVITY")
    net.move("detach")
    net.act(lambda now: net.scef.remove_ue(net.the(), now))
    assert lost(net) == [LossReason.UE_DETACHED_MME, LossReason.UE_PURGED_MME]
    assert net.kinds(e.NotifyReports)[-1].cancelled
    assert net.scef.monitoring.all == {}


# How often


def test_so_many_reports_and_no_more(net):
    _, known = subscribe(net, "UE_REACHABILITY", maximum_number_of_reports=3)
    net.wait(5 * 3600)
    assert (len(known), len(reports(net))) == (1, 2)
    assert net.scef.monitoring.all == {}


def test_until_the_expire_time_by_the_scefs_own_clock(net):
    net.scef.context.skew = 7200.0
    end = net.scef.context.written(net.now + 2 * 3600)
    subscribe(net, "UE_REACHABILITY", maximum_number_of_reports=None, monitor_expire_time=end)
    net.wait(5 * 3600)
    assert len(reports(net)) == 1
    assert net.scef.monitoring.all == {}


def test_what_happened_to_a_group_is_told_together_after_the_guard_time(net):
    net.ue(OTHER, t3324=10, t3412=3000)
    net.scef.subscribers.add_group(GROUP, (UE, OTHER))
    members = {"external_id": None, "external_group_id": GROUP, "group_report_guard_time": 900}
    subscription, known = subscribe(net, "UE_REACHABILITY", maximum_number_of_reports=2, **members)
    assert [one.ue for one in known] == [UE, OTHER]
    net.wait(3800)
    assert net.kinds(e.NotifyReports) == []
    net.wait(300)
    (told,) = net.kinds(e.NotifyReports)
    assert {one.ue for one in told.reports} == {UE, OTHER}
    assert subscription.id not in net.scef.monitoring.all


def test_a_subscription_that_is_deleted_gives_back_what_it_held(net):
    net.ue(OTHER, t3324=10, t3412=3000)
    net.scef.subscribers.add_group(GROUP, (UE, OTHER))
    members = {"external_id": None, "external_group_id": GROUP, "group_report_guard_time": 10_000}
    subscription, _ = subscribe(net, "UE_REACHABILITY", **members)
    net.wait(3800)
    held = net.act(lambda now: net.scef.monitoring.remove(subscription, now))
    assert {one.ue for one in held} == {UE, OTHER}
    net.wait(20_000)
    assert net.kinds(e.NotifyReports) == []
