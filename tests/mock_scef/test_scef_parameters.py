"""Network parameters: which timers they become, and when."""

import pytest
from scef_emulation import DESTINATION, UE, Emulation

from mock_network.scef.core import RefusedError, effects as e
from mock_network.scef.core.parameters import T3324_STEPS, T3412_STEPS, codable
from mock_network.scef.core.states import UeState
from mock_network.scef.schema.parameters import NpConfiguration


@pytest.fixture
def net():
    emulation = Emulation()
    emulation.ue(t3324=10, t3412=3600)
    return emulation


def want(net, **members):
    terms = NpConfiguration(**{"external_id": UE, "notification_destination": DESTINATION, **members})
    return net.act(lambda now: net.scef.parameters.create("as1", terms, now))


@pytest.mark.parametrize(
    ("seconds", "steps", "coded"),
    [
        (0, T3324_STEPS, 0),
        (3, T3324_STEPS, 2),
        (100, T3324_STEPS, 62),
        (130, T3324_STEPS, 120),
        (100_000, T3324_STEPS, 11_160),
        (70, T3412_STEPS, 62),
        (86_400, T3412_STEPS, 86_400),
        (90_000, T3412_STEPS, 90_000),
        (10**9, T3412_STEPS, 35_712_000),
    ],
)
def test_a_timer_is_the_longest_that_can_be_coded_and_is_not_too_long(seconds, steps, coded):
    assert codable(seconds, steps) == coded


def test_they_hold_from_the_next_update_on_and_that_is_told(net):
    want(net, maximum_latency=7200, maximum_response_time=60)
    net.wait(100)
    assert net.kinds(e.NotifyParameters) == []
    net.wait(3550)
    (told,) = net.kinds(e.NotifyParameters)
    assert (told.applied.maximum_latency, told.applied.maximum_response_time) == (7200, 60)
    assert net.the().state is UeState.IDLE_ACTIVE
    net.wait(10_000)
    taus = [entry.time for entry in net.air("tau")]
    assert taus[1] - taus[0] == pytest.approx(7200)


def test_the_shortest_latency_and_the_longest_response_time_of_all_hold(net):
    want(net, maximum_latency=7200, maximum_response_time=60)
    short = want(net, maximum_latency=600, maximum_response_time=20)
    net.move("detach")
    net.move("attach")
    assert (net.the().t3412, net.the().t3324) == (600, 60)
    net.act(lambda _: net.scef.parameters.remove(short))
    assert net.the().t3412 == 600
    net.move("detach")
    net.move("attach")
    assert net.the().t3412 == 7200


def test_they_end_at_their_validity_time(net):
    want(net, maximum_latency=600, validity_time=net.scef.context.written(net.now + 4000))
    net.move("detach")
    net.move("attach")
    assert net.the().t3412 == 600
    net.wait(5000)
    assert net.the().t3412 == 3600
    assert net.scef.parameters.all == {}


def test_who_names_no_destination_is_told_nothing(net):
    want(net, maximum_latency=600, notification_destination=None)
    net.move("detach")
    net.move("attach")
    assert net.kinds(e.NotifyParameters) == []


def test_a_ue_that_is_removed_leaves_nothing_behind(net):
    want(net, maximum_latency=600)
    net.act(lambda now: net.scef.remove_ue(net.the(), now))
    net.wait(10_000)
    assert net.kinds(e.NotifyParameters) == []


def test_members_of_a_group_that_may_not_have_them_are_told_after_the_guard_time(net):
    net.ue("meter-2@example.com", parameters_allowed=False)
    net.scef.subscribers.add_group("all@example.com", (UE, "meter-2@example.com"))
    members = {"external_id": None, "external_group_id": "all@example.com", "maximum_latency": 600}
    want(net, **members, group_reporting_guard_time=60)
    assert net.kinds(e.NotifyParameters) == []
    net.wait(61)
    ((result,),) = [told.failed for told in net.kinds(e.NotifyParameters)]
    assert (result.result_reason, result.external_ids) == ("ROAMING_NOT_ALLOWED", ["meter-2@example.com"])
    held = want(net, **members, group_reporting_guard_time=60)
    assert net.act(lambda _: net.scef.parameters.remove(held)) == (result,)
    net.wait(61)
    assert [bool(told.failed) for told in net.kinds(e.NotifyParameters)] == [True]


def test_a_single_ue_that_may_not_have_them_is_refused(net):
    net.change(parameters_allowed=False)
    with pytest.raises(RefusedError):
        want(net, maximum_latency=600)
