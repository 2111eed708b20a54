"""Decides whether a queued downlink can have been transmitted: what the network server's frame counters prove.

A network server transmits to a class A device only in the two receive windows after an uplink, and to class B and C at
any time. When it schedules a downlink, the downlink gets a frame counter, and stays in the queue until a gateway has
reported the transmission: if a gateway stays silent, a transmitted downlink is still in the queue. A frame counter of
0 alone proves nothing: an item that was never scheduled has it, and so does the first downlink of a session.

Nothing here depends on the network server's clock, which may differ from ours, nor on the arrival of an event: uplinks
are counted by the frame counter that the network server expects next.
"""

import msgspec

from bindings.lorawan.network_events import DiscardReason
from bindings.lorawan.notes import DeviceNote, Profile, WhenQueued
from bindings.lorawan.provider import DeviceSnapshot, QueuedItem

RX2_AFTER_RX1 = 1.0  # seconds (TS001-1.0.4 §3.3.2)
LONGEST = 15.0 + RX2_AFTER_RX1  # seconds from an uplink until RX2 opens: RxDelay is 15 s at most (§5.7)


class DeviceKnowledge(msgspec.Struct, frozen=True):
    """What this process knows of a device at one moment."""

    dev_addr: str  # its session
    next_up: int  # frame counter expected of its next uplink
    counting: bool  # a downlink of the session was transmitted
    open_for: float  # seconds in which a frame may still reach it after the last uplink; 0 or less: none


def in_flight(record: DeviceNote, profile: Profile) -> float:
    """Return for how many seconds after an uplink a frame may reach a class A device: until its RX2 opens.

    A gateway refuses a later command as too late. The delay is learned from transmissions; a network server
    raises it to that of the device profile after the device has agreed.
    """
    if not record.rx_delay or not profile.known:
        return LONGEST
    return max(record.rx_delay, profile.rx1_delay) + RX2_AFTER_RX1


def was_scheduled(item: QueuedItem) -> bool:
    """Return whether an item in the queue was certainly sent to a gateway at least once."""
    return item.pending or (item.f_cnt_down > 0 and not item.encrypted)


def kept_back(
    item: QueuedItem, before: WhenQueued | None, known: DeviceKnowledge, first: DeviceSnapshot, second: DeviceSnapshot
) -> bool:
    """Return whether an item certainly was not transmitted.

    The order must be: `known` was recorded, the queue was read, `first` was read, the queue was flushed (or the item
    had expired), `second` was read. `before` is None if it was not recorded when the item was queued.
    """
    if was_scheduled(item) or not _nothing_between(first, second):
        return False
    if first.server_record.last_seen_at is None:
        return True  # no window was ever open
    if not _is_last_heard(known, first):
        return False
    if before is not None and before.quiet and before.device_class == "A" and _uplinks_since(before, first) == 0:
        return True
    if item.encrypted or not _counts(before, known, first):
        return False  # the counter of the item proves nothing
    return known.open_for <= 0


def removed_unsent(before: WhenQueued | None, now: DeviceSnapshot) -> bool:
    """Return whether an item that is no longer in the queue was certainly removed without a transmission.

    That is certain if no uplink came since it was queued: somebody else flushed the queue.
    """
    return before is not None and before.quiet and _is_class_a(before, now) and _uplinks_since(before, now) == 0


def discarded_unsent(why: DiscardReason, before: WhenQueued | None, now: DeviceSnapshot) -> bool:
    """Return whether an item that the network server discarded was certainly never transmitted before.

    An item is discarded at an opportunity to transmit. For class A that is the window of an uplink: it must be the
    first one since the item was queued, else an earlier one may have transmitted it. For class B and C only the size
    proves something: while the device is silent its limit does not change, so that the first opportunity was also the
    last.
    """
    if before is None or not before.quiet:
        return False
    uplinks = _uplinks_since(before, now)
    if _is_class_a(before, now):
        return uplinks is not None and uplinks <= 1
    return why is DiscardReason.TOO_LARGE and uplinks == 0


def may_settle(before: WhenQueued) -> bool:
    """Return whether `settled` can find out more than is known already."""
    return before.counting and not before.quiet and before.device_class == "A"


def settled(before: WhenQueued, known: DeviceKnowledge, item: QueuedItem, now: DeviceSnapshot) -> WhenQueued | None:
    """Return what is known of a queued item, if certainly the next uplink is the first that can transmit it.

    The order must be: `known` was recorded, `now` was read, the queue was read. None: unknown.
    """
    if not kept_back(item, before, known, now, now):
        return None
    next_up = now.session.f_cnt_up if now.session is not None else 0
    return WhenQueued(known.dev_addr, next_up, True, known.counting, before.device_class)


def _is_class_a(before: WhenQueued, now: DeviceSnapshot) -> bool:
    return before.device_class == now.server_record.device_class == "A"


def _nothing_between(first: DeviceSnapshot, second: DeviceSnapshot) -> bool:
    """Return whether no receive window was open between two snapshots."""
    if first.server_record.device_class != "A" or second.server_record.device_class != "A":
        return False
    return first.session == second.session and first.server_record.last_seen_at == second.server_record.last_seen_at


def _is_last_heard(known: DeviceKnowledge, snapshot: DeviceSnapshot) -> bool:
    """Return whether the last uplink that the network server accepted is the last one that the bridge got.

    With skip_fcnt_check the counter may be reset at any time, and proves nothing.
    """
    session = snapshot.session
    if session is None or snapshot.server_record.skip_f_cnt_check:
        return False
    return session.dev_addr == known.dev_addr and session.f_cnt_up == known.next_up


def _uplinks_since(before: WhenQueued, snapshot: DeviceSnapshot) -> int | None:
    """Return how many uplinks can have been accepted since an item was queued, None if unknown."""
    session = snapshot.session
    if session is None or snapshot.server_record.skip_f_cnt_check or session.dev_addr != before.dev_addr:
        return None
    uplinks = session.f_cnt_up - before.next_up
    return uplinks if uplinks >= 0 else None


def _counts(before: WhenQueued | None, known: DeviceKnowledge, snapshot: DeviceSnapshot) -> bool:
    """Return whether the session's first downlink was transmitted before the item was queued: 0 means unscheduled."""
    session = snapshot.session
    if session is None or session.f_cnt_down == 0 or session.dev_addr != known.dev_addr:
        return False
    if before is None:
        return known.counting
    return before.counting and before.dev_addr == session.dev_addr
