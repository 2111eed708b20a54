"""Group message delivery by unicast NIDD: one answer, a downlink for each member, one notification with all results."""

import pytest
from scef_emulation import Emulation, transfer

from mock_network.scef.core import Refusal, RefusedError, effects as e
from mock_network.scef.schema import DeliveryStatus
from mock_network.scef.schema.nidd import NiddDownlinkDataTransfer

GROUP = "all@example.com"
MEMBERS = ("one@example.com", "two@example.com", "three@example.com")


@pytest.fixture
def net():
    emulation = Emulation()
    for name in MEMBERS:
        emulation.ue(name, t3412=3600)
    emulation.scef.subscribers.add_group(GROUP, MEMBERS)
    emulation.configure(ue=None, external_group_id=GROUP, supported_features="10")
    return emulation


def post(net, data=b"all", **members):
    return net.post(data, external_group_id=GROUP, **members)


def results(net):
    (told,) = net.kinds(e.NotifyGroupDelivery)
    return {one.external_id: one for one in told.delivery.results}


def test_every_member_gets_it_and_the_results_come_in_one_notification(net):
    delivery = post(net)
    assert net.answers[delivery].status is DeliveryStatus.SENDING
    assert list(net.configuration.group_deliveries) == [delivery]
    net.wait(5)
    assert [net.received(name) for name in MEMBERS] == [[b"all"]] * 3
    assert {one.status for one in results(net).values()} == {DeliveryStatus.SUCCESS_NEXT_HOP_ACKNOWLEDGED}
    assert net.configuration.group_deliveries == {}
    assert net.statuses() == []


def test_nothing_is_kept_for_a_member_that_sleeps_and_its_time_is_told(net):
    net.move("sleep", MEMBERS[1])
    post(net)
    net.wait(5)
    asleep = results(net)[MEMBERS[1]]
    assert asleep.status is DeliveryStatus.FAILURE_TEMPORARILY_NOT_REACHABLE
    assert asleep.retry_at == net.scef.cell.next_contact(net.the(MEMBERS[1]))
    net.wait(4000)
    assert net.received(MEMBERS[1]) == []


def test_a_member_that_does_not_answer_its_page_has_failed(net):
    net.wait(30)
    net.change(MEMBERS[0], paging_loss=1.0)
    post(net)
    net.wait(30)
    assert results(net)[MEMBERS[0]].status is DeliveryStatus.FAILURE_TEMPORARILY_NOT_REACHABLE


def test_the_reliable_data_service_and_too_much_data_are_refused(net):
    net.change(MEMBERS[2], maximum_packet_size=80)
    for members, why in (({"reliable": True}, Refusal.RDS_IN_GROUP), ({"data": bytes(11)}, Refusal.DATA_TOO_LARGE)):
        with pytest.raises(RefusedError) as caught:
            post(net, **members)
        assert caught.value.why is why


def test_a_downlink_for_one_member_is_not_for_the_group(net):
    with pytest.raises(RefusedError) as caught:
        net.post(b"x", external_id=MEMBERS[0])
    assert caught.value.why is Refusal.IDENTITY_MISMATCH


def test_an_uplink_of_a_member_names_the_member(net):
    net.uplink(b"up", MEMBERS[1])
    net.wait(1)
    assert [(one.ue, one.configuration) for one in net.kinds(e.NotifyUplink)] == [(MEMBERS[1], net.configuration)]


def test_a_member_that_is_removed_while_data_is_on_air_has_failed_and_the_others_have_not(net):
    for name in MEMBERS:
        net.change(name, radio_latency=8.0)
    post(net)
    net.act(lambda now: net.scef.remove_ue(net.the(MEMBERS[0]), now))
    net.wait(20)
    statuses = {name: one.status.success for name, one in results(net).items()}
    assert statuses == {MEMBERS[0]: False, MEMBERS[1]: True, MEMBERS[2]: True}
    post(net)
    net.wait(20)
    assert len(net.kinds(e.NotifyGroupDelivery)[-1].delivery.results) == 2


def test_a_downlink_inside_the_configuration_is_for_the_group(net):
    first = NiddDownlinkDataTransfer(external_group_id=GROUP, data=b"first")
    net.configure(ue=None, external_group_id=GROUP, supported_features="10", nidd_downlink_data_transfers=[first])
    net.wait(5)
    assert [net.received(name) for name in MEMBERS] == [[b"first"]] * 3


def test_a_single_ue_can_still_have_its_own_configuration_beside_the_group(net):
    own = net.configure(ue=MEMBERS[0])
    net.act(lambda now: net.scef.configurations.submit(own, transfer(b"own", external_id=MEMBERS[0]), now))
    net.uplink(b"up", MEMBERS[0])
    net.wait(2)
    assert net.received(MEMBERS[0]) == [b"own"]
    assert net.kinds(e.NotifyUplink)[0].configuration is own
