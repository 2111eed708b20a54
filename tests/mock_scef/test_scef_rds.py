"""The reliable data service (TS 24.250): acknowledged, repeated, never given to an application twice; its ports."""

import pytest
from scef_emulation import UE, Emulation, asleep

from mock_network.scef.core import Refusal, RefusedError, effects as e
from mock_network.scef.schema import DeliveryStatus, NiddStatus
from mock_network.scef.schema.nidd import ManagePort, RdsPort

DYNAMIC = "20"  # Rds_dynamic_port


def reliable(**settings):
    net = Emulation()
    net.ue(rds_enabled=True, **settings)
    net.configure(supported_features="FF")
    return net


def test_the_answer_waits_for_the_acknowledgement():
    net = reliable(radio_latency=1.0)
    delivery = net.post(reliable=True)
    net.wait(1.5)
    assert net.received() == [b"down"]
    assert delivery not in net.answers
    net.wait(1.0)
    assert net.answers[delivery].status is DeliveryStatus.SUCCESS_ACKNOWLEDGED


def test_what_is_not_acknowledged_is_sent_again_and_the_application_gets_it_once():
    net = reliable(loss_up=1.0, rds_attempts=3, rds_timer=1.0)
    assert net.answered(reliable=True).status is DeliveryStatus.SUCCESS_UNACKNOWLEDGED
    assert net.received() == [b"down"]
    assert len(net.air("downlink-repeated")) == 2
    assert len(net.kinds(e.ToApplication)) == 1


def test_what_is_lost_on_air_is_sent_again_until_it_arrives():
    net = reliable(loss_down=0.8, rds_attempts=40, rds_timer=0.2)
    assert net.answered(reliable=True).status is DeliveryStatus.SUCCESS_ACKNOWLEDGED
    assert net.received() == [b"down"]
    assert len(net.air("downlink-lost")) > 0


def test_a_reliable_uplink_survives_losses_and_says_that_it_is_reliable():
    net = reliable(loss_up=0.6, rds_attempts=20, rds_timer=0.2)
    net.uplink(b"up", reliable=True)
    net.wait(10)
    assert [effect.uplink.reliable for effect in net.kinds(e.NotifyUplink)] == [True]


def test_the_operator_switching_the_service_is_told():
    net = reliable()
    net.change(rds_enabled=False)
    assert [effect.rds_capable for effect in net.kinds(e.NotifyConfiguration)] == [False]


# Ports


def test_data_for_a_pair_of_ports_comes_out_at_their_own_channel():
    net = reliable(rds_ports=[[1, 2], [3, 4]])
    net.configure(rds_ports=[RdsPort(ue=1, scef=2)])
    net.answered(b"a", rds_port=(1, 2))
    net.answered(b"b")
    assert [(one.channel, one.data) for one in net.kinds(e.ToApplication)] == [("rds-1-2", b"a"), ("data", b"b")]


def test_an_uplink_goes_to_the_configuration_that_has_its_ports():
    net = reliable()
    first = net.configure(scs_as="as1", rds_ports=[RdsPort(ue=1, scef=2)])
    second = net.configure(scs_as="as2", rds_ports=[RdsPort(ue=3, scef=4)])
    net.uplink(b"to the first", rds_port=(1, 2))
    net.uplink(b"to the second", rds_port=(3, 4))
    net.wait(1)
    assert [effect.configuration for effect in net.kinds(e.NotifyUplink)] == [first, second]


def test_an_uplink_with_unknown_ports_is_told_where_ports_are_verified_and_its_data_is_lost():
    net = reliable()
    net.uplink(b"x", rds_port=(9, 9))
    net.wait(1)
    (told,) = net.kinds(e.NotifyConfiguration)
    assert (told.status, told.rds_port) == (NiddStatus.RDS_PORT_UNKNOWN, RdsPort(ue=9, scef=9))
    assert net.uplinks() == []
    assert net.configuration.id in net.scef.configurations.all
    net.configure(supported_features="0")
    net.uplink(b"y", rds_port=(9, 9))
    net.wait(1)
    assert net.uplinks() == [b"y"]


# Ports that are reserved while a configuration lives


def reserve(net, port=(1, 2), app="app", **members):
    terms = ManagePort(app_id=app, **members)
    ports = net.scef.rds_ports
    return net.act(lambda now: ports.reserve(net.configuration, RdsPort(ue=port[0], scef=port[1]), terms, now))


def release(net, name="ue1-ef2"):
    return net.act(lambda now: net.scef.rds_ports.release(net.configuration, name, now))


def answers(net):
    return [(one.pending, one.refused) for one in net.kinds(e.PortAnswered)]


def test_a_reachable_ue_is_asked_and_the_format_that_both_have_is_chosen():
    net = reliable(rds_formats=["JSON", "XML"])
    port = reserve(net, supported_formats=["CBOR", "XML"])
    assert answers(net) == []
    net.wait(1)
    assert answers(net) == [(False, None)]
    assert (port.terms.configured_format, port.entity, port.pending) == ("XML", "AS", False)
    assert net.scef.rds_ports.find(net.configuration, "ue1-ef2") is port


def test_a_ue_that_is_not_to_be_asked_is_not():
    net = asleep()
    net.configure(supported_features=DYNAMIC)
    reserve(net, skip_ue_inquiry=True)
    assert answers(net) == [(False, None)]


def test_a_sleeping_ue_is_asked_when_it_wakes_and_the_end_is_notified():
    net = asleep()
    net.configure(supported_features=DYNAMIC)
    reserve(net)
    assert answers(net) == [(True, None)]
    with pytest.raises(RefusedError):
        net.scef.rds_ports.find(net.configuration, "ue1-ef2")
    net.uplink(b"up")
    net.wait(1)
    (told,) = net.kinds(e.NotifyPorts)
    assert [port.id for port in told.ports] == ["ue1-ef2"]
    net.wait(100)
    release(net)
    assert answers(net)[-1] == (True, None)
    net.uplink(b"up")
    net.wait(1)
    assert net.kinds(e.NotifyPorts)[-1].ports == ()


def test_a_ue_refuses_formats_that_it_does_not_have():
    net = reliable(rds_formats=["JSON"])
    reserve(net, supported_formats=["CBOR"])
    net.wait(1)
    ((_, refused),) = answers(net)
    assert refused.why is Refusal.PORT_REFUSED
    assert refused.more == {"supportedUeFormats": ["JSON"]}
    assert net.configuration.ports == {}


def test_a_port_that_somebody_else_has_is_not_free():
    net = reliable()
    ports = net.scef.rds_ports
    terms = ManagePort(app_id="of the UE")
    net.act(lambda _: ports.reserve_by_ue(net.configuration, RdsPort(ue=1, scef=2), terms))
    assert [port.entity for port in net.kinds(e.NotifyPorts)[0].ports] == ["UE"]
    for call in (reserve, release):
        with pytest.raises(RefusedError) as caught:
            call(net)
        assert caught.value.why is Refusal.PORT_NOT_FREE


def test_ports_need_the_feature():
    net = Emulation()
    net.ue(UE)
    net.configure(supported_features="4")
    with pytest.raises(RefusedError) as caught:
        reserve(net)
    assert caught.value.why is Refusal.FEATURE_NOT_NEGOTIATED


def test_data_that_was_on_air_and_not_acknowledged_is_not_said_to_have_failed_when_the_ue_is_gone():
    net = reliable(loss_up=1.0, rds_timer=5.0, t3412=3600)
    net.answered(reliable=True, maximum_latency=60)
    assert net.received() == [b"down"]
    net.move("sleep")
    net.wait(100)
    assert net.statuses() == ["SUCCESS_UNACKNOWLEDGED"]
    assert net.configuration.deliveries == {}
