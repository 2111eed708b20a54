"""Payload sizes, windows and channels as the network server applies them."""

import itertools
from pathlib import Path

import pytest
from chirpstack_api import common

from mock_network.chirpstack import class_b
from mock_network.chirpstack.region import AS923, EU868, US915

FACTS = Path(__file__).parent.parent / "lorawan" / "sizes_of_chirpstack.tsv"  # it says where they come from


@pytest.mark.parametrize("region", [EU868, US915, AS923], ids=lambda region: region.id)
def test_sizes_are_a_real_chirpstacks(region):
    compared = 0
    for fact in FACTS.read_text().splitlines():
        if not fact.startswith(f"SIZE\t{region.id.upper()}\t--"):
            continue
        _, _, _, *versions = fact.split("\t")
        sizes = dict(map(int, entry.split(":")) for entry in versions[1].split())
        for entry in versions[0].split("; "):
            version, _, revisions = entry.partition("=")
            mac = common.MacVersion.Value("LORAWAN_" + version.replace(".", "_"))
            for revision in revisions.replace("RP", "RP002_1_0_").split(","):
                for dr in region.down.keys() & sizes.keys():
                    size = region.max_payload_size(dr, mac, common.RegParamsRevision.Value(revision))
                    assert size == sizes[dr], (version, revision, dr)
                    compared += 1
    assert compared >= 6 * 8 * 6


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


def test_as923_listens_at_923_2_mhz():
    assert AS923.rx2_frequency == 923_200_000


def test_ping_slots_repeat_within_a_beacon_period_and_lie_in_the_future():
    times = []
    at = 1_400_000_000.0
    for _ in range(8):
        at = class_b.next_ping_slot(at, 0x01020304, 8)
        times.append(at)
    gaps = {round(later - earlier, 2) for earlier, later in itertools.pairwise(times)}
    assert round(512 * class_b.SLOT, 2) in gaps
    assert times == sorted(times)
