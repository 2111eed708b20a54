"""Downlinks that are changed or cancelled, in time or too late."""

import pytest
from scef_emulation import asleep

from mock_network.scef.core import Refusal, RefusedError


def change(net, delivery, **changes):
    return net.act(lambda now: net.scef.downlinks.change(net.configuration, delivery, changes, now))


def cancel(net, delivery):
    net.act(lambda now: net.scef.downlinks.cancel(net.configuration, delivery, now))


def refusal(call, *arguments, **members):
    with pytest.raises(RefusedError) as caught:
        call(*arguments, **members)
    return caught.value.why


def test_a_buffered_downlink_can_be_replaced_and_cancelled_a_sent_one_cannot():
    net = asleep()
    first, second = net.answered(b"first").delivery.id, net.answered(b"second").delivery.id
    change(net, first, data=b"changed", maximum_latency=7200)
    assert refusal(change, net, first, data=bytes(2000)) is Refusal.DATA_TOO_LARGE
    cancel(net, second)
    net.uplink(b"up")
    net.wait(5)
    assert net.received() == [b"changed"]
    assert net.air("downlink-dropped")[0].detail["reason"] == "cancelled"
    assert refusal(cancel, net, first) is Refusal.ALREADY_SENT
    assert refusal(change, net, first, data=b"x") is Refusal.ALREADY_SENT
    assert refusal(cancel, net, "no such") is Refusal.DELIVERY_UNKNOWN
    assert net.statuses() == ["SUCCESS_NEXT_HOP_ACKNOWLEDGED"]


def test_a_downlink_on_air_can_no_longer_be_cancelled(net):
    net.change(radio_latency=8.0)
    delivery = net.answered().delivery.id
    assert refusal(cancel, net, delivery) is Refusal.ALREADY_SENT


def test_a_downlink_that_timed_out_cannot_be_cancelled_and_nobody_says_that_it_was_sent():
    net = asleep()
    delivery = net.answered(maximum_latency=60).delivery.id
    net.wait(61)
    assert net.statuses() == ["FAILURE_TIMEOUT"]
    assert refusal(cancel, net, delivery) is Refusal.ALREADY_FAILED
    assert net.scef.profile.refusal(Refusal.ALREADY_FAILED) == (409, "DELIVERY_FAILED")
