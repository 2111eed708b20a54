"""The largest frames by region, data rate, class and version: RP002 tables as ChirpStack applies them."""

import pytest

from bindings.lorawan.payload_size import FLOOR, Plan, max_downlink, max_size, max_uplink, rx1_data_rate
from bindings.lorawan.records import Record

EU = Plan("EU868", "A")


@pytest.mark.parametrize(("dr", "bytes_"), [(0, 51), (1, 51), (2, 51), (3, 115), (4, 242), (5, 242)])
def test_eu868_class_a_follows_the_uplinks_data_rate(dr, bytes_):
    assert max_downlink(EU, "A", dr) == bytes_


def test_rx1_dr_offset_makes_the_downlink_slower():
    assert max_downlink(Plan("EU868", "A", rx1_dr_offset=2), "A", 5) == 115
    assert max_downlink(Plan("EU868", "A", rx1_dr_offset=5), "A", 3) == 51


def test_class_c_has_to_fit_rx2_as_well():
    assert max_downlink(EU, "C", 5) == 51
    assert max_downlink(Plan("EU868", "A", rx2_dr=3), "C", 5) == 115
    assert max_downlink(Plan("EU868", "A", rx2_dr=5), "C", 0) == 51


def test_class_b_has_to_fit_the_ping_slot():
    assert max_downlink(Plan("EU868", "A", ping_slot_dr=3), "B", 5) == 115


def test_where_the_server_begins_with_rx2_only_that_counts():
    assert max_downlink(Plan("EU868", "A", rx2_dr=0, first_window="rx2"), "A", 5) == 51


def test_before_the_first_uplink_the_slowest_data_rate_is_assumed():
    assert max_downlink(EU, "A", None) == 51
    assert max_downlink(Plan("US915", "A"), "A", None) == 53
    assert max_downlink(Plan(), "A", 5) == FLOOR


def test_room_is_kept_for_mac_commands_after_a_join():
    assert max_downlink(EU, "A", 0, settling=True) == 36


def test_us915_and_au915_have_their_own_rx1_tables():
    assert rx1_data_rate(Plan("US915"), 0) == 10
    assert rx1_data_rate(Plan("US915", rx1_dr_offset=3), 0) == 8
    assert rx1_data_rate(Plan("US915", rx1_dr_offset=3), 4) == 11
    assert rx1_data_rate(Plan("AU915"), 0) == 8
    assert rx1_data_rate(Plan("AU915"), 6) == 13
    assert max_downlink(Plan("US915", repeater=True), "A", None) == 33
    assert max_downlink(Plan("AU915"), "A", 1) == 129


def test_as923_knows_dwell_time_and_offsets_that_lift():
    assert [max_size(Plan("AS923", "A", dwell=True), dr) for dr in range(6)] == [0, 0, 11, 53, 125, 242]
    assert max_size(Plan("AS923", "A"), 2) == 51
    assert max_size(Plan("AS923_2", "RP002_1_0_3"), 2) == 115
    assert rx1_data_rate(Plan("AS923", rx1_dr_offset=7), 2) == 4
    assert rx1_data_rate(Plan("AS923", dwell=True), 0) == 2


def test_eu868_data_rate_4_shrank_with_rp002_1_0_2():
    assert max_size(Plan("EU868", "RP002_1_0_1"), 4) == 242
    assert max_size(Plan("EU868", "RP002_1_0_2"), 4) == 222


@pytest.mark.parametrize(
    ("plan", "sizes"),
    [
        (EU, [51, 51, 51, 115, 242, 242, 242, 242, 50, 115, 50, 115]),
        (Plan("US915", "A"), [11, 53, 125, 242, 242]),
        (Plan("AU915", "A"), [51, 51, 51, 115, 242, 242, 242]),
        (Plan("AU915", "A", dwell=True), [0, 0, 11, 53, 125, 242, 242]),
        (Plan("AS923", "A"), [51, 51, 51, 115, 242, 242]),
        (Plan("AS923", "A", dwell=True), [0, 0, 11, 53, 125, 242]),
        (Plan("US915", "A", repeater=True), [11, 53, 125, 222, 222]),
    ],
    ids=lambda value: f"{value.region}{' dwell' * value.dwell}" if isinstance(value, Plan) else "",
)
def test_an_uplink_has_the_size_of_its_own_data_rate(plan, sizes):
    assert [max_uplink(plan, dr) for dr in range(len(sizes))] == sizes


def test_of_an_uplink_the_slowest_data_rate_is_assumed_and_room_kept_as_of_a_downlink():
    assert [max_uplink(Plan(region), None) for region in ("EU868", "US915", "AU915", "")] == [51, 11, 51, FLOOR]
    assert max_uplink(Plan("AS923", dwell=True), None) == 11
    assert max_uplink(EU, 0, settling=True) == 36
    assert max_uplink(Plan("US915"), 0, settling=True) == 0


def test_counters_behind_the_window_are_told_from_new_ones():
    record = Record()
    for f_cnt in (100, 98, 101):
        record.take(f_cnt)
    assert [record.has_seen(f_cnt) for f_cnt in (102, 101, 100, 99, 98, 97, 30)] == [
        False, True, True, False, True, False, False,
    ]  # fmt: skip
    assert not record.went_back(97)
    assert record.went_back(30)
    record.take(5000)
    assert record.has_seen(5000)
    assert not record.has_seen(4999)
