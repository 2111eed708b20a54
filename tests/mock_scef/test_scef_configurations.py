"""NIDD configurations: who gets one, and how they end."""

import pytest
from scef_emulation import Emulation, transfer

from mock_network.scef.core import Refusal, RefusedError, effects as e
from mock_network.scef.schema import NiddStatus


def refusal(net, *arguments, **members):
    with pytest.raises(RefusedError) as caught:
        net.configure(*arguments, **members)
    return caught.value.why


def test_a_configuration_ends_at_its_duration_is_notified_and_then_unknown():
    net = Emulation()
    net.ue(pdn=False)
    net.configure(duration=net.scef.context.written(net.now + 100))
    net.answered(b"held")
    net.wait(101)
    assert [effect.status for effect in net.kinds(e.NotifyConfiguration)] == [NiddStatus.TERMINATED]
    assert net.scef.configurations.all == {}
    assert net.air("downlink-dropped")[0].detail["reason"] == "configuration ended"


def test_a_revoked_subscriber_loses_its_configuration_and_gets_no_new_one(net):
    net.change(authorised=False)
    assert [effect.status for effect in net.kinds(e.NotifyConfiguration)] == [NiddStatus.TERMINATED_UE_NOT_AUTHORIZED]
    assert net.scef.configurations.all == {}
    assert refusal(net) is Refusal.UE_NOT_AUTHORISED


def test_an_unknown_subscriber_and_a_group_without_the_feature_are_refused(net):
    assert refusal(net, "nobody@example.com") is Refusal.UE_UNKNOWN
    assert refusal(net, ue=None, msisdn="1") is Refusal.UE_UNKNOWN
    assert refusal(net, ue=None, external_group_id="group@example.com") is Refusal.GROUP_UNSUPPORTED


def test_a_profile_may_allow_one_configuration_only():
    net = Emulation("conflict")
    net.ue()
    net.configure()
    assert refusal(net) is Refusal.ALREADY_CONFIGURED
    assert net.configure(scs_as="as2").scs_as == "as2"


def test_a_downlink_inside_the_configuration_is_sent_and_its_end_notified():
    net = Emulation()
    net.ue()
    configuration = net.configure(nidd_downlink_data_transfers=[transfer(b"first")])
    assert [delivery.terms.data for delivery in configuration.deliveries.values()] == [b"first"]
    net.wait(2)
    assert net.received() == [b"first"]
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


def test_features_are_the_intersection_of_both_sides():
    net = Emulation()
    net.ue()
    assert net.configure(supported_features="FF").features == net.scef.profile.features
    assert net.configure().features is None
