"""Each proof that nothing was transmitted, and that it falls with any one of the things it rests on."""

import pytest
from msgspec.structs import replace

from bindings.lorawan.network_events import DiscardReason
from bindings.lorawan.notes import DeviceNote, Profile, WhenQueued
from bindings.lorawan.proofs import (
    LONGEST,
    DeviceKnowledge,
    discarded_unsent,
    in_flight,
    kept_back,
    may_settle,
    removed_unsent,
    settled,
    was_scheduled,
)
from bindings.lorawan.provider import DeviceSnapshot, QueuedItem, ServerRecord, Session

ITEM = QueuedItem("i", 10, b"x")
BEFORE = WhenQueued("a", next_up=5, quiet=True, counting=True, device_class="A")
WITHIN = replace(BEFORE, quiet=False)  # queued while the windows of the last uplink were open
KNOWN = DeviceKnowledge("a", next_up=5, counting=True, open_for=0.0)


def snapshot(f_cnt_up=5, *, dev_addr="a", f_cnt_down=3, device_class="A", seen_at=100.0, skip=False):
    return DeviceSnapshot(ServerRecord("p", device_class, seen_at, skip), Session(dev_addr, f_cnt_up, f_cnt_down))


NOW = snapshot()
FRESH = snapshot(f_cnt_down=0)  # nothing was transmitted in this session yet: the item's counter proves nothing


# In the queue


def test_no_uplink_came_since_it_was_queued():
    assert kept_back(ITEM, BEFORE, KNOWN, FRESH, FRESH)
    for before in (
        WITHIN,
        replace(BEFORE, device_class="C"),
        replace(BEFORE, next_up=4),
        replace(BEFORE, next_up=6),
        replace(BEFORE, dev_addr="b"),
        None,
    ):
        assert not kept_back(ITEM, before, KNOWN, FRESH, FRESH), before


def test_it_has_no_frame_counter_where_the_sessions_is_above_0():
    assert kept_back(ITEM, WITHIN, KNOWN, NOW, NOW)
    assert kept_back(ITEM, None, KNOWN, NOW, NOW)
    for before in (replace(WITHIN, counting=False), replace(WITHIN, dev_addr="b")):
        assert not kept_back(ITEM, before, KNOWN, NOW, NOW), before
    for known in (replace(KNOWN, open_for=0.1), replace(KNOWN, next_up=4), replace(KNOWN, dev_addr="b")):
        assert not kept_back(ITEM, WITHIN, known, NOW, NOW), known
    assert not kept_back(ITEM, None, replace(KNOWN, counting=False), NOW, NOW)
    assert not kept_back(ITEM, WITHIN, KNOWN, FRESH, FRESH)
    assert not kept_back(replace(ITEM, encrypted=True), WITHIN, KNOWN, NOW, NOW)


@pytest.mark.parametrize("before", [BEFORE, WITHIN, None], ids=["quiet", "within a window", "found"])
def test_either_proof_falls(before):
    assert kept_back(ITEM, before, KNOWN, NOW, NOW)
    for later in (snapshot(6), snapshot(dev_addr="b"), snapshot(device_class="C"), snapshot(seen_at=101.0)):
        assert not kept_back(ITEM, before, KNOWN, NOW, later), later
    for all_along in (
        snapshot(6),
        snapshot(dev_addr="b"),
        snapshot(device_class="B"),
        snapshot(device_class=""),
        snapshot(skip=True),
    ):
        assert not kept_back(ITEM, before, KNOWN, all_along, all_along), all_along
    for item in (replace(ITEM, f_cnt_down=1), replace(ITEM, pending=True)):
        assert was_scheduled(item)
        assert not kept_back(item, before, KNOWN, NOW, NOW), item


def test_the_frame_counter_of_an_encrypted_item_is_the_applications():
    item = replace(ITEM, encrypted=True, f_cnt_down=7)
    assert not was_scheduled(item)
    assert kept_back(item, BEFORE, KNOWN, NOW, NOW)


def test_the_network_server_has_never_heard_the_device():
    never = DeviceSnapshot(ServerRecord("p", "A", None), None)
    unknown = DeviceKnowledge("", 0, counting=False, open_for=LONGEST)
    assert kept_back(ITEM, None, unknown, never, never)
    without_session = replace(never, server_record=NOW.server_record)
    assert not kept_back(ITEM, BEFORE, KNOWN, without_session, without_session)
    assert not kept_back(ITEM, BEFORE, KNOWN, never, without_session)


# Not in the queue any more


def test_gone_before_any_window():
    assert removed_unsent(BEFORE, NOW)
    assert not removed_unsent(None, NOW)
    for before in (
        WITHIN,
        replace(BEFORE, device_class="C"),
        replace(BEFORE, dev_addr="b"),
        replace(BEFORE, next_up=6),
    ):
        assert not removed_unsent(before, NOW), before
    for now in (snapshot(6), snapshot(device_class="C"), snapshot(skip=True), snapshot(4), replace(NOW, session=None)):
        assert not removed_unsent(BEFORE, now), now


@pytest.mark.parametrize("why", DiscardReason)
def test_discarded_in_the_first_window(why):
    assert discarded_unsent(why, BEFORE, snapshot(6))
    assert discarded_unsent(why, BEFORE, snapshot(5))
    assert not discarded_unsent(why, None, snapshot(6))
    for before in (WITHIN, replace(BEFORE, dev_addr="b"), replace(BEFORE, next_up=4)):
        assert not discarded_unsent(why, before, snapshot(6)), before
    for now in (
        snapshot(7),
        snapshot(4),
        snapshot(6, skip=True),
        snapshot(6, device_class="C"),
        replace(NOW, session=None),
    ):
        assert not discarded_unsent(why, BEFORE, now), now


def test_of_class_b_and_c_only_the_size_is_a_proof_and_only_while_the_device_is_silent():
    for device_class in ("B", "C"):
        before, now = replace(BEFORE, device_class=device_class), snapshot(device_class=device_class)
        assert discarded_unsent(DiscardReason.TOO_LARGE, before, now)
        assert not discarded_unsent(DiscardReason.TOO_LARGE, before, snapshot(6, device_class=device_class))
        assert not discarded_unsent(DiscardReason.EXPIRED, before, now)
        assert not discarded_unsent(DiscardReason.STALE_COUNTER, before, now)


# When the windows have ended


def test_what_is_still_queued_and_unscheduled_can_only_leave_with_the_next_uplink():
    assert may_settle(WITHIN)
    assert settled(WITHIN, KNOWN, ITEM, NOW) == BEFORE
    later = settled(WITHIN, replace(KNOWN, next_up=9), ITEM, snapshot(9))
    assert discarded_unsent(DiscardReason.TOO_LARGE, later, snapshot(10))
    assert not discarded_unsent(DiscardReason.TOO_LARGE, later, snapshot(11))
    assert settled(WITHIN, replace(KNOWN, open_for=1.0), ITEM, NOW) is None
    assert settled(WITHIN, KNOWN, replace(ITEM, f_cnt_down=4), NOW) is None
    for before in (BEFORE, replace(WITHIN, counting=False), replace(WITHIN, device_class="C")):
        assert not may_settle(before), before


def test_the_windows_of_an_uplink_are_over_when_rx2_has_opened():
    learned, profile = DeviceNote(rx_delay=5.0), Profile(rx1_delay=3, known=True)
    assert in_flight(learned, profile) == 6.0
    assert in_flight(learned, replace(profile, rx1_delay=7)) == 8.0  # the device may agree to it any time
    assert in_flight(DeviceNote(), profile) == in_flight(learned, Profile()) == LONGEST == 16.0
