"""The emulated SCEF in virtual time: every answer follows from the state of the UE."""

import itertools

import pytest
from scef_emulation import UE, Emulation

from mock_network.scef import messages as m
from mock_network.scef.model import SettingsError, UeSettings
from mock_network.scef.tables import (
    HAS_PDN,
    REFUSALS,
    SUBMIT,
    TRANSITIONS,
    NiddStatus,
    PdnOption,
    Refusal,
    Situation,
    Status,
    UeState,
    UeTrigger,
)


@pytest.fixture
def net():
    emulation = Emulation()
    emulation.ue()
    emulation.configure()
    return emulation


def asleep(profile="strict-r17", **changes):
    """A UE in PSM until its tracking area update in an hour."""
    emulation = Emulation(profile, **changes)
    emulation.ue(t3324=10, t3412=3600)
    emulation.configure()
    emulation.wait(30)
    assert emulation.scef.cell.ues[UE].state is UeState.PSM
    return emulation


# Reachable


def test_a_reachable_ue_without_rds_gets_it_and_the_post_is_answered_with_success(net):
    answer = net.answered(b"hello")
    assert isinstance(answer, m.Taken)
    assert answer.status is Status.SUCCESS_NEXT_HOP_ACKNOWLEDGED
    assert net.received() == [b"hello"]
    assert [e.data for e in net.kinds(m.ToApplication)] == [b"hello"]
    assert net.statuses() == []


def test_success_is_answered_only_after_the_data_has_passed_the_air(net):
    ticket = net.post(b"hello")
    net.wait(0.05)
    assert ticket not in net.answers
    assert net.received() == []


def test_a_datagram_lost_on_air_is_not_claimed_to_be_acknowledged(net):
    net.change(loss_down=1.0)
    assert net.answered().status is Status.SUCCESS_NEXT_HOP_UNACKNOWLEDGED
    assert net.received() == []
    assert net.air("downlink-lost")[0].detail["reason"] == "lost on air"


def test_rds_asked_for_and_enabled_is_acknowledged_by_the_ue(net):
    net.change(rds_enabled=True)
    assert net.answered(reliable=True).status is Status.SUCCESS_ACKNOWLEDGED
    net.change(rds_ack=False)
    assert net.answered(reliable=True).status is Status.SUCCESS_UNACKNOWLEDGED
    net.change(rds_ack=True, loss_down=1.0)
    assert net.answered(reliable=True).status is Status.SUCCESS_UNACKNOWLEDGED


def test_rds_asked_for_but_not_enabled_is_refused(net):
    answer = net.answered(reliable=True)
    assert (answer.why, answer.downlink) == (Refusal.RDS_DISABLED, True)
    assert net.received() == []


def test_rds_disabled_while_data_is_buffered_fails_it():
    net = asleep()
    net.change(rds_enabled=True)
    assert net.answered(reliable=True).status is Status.BUFFERING_TEMPORARILY_NOT_REACHABLE
    net.change(rds_enabled=False)
    net.uplink(b"up")
    assert net.statuses() == ["FAILURE_RDS_DISABLED"]
    assert net.received() == []


def test_a_slow_radio_is_answered_as_pending_and_its_end_is_notified(net):
    net.change(radio_latency=30.0)
    assert net.answered().status is Status.SENDING
    net.wait(30)
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


# Asleep


def test_a_sleeping_ue_buffers_says_when_and_delivers_at_the_tracking_area_update():
    net = asleep()
    answer = net.answered(b"later")
    assert answer.status is Status.BUFFERING_TEMPORARILY_NOT_REACHABLE
    wakes = net.scef.cell.next_contact(net.scef.cell.ues[UE])
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
    assert net.answered(b"in time").status is Status.SUCCESS_NEXT_HOP_ACKNOWLEDGED
    net.wait(31)
    assert net.answered(b"too late").status is Status.BUFFERING_TEMPORARILY_NOT_REACHABLE


def test_t3324_of_zero_is_psm_at_once():
    net = Emulation()
    ue = net.ue(t3324=0, t3412=600)
    net.wait(20.1)
    assert ue.state is UeState.PSM


def test_without_buffering_a_sleeping_ue_is_an_error_that_says_when_to_try_again():
    net = asleep("no-buffer")
    answer = net.answered()
    assert (answer.why, answer.downlink) == (Refusal.UNREACHABLE, True)
    assert answer.retry_at == net.scef.cell.next_contact(net.scef.cell.ues[UE])
    net.wait(4000)
    assert net.received() == []
    assert net.scef.configurations[net.configuration].deliveries == {}


def test_a_maximum_latency_of_zero_forbids_buffering():
    assert asleep().answered(maximum_latency=0).why is Refusal.UNREACHABLE


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
    assert net.answered(maximum_latency=60).why is Refusal.UNREACHABLE
    assert net.answered(maximum_latency=7200).status is Status.BUFFERING_TEMPORARILY_NOT_REACHABLE


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
    assert answer.status is Status.SENDING
    net.wait(10)
    assert net.received() == []
    assert net.answered(b"second").status is Status.BUFFERING_TEMPORARILY_NOT_REACHABLE
    net.change(in_coverage=True)
    net.move("wake")
    net.wait(5)
    assert net.received() == [b"lost?", b"second"]


def test_out_of_coverage_without_buffering_is_a_final_failure(net):
    net.change(in_coverage=False, buffering=False)
    assert net.answered().status is Status.SENDING
    net.wait(10)
    assert net.statuses() == ["FAILURE_TEMPORARILY_NOT_REACHABLE"]


# No PDN connection


def no_pdn(**settings):
    net = Emulation()
    net.ue(pdn=False, **settings)
    net.configure()
    return net


def test_wait_for_ue_buffers_until_the_pdn_connection_is_there():
    net = no_pdn()
    assert net.answered(b"x", pdn_option=PdnOption.WAIT_FOR_UE).status is Status.BUFFERING
    net.move("pdn-connect")
    net.wait(1)
    assert net.received() == [b"x"]
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


def test_indicate_error_fails_at_once():
    net = no_pdn()
    answer = net.answered(pdn_option=PdnOption.INDICATE_ERROR)
    assert (answer.why, answer.downlink) == (Refusal.NO_PDN, True)


def test_send_trigger_is_seen_in_the_air_log_and_makes_the_ue_connect():
    net = no_pdn()
    assert net.answered(b"x", pdn_option=PdnOption.SEND_TRIGGER).status is Status.TRIGGERED
    net.wait(10)
    assert [entry.what for entry in net.air("trigger-sent", "trigger", "downlink")] == [
        "trigger-sent",
        "trigger",
        "downlink",
    ]


def test_a_ue_that_takes_no_triggers_gets_nothing():
    net = no_pdn(accepts_trigger=False)
    assert net.answered(b"x", pdn_option=PdnOption.SEND_TRIGGER, maximum_latency=60).status is Status.TRIGGERED
    net.wait(100)
    assert net.received() == []
    assert net.statuses() == ["FAILURE_TIMEOUT"]


def test_a_detached_ue_takes_the_trigger_when_it_attaches():
    net = no_pdn(attached=False)
    net.answered(b"x", pdn_option=PdnOption.SEND_TRIGGER)
    net.wait(10)
    net.move("attach")
    net.wait(10)
    assert net.received() == [b"x"]


def test_the_option_of_the_configuration_holds_where_the_downlink_has_none():
    net = Emulation()
    net.ue(pdn=False)
    net.configure(pdn_option=PdnOption.INDICATE_ERROR)
    assert net.answered().why is Refusal.NO_PDN
    assert net.answered(pdn_option=PdnOption.WAIT_FOR_UE).status is Status.BUFFERING


def test_a_ue_that_detaches_while_data_is_on_air_fails_it(net):
    net.change(radio_latency=8.0)
    assert net.answered().status is Status.SENDING
    net.move("detach")
    net.wait(10)
    assert net.statuses() == ["FAILURE_NEXT_HOP"]
    assert net.received() == []


# Limits


def test_more_than_the_maximum_packet_size_in_bits_is_too_large(net):
    assert net.answered(bytes(1358)).status.success
    assert net.answered(bytes(1359)).why is Refusal.DATA_TOO_LARGE
    assert REFUSALS[Refusal.DATA_TOO_LARGE] == (403, "DATA_TOO_LARGE")


def test_a_full_queue_refuses():
    net = asleep(queue_length=2)
    assert net.answered().status
    assert net.answered().status
    assert net.answered().why is Refusal.QUEUE_FULL


def test_the_rate_limit_refuses_a_reachable_ue_and_holds_back_what_was_buffered(net):
    net.change(downlink_rate=2)
    assert net.answered(b"1").status.success
    assert net.answered(b"2").status.success
    answer = net.answered(b"3")
    assert answer.why is Refusal.RATE_EXCEEDED
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
    assert net.answered(configuration=mine).why is Refusal.QUOTA_EXCEEDED
    assert net.answered().status.success


def test_an_rds_port_that_is_not_configured_is_unknown_where_ports_are_verified(net):
    assert net.answered(rds_port=(1, 2)).status.success
    net.configure(features=0x8, rds_ports=((3, 4),))
    assert net.answered(rds_port=(1, 2)).why is Refusal.RDS_PORT_UNKNOWN
    assert net.answered(rds_port=(3, 4)).status.success


# Configurations


def test_a_configuration_ends_at_its_duration_is_notified_and_then_unknown():
    net = Emulation()
    net.ue(pdn=False)
    net.configure(duration=net.now + 100)
    net.answered(b"held")
    net.wait(101)
    assert [effect.status for effect in net.kinds(m.NotifyConfiguration)] == [NiddStatus.TERMINATED]
    assert net.answered().why is Refusal.CONFIGURATION_UNKNOWN
    assert net.air("downlink-dropped")[0].detail["reason"] == "configuration ended"


def test_a_revoked_subscriber_loses_its_configuration_and_gets_no_new_one(net):
    net.change(authorised=False)
    assert [effect.status for effect in net.kinds(m.NotifyConfiguration)] == [NiddStatus.TERMINATED_UE_NOT_AUTHORIZED]
    assert net.answered().why is Refusal.CONFIGURATION_UNKNOWN
    assert net.configure().why is Refusal.UE_NOT_AUTHORISED


def test_an_unknown_subscriber_and_a_group_are_refused(net):
    assert net.configure(ue=None).why is Refusal.UE_UNKNOWN
    assert net.configure(ue=None, group=True).why is Refusal.GROUP_UNSUPPORTED


def test_a_profile_may_allow_one_configuration_only():
    net = Emulation("conflict")
    net.ue()
    net.configure()
    assert net.configure().why is Refusal.ALREADY_CONFIGURED
    assert isinstance(net.configure(scs_as="as2"), m.Configured)


def test_a_downlink_inside_the_configuration_is_sent_and_its_end_notified():
    net = Emulation()
    net.ue()
    answer = net.configure(downlink=m.DownlinkRequest(b"first", UE))
    assert [delivery.data for delivery in answer.deliveries] == [b"first"]
    net.wait(2)
    assert net.received() == [b"first"]
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


def test_features_are_the_intersection_of_both_sides():
    net = Emulation()
    net.ue()
    assert net.configure(features=0b1111_1111).configuration.features == net.scef.profile.features
    assert net.configure().configuration.features is None


# Change and cancel


def test_a_buffered_downlink_can_be_replaced_and_cancelled_a_sent_one_cannot():
    net = asleep()
    first, second = net.answered(b"first").delivery.id, net.answered(b"second").delivery.id
    net.step(m.Replace(900, net.configuration, first, {"data": b"changed", "maximum_latency": 7200}))
    assert isinstance(net.answers[900], m.Taken)
    net.step(m.Replace(901, net.configuration, first, {"data": bytes(2000)}))
    assert net.answers[901].why is Refusal.DATA_TOO_LARGE
    net.step(m.Cancel(902, net.configuration, second))
    assert isinstance(net.answers[902], m.Done)
    net.uplink(b"up")
    net.wait(5)
    assert net.received() == [b"changed"]
    assert net.air("downlink-dropped")[0].detail["reason"] == "cancelled"
    for ticket, event, why in (
        (903, m.Cancel(903, net.configuration, first), Refusal.ALREADY_SENT),
        (904, m.Replace(904, net.configuration, first, {"data": b"x"}), Refusal.ALREADY_SENT),
        (905, m.Cancel(905, net.configuration, "no such"), Refusal.DELIVERY_UNKNOWN),
        (906, m.Cancel(906, "no such", first), Refusal.CONFIGURATION_UNKNOWN),
    ):
        net.step(event)
        assert net.answers[ticket].why is why
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


def test_a_downlink_on_air_can_no_longer_be_cancelled(net):
    net.change(radio_latency=8.0)
    delivery = net.answered().delivery.id
    net.step(m.Cancel(900, net.configuration, delivery))
    assert net.answers[900].why is Refusal.ALREADY_SENT


def test_a_downlink_that_timed_out_cannot_be_cancelled_and_nobody_says_that_it_was_sent():
    net = asleep()
    delivery = net.answered(maximum_latency=60).delivery.id
    net.wait(61)
    assert net.statuses() == ["FAILURE_TIMEOUT"]
    net.step(m.Cancel(900, net.configuration, delivery))
    assert net.answers[900].why is Refusal.ALREADY_FAILED
    assert net.scef.profile.refusal(Refusal.ALREADY_FAILED) == (409, "DELIVERY_FAILED")


# Uplink


def test_an_uplink_is_notified_after_its_time_on_air(net):
    net.uplink(b"up")
    assert net.kinds(m.NotifyUplink) == []
    net.wait(0.2)
    assert [effect.data for effect in net.kinds(m.NotifyUplink)] == [b"up"]


def test_an_uplink_without_configuration_is_discarded_and_counted():
    net = Emulation()
    net.ue()
    net.uplink(b"up")
    net.wait(1)
    assert net.kinds(m.NotifyUplink) == []
    assert net.scef.cell.counts["uplink-discarded"] == 1


def test_uplinks_do_not_overtake_each_other_whatever_the_jitter(net):
    net.change(radio_jitter=5.0)
    for number in range(20):
        net.uplink(bytes([number]))
    net.wait(10)
    assert [effect.data[0] for effect in net.kinds(m.NotifyUplink)] == list(range(20))


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
    assert b"x" not in [effect.data for effect in net.kinds(m.NotifyUplink)]


def test_an_uplink_out_of_coverage_is_dropped_and_one_lost_on_air_never_arrives(net):
    net.change(in_coverage=False)
    net.uplink(b"1")
    net.change(in_coverage=True, loss_up=1.0)
    net.uplink(b"2")
    net.wait(1)
    assert net.kinds(m.NotifyUplink) == []
    assert [entry.what for entry in net.air("uplink-dropped", "uplink-lost")] == ["uplink-dropped", "uplink-lost"]


# Tables and determinism


def test_the_tables_are_total():
    assert set(SUBMIT) == {(situation, option) for situation in Situation for option in PdnOption}
    assert set(REFUSALS) == set(Refusal)
    for state in UeState:
        assert (state, UeTrigger.UPLINK) in TRANSITIONS or state not in HAS_PDN
        assert (state, UeTrigger.DETACH) in TRANSITIONS or state is UeState.DETACHED
    reached = {target for target in TRANSITIONS.values() if isinstance(target, UeState)}
    assert reached | {UeState.IDLE_ACTIVE} == set(UeState)


def story(seed):
    net = Emulation(seed=seed)
    net.ue(t3324=10, t3412=600, radio_jitter=1.0, loss_down=0.3, loss_up=0.3)
    net.configure()
    for number in range(40):
        net.post(bytes([number]), maximum_latency=300)
        net.uplink(bytes([number]))
        net.wait(37)
    return [entry.to_json() for entry in net.scef.cell.air], net.statuses(), list(net.answers)


def test_the_same_seed_gives_the_same_story_and_another_seed_another():
    assert story(7) == story(7)
    assert story(7) != story(8)


def test_every_accepted_downlink_has_exactly_one_end():
    net = Emulation()
    net.ue(t3324=10, t3412=600, radio_jitter=1.0, loss_down=0.3, radio_latency=3.0)
    net.configure()
    for number in range(60):
        net.post(bytes([number]), maximum_latency=300)
        if number % 5 == 0:
            net.uplink(b"up")
        net.wait(29)
    net.wait(2000)
    ended = [e.delivery.id for e in net.kinds(m.NotifyDelivery)]
    ended += [e.delivery.id for e in net.kinds(m.Taken) if e.status.final]
    refused = net.kinds(m.Refused)
    assert len(ended) == len(set(ended))
    assert len(ended) + len(refused) == 60


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"external_id": "no-domain"},
        {"external_id": "a@b@c"},
        {"msisdn": "+49170"},
        {"external_id": "a@b", "t3324": -1},
        {"external_id": "a@b", "loss_up": 1.5},
        {"external_id": "a@b", "edrx_cycle": 0},
        {"external_id": "a@b", "attached": "yes"},
        {"external_id": "a@b", "radio_latency": None},
        {"external_id": "a@b", "colour": "red"},
    ],
)
def test_a_wrong_setting_of_a_ue_is_refused_by_name(values):
    with pytest.raises(SettingsError):
        UeSettings.parse(values)


def test_identities_are_unique_and_the_domain_is_compared_in_any_case(net):
    assert net.scef.find("meter-1@EXAMPLE.com") is net.scef.cell.ues[UE]
    assert net.scef.find("METER-1@example.com") is None
    with pytest.raises(SettingsError, match="already"):
        net.ue("meter-1@Example.Com")


def test_a_ue_that_is_removed_takes_everything_with_it(net):
    net.change(radio_latency=8.0)
    net.answered(maximum_latency=60)
    net.take(net.scef.remove_ue(net.scef.cell.ues[UE], net.now))
    net.wait(1000)
    assert net.scef.configurations == {}
    assert net.scef.find(UE) is None
    assert net.scef.due() is None
