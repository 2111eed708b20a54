"""For how long devices repeat themselves is RFC 7252's arithmetic, and the defaults of all networks follow it."""

import pytest

from bindings.lorawan.settings import Downlinks as LorawanDownlinks
from bindings.nidd.settings import Downlinks as NiddDownlinks
from bindings.sms.settings import Downlinks as SmsDownlinks
from bindings.transmission import exchange_lifetime, explanation, longest_ack_timeout
from mock_network.lwm2m.messages import Tuning


@pytest.mark.parametrize(("ack_timeout", "seconds"), [(2.0, 247.0), (15.0, 552.5), (300.0, 7250.0)])
def test_exchange_lifetime_is_that_of_rfc_7252(ack_timeout, seconds):
    assert exchange_lifetime(ack_timeout) == seconds
    assert longest_ack_timeout(seconds) == pytest.approx(ack_timeout)
    assert Tuning(ack_timeout=ack_timeout).exchange_lifetime == seconds  # as the emulated device counts it


@pytest.mark.parametrize(
    ("span", "client"),
    [
        (NiddDownlinks().exchange_span, Tuning()),
        (SmsDownlinks().exchange_span, Tuning()),
        (LorawanDownlinks().exchange_span, Tuning(ack_timeout=300.0, max_retransmit=4)),  # OMA Transport App. C.2
    ],
    ids=["nidd", "sms", "lorawan"],
)
def test_by_default_the_last_copy_of_a_client_that_doubles_its_waits_is_recognised(span, client):
    assert span >= client.exchange_lifetime > client.max_transmit_span


def test_it_is_said_which_devices_a_span_is_long_enough_for():
    assert explanation(7250.0) == (
        "devices' repeats are recognised for exchange_span = 7250 s: enough for ACK_TIMEOUT up to 300 s with "
        "MAX_RETRANSMIT 4 (RFC 7252 §4.8.2: 300 × 15 × 1.5 + 2 × 100 + 300)"
    )
    assert "ACK_TIMEOUT up to 55.32 s" in explanation(1500.0)
    assert explanation(150.0).startswith("exchange_span = 150 s is shorter than two latencies of 100 s")
