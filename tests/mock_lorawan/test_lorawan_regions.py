"""Regional tables and time on air, against published numbers."""

import pytest

from mock_network.lorawan.airtime import time_on_air
from mock_network.lorawan.radio import Fsk, LoRa
from mock_network.lorawan.regions import (
    EU868,
    EU868_CF_LIST,
    US915,
    pack_cf_list,
    unpack_cf_list,
    unpack_cf_list_mask,
)

OVERHEAD = 13  # bytes around FRMPayload without FOpts


@pytest.mark.parametrize(
    ("spreading_factor", "payload", "milliseconds"),
    [
        (12, 51, 2793),
        (11, 51, 1561),
        (10, 51, 698),
        (9, 115, 677),
        (8, 222, 656),
        (7, 222, 369),
        (12, 1, 1155),
        (7, 1, 46),
    ],
)
def test_time_on_air_of_uplinks(spreading_factor: int, payload: int, milliseconds: int) -> None:
    assert round(time_on_air(payload + OVERHEAD, LoRa(spreading_factor, 125_000)) * 1000) == milliseconds


def test_a_downlink_is_shorter_by_its_crc_and_fsk_is_linear() -> None:
    assert time_on_air(66, LoRa(12, 125_000), uplink=False) < time_on_air(66, LoRa(12, 125_000))
    assert time_on_air(50, Fsk(50_000)) == pytest.approx(0.00976)


def test_payload_limits_of_eu868() -> None:
    assert [EU868.uplink_limits[i] for i in range(8)] == [51, 51, 51, 115, 242, 242, 242, 242]


def test_payload_limits_of_us915() -> None:
    assert [US915.uplink_limits[i] for i in range(5)] == [11, 53, 125, 242, 242]
    assert [US915.downlink_limits[i] for i in range(8, 14)] == [53, 129, 242, 242, 242, 242]


def test_rx1_of_eu868_keeps_the_frequency_and_lowers_the_data_rate_by_the_offset() -> None:
    assert EU868.rx1(0, 868_100_000, 5, 0) == (868_100_000, 5)
    assert EU868.rx1(0, 868_100_000, 5, 3) == (868_100_000, 2)
    assert EU868.rx1(0, 868_100_000, 1, 5) == (868_100_000, 0)


def test_rx1_of_us915_maps_eight_channels_and_never_falls_below_dr8() -> None:
    assert US915.rx1(9, 904_100_000, 0, 0) == (923_900_000, 10)
    assert US915.rx1(63, 0, 3, 0) == (927_500_000, 13)
    assert US915.rx1(64, 0, 4, 0) == (923_300_000, 13)
    assert US915.rx1(0, 0, 0, 3) == (923_300_000, 8)


def test_a_modulation_has_another_index_up_than_down_in_us915() -> None:
    assert US915.index(LoRa(8, 500_000), uplink=True) == 4
    assert US915.index(LoRa(8, 500_000), uplink=False) == 12
    assert EU868.index(LoRa(9, 125_000), uplink=True) == 3
    assert EU868.index(LoRa(9, 500_000), uplink=True) is None


def test_cf_lists() -> None:
    assert pack_cf_list(EU868_CF_LIST).hex() == "184f84e85684b85e84886684586e8400"
    assert unpack_cf_list(pack_cf_list(EU868_CF_LIST)) == EU868_CF_LIST
    masks = (1 << 65 | 0xFF00).to_bytes(10, "little") + bytes(5) + b"\1"
    assert unpack_cf_list_mask(masks) == {*range(8, 16), 65}
    assert unpack_cf_list(bytes(15) + b"\1") is None


def test_channel_masks() -> None:
    three = frozenset({0, 1, 2})
    assert EU868.channel_mask(three, three, 0b101, 0) == {0, 2}
    assert EU868.channel_mask(frozenset({0}), three, 0, 6) == three
    with pytest.raises(ValueError, match="ChMask"):
        EU868.channel_mask(three, three, 0b1000, 0)
    every = frozenset(range(72))
    assert US915.channel_mask(every, every, 0x0002, 7) == {65}
    assert US915.channel_mask(frozenset(), every, 0xFF00, 0) == set(range(8, 16))
    assert US915.channel_mask(frozenset(), every, 0x0002, 5) == {*range(8, 16), 65}


def test_duty_cycle_shares_of_eu868() -> None:
    assert EU868.duty_share(868_100_000) == 0.01
    assert EU868.duty_share(869_525_000) == 0.1
    assert EU868.duty_share(868_800_000) == 0.001
    assert EU868.duty_band(868_100_000) == EU868.duty_band(868_500_000) != EU868.duty_band(867_100_000)
    assert US915.duty_share(903_000_000) == 1.0
