"""What a device's radio allows is learned from its transmissions; until then nothing is sent that may not fit."""

import random

import pytest
from mock_chirpstack_kit import DEV_EUI, Settings, World
from virtual_network import Virtual

from bindings.contract import Kind, Refusal, Report
from bindings.lorawan import network_events as net
from bindings.lorawan.notes import DeviceNote
from bindings.lorawan.radio import learn
from bindings.lorawan.settings import Downlinks
from bindings.lorawan.south import SouthProfiles

QUIET = 60.0  # seconds, longer than any receive window
NOW = 1000.0
EU_RX2 = 869_525_000


async def network(offset=0, *, profile=None, rx2_dr=None, **options):
    """Return a device that has joined and was heard, and nothing more."""
    settings = Settings(rx1_dr_offset=offset, rx2_dr=rx2_dr, mac_commands_disabled=True, reorder_within=0.0)
    one = Virtual(World({"rx1_delay": 1} | (profile or {}), settings), **options)
    await one.join()
    for _ in range(4):
        await one.up()
    return one


def fits(one, **numbers):
    record = one.records.held(DEV_EUI)
    return SouthProfiles(Downlinks(**numbers)).of(record, one.records.profile(""), network_up=True).max_downlink


async def goes_out(one, size):
    """Send an answer of a size, and return whether it was transmitted."""
    handle = await one.submit(bytes(size), kind=Kind.ANSWER, ttl=None)
    await one.passes(QUIET)
    await one.up()
    await one.passes(QUIET)
    return handle in one.on_the_air()


@pytest.mark.parametrize(("offset", "largest"), [(0, 242), (1, 242), (2, 115), (3, 51), (5, 51)])
async def test_the_offset_of_rx1_is_learned_from_the_first_downlink(offset, largest):
    one = await network(offset)
    assert fits(one) == 51
    assert await goes_out(one, 51)
    assert fits(one) == largest
    assert await goes_out(one, largest)


async def test_what_does_not_fit_the_window_was_never_claimed_to_fit():
    """ChirpStack discards it with DOWNLINK_PAYLOAD_SIZE."""
    for seed in range(30):
        draw = random.Random(seed)
        one = await network(draw.randrange(6), seed=seed)
        for _ in range(8):
            await one.up(dr=draw.randrange(6))
            await one.submit(bytes(fits(one)), kind=Kind.ANSWER, ttl=None)
            await one.up(dr=one.records.held(DEV_EUI).dr)
            await one.passes(QUIET)
        assert Refusal.TOO_LARGE not in [report.outcome for report in one.side.of(Report)], seed


async def test_what_was_learned_outlives_a_restart():
    one = await network(0)
    await goes_out(one, 20)
    await one.restart(kept=True)
    assert fits(one) == 242


async def test_the_data_rate_of_rx2_is_learned_from_class_c():
    one = await network(0)
    one.class_c()
    await one.up()
    await goes_out(one, 20)
    record = one.records.held(DEV_EUI)
    assert (record.device_class, record.rx2_dr) == ("C", 0)
    assert fits(one) == 51


async def test_a_class_c_device_gets_what_fits_a_faster_rx2():
    one = await network(0, rx2_dr=3)
    one.class_c()
    await one.up()
    assert (fits(one, rx1_dr_offset=0), fits(one, rx1_dr_offset=0, rx2_dr=3)) == (51, 115)
    await goes_out(one, 20)
    assert one.records.held(DEV_EUI).rx2_dr == 3
    assert fits(one, rx1_dr_offset=0) == 115
    assert await goes_out(one, 115)


# One transmission


def transmission(dr, *, frequency=868_100_000, delay=1.0, immediately=False, bandwidth=125_000):
    return net.TxAck("d", NOW, "A", "p", "i", delay, immediately, frequency, 12 - dr, bandwidth)


def heard(dr=5, *, frequency=868_100_000, at=NOW, **known):
    return DeviceNote(dev_addr="01020304", dr=dr, frequency=frequency, heard_at=at, uplinks=1, **known)


def test_several_offsets_are_possible_where_the_downlink_is_the_slowest():
    record = heard(dr=2)
    assert learn(record, "EU868", transmission(0), NOW)
    assert record.rx1_dr_offsets == (2, 3, 4, 5)
    record.dr = 5
    assert learn(record, "EU868", transmission(2), NOW)
    assert record.rx1_dr_offsets == (3,)
    assert not learn(record, "EU868", transmission(2), NOW)


def test_a_contradiction_replaces_what_was_known():
    record = heard(dr=5, rx1_dr_offsets=(0,))
    assert learn(record, "EU868", transmission(3), NOW)
    assert record.rx1_dr_offsets == (2,)


@pytest.mark.parametrize(
    ("record", "region", "event"),
    [
        (heard(), "", transmission(5)),
        (heard(dr=-1), "EU868", transmission(5)),
        (heard(at=NOW - 60), "EU868", transmission(5)),  # of which uplink?
        (heard(at=NOW + 60), "EU868", transmission(5)),  # the clock was set back
        (heard(frequency=0), "EU868", transmission(5)),
        (heard(), "EU868", transmission(5, frequency=0)),
        (heard(), "EU868", transmission(5, delay=0.0)),  # class B
        (heard(), "EU868", transmission(5, bandwidth=500_000)),
        (heard(frequency=EU_RX2), "EU868", transmission(0, frequency=EU_RX2)),  # RX1 or RX2?
        (heard(dr=0), "US915", transmission(-8, frequency=923_300_000, bandwidth=500_000)),
    ],
)
def test_what_proves_nothing_changes_nothing(record, region, event):
    assert not learn(record, region, event, NOW)
    assert (record.rx1_dr_offsets, record.rx2_dr) == ((), -1)


def test_rx2_is_told_by_its_frequency():
    record = heard()
    assert learn(record, "EU868", transmission(3, frequency=EU_RX2, delay=2.0), NOW)
    assert (record.rx1_dr_offsets, record.rx2_dr) == ((), 3)


def test_us915_has_channels_of_its_own_for_downlinks():
    record = heard(dr=3, frequency=902_300_000)
    assert learn(record, "US915", transmission(12 - 8, frequency=923_900_000, bandwidth=500_000), NOW)  # SF8: DR12
    assert record.rx1_dr_offsets == (1,)


def test_as923_with_a_dwell_time_lifts_slow_windows():
    record = heard(dr=0, frequency=923_400_000)
    assert learn(record, "AS923", transmission(2, frequency=923_400_000), NOW)
    assert record.rx1_dr_offsets == (0, 1, 2, 3, 4, 5, 6, 7)


def test_what_transmissions_show_goes_before_what_is_said():
    numbers = Downlinks(rx1_dr_offset=0, rx2_dr=5)
    south = SouthProfiles(numbers)
    profile = Virtual(World()).records.profile("")

    def largest(**known):
        return south.of(heard(**known), profile, network_up=True).max_downlink

    assert largest() == 242
    assert largest(rx1_dr_offsets=(2,)) == 115
    assert largest(rx1_dr_offsets=(0, 1, 2)) == 242  # what is said is possible
    assert largest(device_class="C") == 242
    assert largest(device_class="C", rx2_dr=0) == 51
