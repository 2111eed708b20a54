"""Downlinks for a UE that sleeps or is out of coverage: buffered, refused with a time, or expired."""

import itertools

import pytest
from scef_emulation import Emulation, asleep

from mock_network.scef.core import Refusal
from mock_network.scef.core.states import UeState
from mock_network.scef.schema import DeliveryStatus


def test_a_sleeping_ue_buffers_says_when_and_delivers_at_the_tracking_area_update():
    net = asleep()
    answer = net.answered(b"later")
    assert answer.status is DeliveryStatus.BUFFERING_TEMPORARILY_NOT_REACHABLE
    wakes = net.scef.cell.next_contact(net.the())
    assert answer.retry_at == wakes
    net.wait(3000)
    assert net.received() == []
    net.wait(1000)
    assert net.received() == [b"later"]
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]
    assert net.air("downlink")[0].time == pytest.approx(wakes + 0.6)


def test_an_uplink_wakes_the_ue_and_flushes_its_buffer_by_priority_then_age_one_at_a_time():
    net = asleep()
    for data, priority in ((b"a", None), (b"b", 5), (b"c", None), (b"d", 5)):
        net.answered(data, priority=priority)
    net.uplink(b"up")
    net.wait(10)
    assert net.received() == [b"b", b"d", b"a", b"c"]
    times = [entry.time for entry in net.air("downlink")]
    assert all(later - earlier >= 0.1 - 1e-6 for earlier, later in itertools.pairwise(times))


def test_after_an_uplink_the_ue_listens_for_the_inactivity_time_and_t3324():
    net = asleep()
    net.uplink(b"up")
    net.wait(29.5)
    assert net.answered(b"in time").status is DeliveryStatus.SUCCESS_NEXT_HOP_ACKNOWLEDGED
    net.wait(31)
    assert net.answered(b"too late").status is DeliveryStatus.BUFFERING_TEMPORARILY_NOT_REACHABLE


def test_t3324_of_zero_is_psm_at_once():
    net = Emulation()
    ue = net.ue(t3324=0, t3412=600)
    net.wait(20.1)
    assert ue.state is UeState.PSM


def test_without_buffering_a_sleeping_ue_is_an_error_that_says_when_to_try_again():
    net = asleep("no-buffer")
    answer = net.refused()
    assert (answer.why, answer.downlink) == (Refusal.UNREACHABLE, True)
    assert answer.retry_at == net.scef.cell.next_contact(net.the())
    net.wait(4000)
    assert net.received() == []
    assert net.configuration.deliveries == {}


def test_a_maximum_latency_of_zero_forbids_buffering():
    assert asleep().refused(maximum_latency=0).why is Refusal.UNREACHABLE


def test_maximum_latency_shorter_than_the_sleep_ends_in_failure_timeout_and_the_ue_never_gets_it():
    net = asleep()
    net.answered(b"stale", maximum_latency=60)
    net.wait(59)
    assert net.statuses() == []
    net.wait(2)
    assert net.statuses() == ["FAILURE_TIMEOUT"]
    net.uplink(b"up")
    net.wait(10)
    assert net.received() == []


def test_a_profile_may_refuse_at_once_what_cannot_be_delivered_in_time():
    net = asleep(refuse_short_latency=True)
    assert net.refused(maximum_latency=60).why is Refusal.UNREACHABLE
    assert net.answered(maximum_latency=7200).status is DeliveryStatus.BUFFERING_TEMPORARILY_NOT_REACHABLE


def test_edrx_delivers_only_in_the_paging_time_window():
    net = Emulation()
    ue = net.ue(edrx_cycle=81.92, edrx_ptw=2.56)
    net.configure()
    net.wait(20 + 5)
    assert ue.state is UeState.EDRX_SLEEP
    answer = net.answered(b"wait")
    window = net.scef.cell.next_contact(ue)
    assert answer.retry_at == window
    net.wait(60)
    assert net.received() == []
    net.wait(window - net.now + 1)
    assert net.received() == [b"wait"]
    assert window <= net.air("downlink")[0].time <= window + 2.56


def test_edrx_and_psm_combined_end_in_psm_when_t3324_is_over():
    net = Emulation()
    ue = net.ue(edrx_cycle=20.48, edrx_ptw=2.56, t3324=60, t3412=7200)
    net.wait(20 + 59)
    assert ue.state in {UeState.EDRX_PTW, UeState.EDRX_SLEEP}
    net.wait(2)
    assert ue.state is UeState.PSM


def test_tracking_area_updates_come_round_by_themselves_each_at_its_own_moment():
    net = asleep()
    net.wait(3 * 3600 + 60)
    taus = [entry.time for entry in net.air("tau")]
    assert [later - earlier for earlier, later in itertools.pairwise(taus)] == pytest.approx([3600, 3600])


def test_out_of_coverage_paging_fails_and_the_data_waits_for_the_return(net):
    net.change(in_coverage=False)
    answer = net.answered(b"lost?")
    assert answer.status is DeliveryStatus.SENDING
    net.wait(10)
    assert net.received() == []
    assert net.answered(b"second").status is DeliveryStatus.BUFFERING_TEMPORARILY_NOT_REACHABLE
    net.change(in_coverage=True)
    net.move("wake")
    net.wait(5)
    assert net.received() == [b"lost?", b"second"]


def test_out_of_coverage_without_buffering_is_a_final_failure(net):
    net.change(in_coverage=False, buffering=False)
    assert net.answered().status is DeliveryStatus.SENDING
    net.wait(10)
    assert net.statuses() == ["FAILURE_TEMPORARILY_NOT_REACHABLE"]


def test_a_page_that_is_not_answered_is_a_ue_that_cannot_be_reached_until_it_is_heard():
    net = Emulation()
    net.ue(paging_loss=1.0, t3412=3600)
    net.configure()
    net.wait(25)
    assert net.answered(b"x").status is DeliveryStatus.SENDING
    net.wait(6)
    assert net.answered(b"y").status is DeliveryStatus.BUFFERING_TEMPORARILY_NOT_REACHABLE
    net.change(paging_loss=0.0)
    net.wait(100)
    assert net.received() == []
    net.uplink(b"up")
    net.wait(2)
    assert net.received() == [b"x", b"y"]


def test_data_on_its_way_to_a_ue_that_is_put_to_sleep_waits_again(net):
    net.change(radio_latency=6.0)
    net.answered(b"x")
    net.move("sleep")
    net.wait(10)
    assert net.received() == []
    net.move("wake")
    net.wait(10)
    assert net.received() == [b"x"]
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


def test_expired_data_may_be_noticed_only_when_the_buffer_is_searched():
    net = asleep(expiry_sweep=60.0)
    net.answered(b"x", maximum_latency=90)
    deadline = net.now + 90
    while not net.statuses():
        net.wait(1)
    assert net.statuses() == ["FAILURE_TIMEOUT"]
    assert deadline <= net.now <= deadline + 61
    assert net.now % 60 < 1.5


@pytest.mark.parametrize("late", [False, True])
def test_expired_data_that_was_not_noticed_may_be_sent_all_the_same(late):
    net = asleep(expiry_sweep=10_000.0, late_delivery=late)
    net.answered(b"x", maximum_latency=90)
    net.wait(100)
    assert net.statuses() == []
    net.uplink(b"up")
    net.wait(2)
    assert net.received() == ([b"x"] if late else [])
    assert net.statuses() == (["SUCCESS_NEXT_HOP_ACKNOWLEDGED"] if late else ["FAILURE_TIMEOUT"])


def test_a_scef_may_notify_each_change_of_what_is_pending():
    net = asleep(notify_progress=True)
    net.answered(b"x")
    net.change(in_coverage=False)
    net.move("pdn-release")
    net.move("pdn-connect")
    net.change(in_coverage=True)
    net.move("pdn-connect")
    net.wait(2)
    assert net.statuses() == ["SENDING", "SUCCESS_NEXT_HOP_ACKNOWLEDGED"]
