"""Payload sizes, windows and channels as the network server applies them."""

import itertools

import pytest
from chirpstack_api import common

from mock_network.chirpstack import class_b
from mock_network.chirpstack.region import AS923, EU868, US915


@pytest.mark.parametrize(("dr", "size"), [(0, 51), (1, 51), (2, 51), (3, 115), (4, 242), (5, 242)])
def test_eu868_sizes(dr, size):
    assert EU868.max_payload_size(dr, common.A) == size


def test_eu868_data_rate_4_shrank_with_rp002_1_0_2():
    assert EU868.max_payload_size(4, common.RP002_1_0_1) == 242
    assert EU868.max_payload_size(4, common.RP002_1_0_2) == 222


def test_eu868_answers_on_the_uplinks_channel_and_data_rate():
    assert EU868.uplink_dr(12, 125_000) == 0
    assert EU868.uplink_dr(7, 250_000) == 6
    assert EU868.uplink_channel(867_900_000, 5) == 7
    assert EU868.uplink_channel(868_200_000, 5) is None
    assert (EU868.rx1_dr(5, 0), EU868.rx1_dr(1, 3)) == (5, 0)
    assert EU868.rx1_frequency(868_300_000, 1) == 868_300_000
    assert (EU868.eirp(869_525_000), EU868.eirp(868_100_000)) == (29, 16)


def test_us915_answers_on_one_of_8_wide_channels():
    assert US915.uplink_channel(902_300_000, 0) == 0
    assert US915.uplink_channel(903_000_000, 4) == 64
    assert US915.uplink_channel(903_000_000, 0) is None
    assert US915.rx1_frequency(902_500_000, 9) == 923_900_000
    assert [US915.rx1_dr(dr, 0) for dr in range(5)] == [10, 11, 12, 13, 13]
    assert US915.down[8].spreading_factor == 12
    assert US915.max_payload_size(8, common.A) == 53


def test_as923_listens_at_923_2_mhz():
    assert (AS923.rx2_frequency, AS923.max_payload_size(2, common.A)) == (923_200_000, 51)


def test_ping_slots_repeat_within_a_beacon_period_and_lie_in_the_future():
    times = []
    at = 1_400_000_000.0
    for _ in range(8):
        at = class_b.next_ping_slot(at, 0x01020304, 8)
        times.append(at)
    gaps = {round(later - earlier, 2) for earlier, later in itertools.pairwise(times)}
    assert round(512 * class_b.SLOT, 2) in gaps
    assert times == sorted(times)
