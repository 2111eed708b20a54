"""Downlinks for a UE without PDN connection: pdnEstablishmentOption decides (TS 29.122 §5.6.2.3.3)."""

from scef_emulation import Emulation

from mock_network.scef.core import Refusal
from mock_network.scef.schema import DeliveryStatus, PdnEstablishmentOption


def no_pdn(**settings):
    net = Emulation()
    net.ue(pdn=False, **settings)
    net.configure()
    return net


def test_wait_for_ue_buffers_until_the_pdn_connection_is_there():
    net = no_pdn()
    assert net.answered(b"x", pdn_option=PdnEstablishmentOption.WAIT_FOR_UE).status is DeliveryStatus.BUFFERING
    net.move("pdn-connect")
    net.wait(1)
    assert net.received() == [b"x"]
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


def test_indicate_error_fails_at_once():
    net = no_pdn()
    answer = net.refused(pdn_option=PdnEstablishmentOption.INDICATE_ERROR)
    assert (answer.why, answer.downlink) == (Refusal.NO_PDN, True)


def test_send_trigger_is_seen_in_the_air_log_and_makes_the_ue_connect():
    net = no_pdn()
    assert net.answered(b"x", pdn_option=PdnEstablishmentOption.SEND_TRIGGER).status is DeliveryStatus.TRIGGERED
    net.wait(10)
    assert [entry.what for entry in net.air("trigger-sent", "trigger", "downlink")] == [
        "trigger-sent",
        "trigger",
        "downlink",
    ]


def test_a_ue_that_takes_no_triggers_gets_nothing():
    net = no_pdn(accepts_trigger=False)
    assert (
        net.answered(b"x", pdn_option=PdnEstablishmentOption.SEND_TRIGGER, maximum_latency=60).status
        is DeliveryStatus.TRIGGERED
    )
    net.wait(100)
    assert net.received() == []
    assert net.statuses() == ["FAILURE_TIMEOUT"]


def test_a_detached_ue_takes_the_trigger_when_it_attaches():
    net = no_pdn(attached=False)
    net.answered(b"x", pdn_option=PdnEstablishmentOption.SEND_TRIGGER)
    net.wait(10)
    net.move("attach")
    net.wait(10)
    assert net.received() == [b"x"]


def test_the_option_of_the_configuration_holds_where_the_downlink_has_none():
    net = Emulation()
    net.ue(pdn=False)
    net.configure(pdn_establishment_option="INDICATE_ERROR")
    assert net.refused().why is Refusal.NO_PDN
    assert net.answered(pdn_option=PdnEstablishmentOption.WAIT_FOR_UE).status is DeliveryStatus.BUFFERING


def test_a_ue_that_detaches_while_data_is_on_air_fails_it(net):
    net.change(radio_latency=8.0)
    assert net.answered().status is DeliveryStatus.SENDING
    net.move("detach")
    net.wait(10)
    assert net.statuses() == ["FAILURE_NEXT_HOP"]
    assert net.received() == []
