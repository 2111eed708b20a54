"""The largest frames by region, data rate, class and version; what is not known never makes them larger."""

from pathlib import Path

import pytest

from bindings.lorawan.notes import DeviceNote, Profile
from bindings.lorawan.payload_size import FLOOR, RadioParameters, max_downlink, max_size, max_uplink
from bindings.lorawan.regions import REVISIONS, downlink_sizes, rx1_data_rates
from bindings.lorawan.settings import Downlinks
from bindings.lorawan.south import SouthProfiles

PROFILE = Profile("EU868", "A", "LORAWAN_1_0_3", rx1_dr_offset=0, rx2_dr=0)
EU = RadioParameters("EU868", "LORAWAN_1_0_3", "A", rx1_dr_offsets=frozenset({0}), rx2_dr=0)

# What a network server applies: facts of ChirpStack, which say where they come from.
FACTS = [
    line.split("\t")
    for line in (Path(__file__).parent / "sizes_of_chirpstack.tsv").read_text().splitlines()
    if not line.startswith("#")
]
NAMES = dict(zip(("A", "B", *(f"RP{n}" for n in range(6))), REVISIONS, strict=True))


def pairs(text: str) -> dict[int, str]:
    return {int(dr): value for dr, _, value in (entry.partition(":") for entry in text.split())}


def sizes_of(region: str, text: str) -> dict[int, int]:
    lr_fhss = range(8, 12) if region == "EU868" else ()  # no downlink has these
    return {dr: int(size) for dr, size in pairs(text).items() if dr not in lr_fhss}


def versions(text: str):
    for entry in text.split("; "):
        mac, _, revisions = entry.partition("=")
        for revision in revisions.split(","):
            yield "LORAWAN_" + mac.replace(".", "_"), NAMES[revision]


SIZES = [
    (region, flag, mac, revision, sizes_of(region, sizes))
    for kind, region, flags, told, sizes in (fact for fact in FACTS if fact[0] == "SIZE")
    for flag in flags.split(",")
    for mac, revision in versions(told)
]


def test_the_facts_are_of_every_region_version_and_revision():
    assert len({(region, flag, mac, revision) for region, flag, mac, revision, _ in SIZES}) == len(SIZES)
    assert len(SIZES) == 14 * 4 * 6 * 8


def test_no_size_is_larger_than_what_a_network_server_applies():
    for region, flag, mac, revision, there in SIZES:
        ours = downlink_sizes(region, mac, revision, repeater="r" in flag, dwell="d" in flag)
        for dr, size in there.items():
            assert ours[dr] <= size, (region, flag, mac, revision, dr)


def test_without_repeaters_the_sizes_are_those_of_the_network_server_but_for_its_mistakes():
    smaller = {
        (region, dr, ours[dr], size)
        for region, flag, mac, revision, there in SIZES
        if "r" not in flag
        for ours in (downlink_sizes(region, mac, revision, repeater=False, dwell="d" in flag),)
        for dr, size in there.items()
        if ours[dr] < size
    }
    assert smaller == {("AU915", dr, 242, 250) for dr in (11, 12, 13)}  # its tables of RP002-1.0.0


def test_what_is_not_known_of_the_version_makes_no_size_larger():
    for region, flag, mac, revision, there in SIZES:
        for known in (("", ""), (mac, ""), ("", revision), ("LORAWAN_2_0_0", "RP002_2_0_0")):
            ours = downlink_sizes(region, *known, repeater="r" in flag, dwell="d" in flag)
            for dr, size in there.items():
                assert ours[dr] <= size, (region, flag, known, dr)


def test_the_data_rate_of_rx1_is_the_network_servers():
    for _, region, flag, rows in (fact for fact in FACTS if fact[0] == "RX1"):
        for dr, rates in pairs(rows).items():
            assert rx1_data_rates(region, dr, dwell=flag == "d") == tuple(map(int, rates.split(","))), (region, dr)


def test_without_the_offset_of_rx1_the_slowest_window_counts():
    assert max_downlink(RadioParameters("EU868", "LORAWAN_1_0_3", "A"), "A", 5) == 51
    assert max_downlink(RadioParameters("EU868", "LORAWAN_1_0_3", "A"), "A", 7) == 51
    assert max_downlink(RadioParameters("EU868", "LORAWAN_1_0_3", "A", frozenset({1, 2})), "A", 5) == 115
    assert max_downlink(RadioParameters("US915", "LORAWAN_1_0_3", "A"), "A", 3) == 242  # DR10 at the largest offset
    assert max_downlink(RadioParameters("US915", "LORAWAN_1_0_3", "A"), "A", 1) == 53


@pytest.mark.parametrize(("dr", "bytes_"), [(0, 51), (1, 51), (2, 51), (3, 115), (4, 242), (5, 242)])
def test_eu868_class_a_follows_the_uplinks_data_rate(dr, bytes_):
    assert max_downlink(EU, "A", dr) == bytes_


def test_class_c_has_to_fit_rx2_as_well():
    assert max_downlink(EU, "C", 5) == 51
    assert max_downlink(RadioParameters("EU868", rx1_dr_offsets=frozenset({0}), rx2_dr=3), "C", 5) == 115
    assert max_downlink(RadioParameters("EU868", rx1_dr_offsets=frozenset({0}), rx2_dr=5), "C", 0) == 51
    assert max_downlink(RadioParameters("EU868", rx1_dr_offsets=frozenset({0})), "C", 5) == 51  # RX2 is not known
    assert (
        max_downlink(RadioParameters("EU868", rx1_dr_offsets=frozenset({0}), rx2_dr=15), "C", 5) == 51
    )  # no such data rate


def test_class_b_has_to_fit_the_ping_slot():
    assert max_downlink(RadioParameters("EU868", rx1_dr_offsets=frozenset({0}), ping_slot_dr=3), "B", 5) == 115
    assert max_downlink(EU, "B", 5) == 51


def test_where_the_server_begins_with_rx2_only_that_counts():
    assert max_downlink(RadioParameters("EU868", rx2_dr=3, first_window="rx2"), "A", 0) == 115
    assert max_downlink(RadioParameters("EU868", first_window="rx2"), "A", 5) == 51


def test_before_the_first_uplink_the_slowest_data_rate_is_assumed():
    assert max_downlink(EU, "A", None) == 51
    assert max_downlink(RadioParameters("US915", rx1_dr_offsets=frozenset({0})), "A", None) == 53
    assert max_downlink(RadioParameters(), "A", 5) == FLOOR
    assert max_downlink(RadioParameters("MARS"), "A", 5) == FLOOR


def test_room_is_kept_for_mac_commands_after_a_join():
    assert max_downlink(EU, "A", 0, settling=True) == 36


@pytest.mark.parametrize(
    ("uplinks", "largest", "sizes"),
    [(0, 0, (36, 51)), (2, 0, (36, 51)), (3, 0, (51, None)), (0, 40, (36, 40)), (0, 20, (20, None))],
)
def test_the_profile_says_what_fits_soon_after_a_join(uplinks, largest, sizes):
    note = DeviceNote(joined_at=1.0, uplinks=uplinks, dr=0, max_payload=largest)
    found = SouthProfiles(Downlinks()).of(note, PROFILE, network_up=True)
    assert (found.max_downlink, found.max_downlink_soon) == sizes


def test_dwell_time_shrinks_the_slow_data_rates():
    assert [max_size(RadioParameters("AS923", dwell=True), dr) for dr in range(6)] == [0, 0, 11, 53, 125, 242]
    assert max_downlink(RadioParameters("AS923", dwell=True), "A", 0) == 11  # RX1 is DR2 at least
    assert max_downlink(RadioParameters(dwell=True), "A", 0) == 11


@pytest.mark.parametrize(
    ("plan", "sizes"),
    [
        (EU, [51, 51, 51, 115, 242, 242, 242, 242, 50, 115, 50, 115]),
        (RadioParameters("US915"), [11, 53, 125, 242, 242]),
        (RadioParameters("AU915"), [51, 51, 51, 115, 242, 242, 242]),
        (RadioParameters("AU915", dwell=True), [0, 0, 11, 53, 125, 242, 242]),
        (RadioParameters("AS923", "LORAWAN_1_0_3", "A"), [51, 51, 51, 115, 242, 242]),
        (RadioParameters("AS923", dwell=True), [0, 0, 11, 53, 125, 242]),
        (RadioParameters("US915", repeater=True), [11, 53, 125, 222, 222]),
    ],
    ids=lambda value: f"{value.region}{' dwell' * value.dwell}" if isinstance(value, RadioParameters) else "",
)
def test_an_uplink_has_the_size_of_its_own_data_rate(plan, sizes):
    assert [max_uplink(plan, dr) for dr in range(len(sizes))] == sizes


def test_of_an_uplink_the_slowest_data_rate_is_assumed_and_room_kept_as_of_a_downlink():
    assert [max_uplink(RadioParameters(region), None) for region in ("EU868", "US915", "AU915", "")] == [
        50,
        11,
        50,
        FLOOR,
    ]
    assert max_uplink(RadioParameters("AS923", dwell=True), None) == 11
    assert max_uplink(EU, 0, settling=True) == 36
    assert max_uplink(RadioParameters("US915"), 0, settling=True) == 0


def test_counters_behind_the_window_are_told_from_new_ones():
    record = DeviceNote()
    for f_cnt in (100, 98, 101):
        record.record_uplink(f_cnt)
    assert [record.has_seen(f_cnt) for f_cnt in (102, 101, 100, 99, 98, 97, 30)] == [
        False, True, True, False, True, False, False,
    ]  # fmt: skip
    assert not record.counter_fell_back(97)
    assert record.counter_fell_back(30)
    record.record_uplink(5000)
    assert record.has_seen(5000)
    assert not record.has_seen(4999)
