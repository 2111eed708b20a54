"""The largest FRMPayload, from region, data rate, class and version (RP002-1.0.4 §2, TS001-1.0.4 §4.3).

ChirpStack deletes an item that is larger than the *first* window of its frame allows, measured without FOpts. With
MAC commands in FOpts a large item has to wait for the next frame, so some room is kept while they are likely. So it is
for uplinks: the device answers such commands in the FOpts of its next frames.
"""

from dataclasses import dataclass

FLOOR = 51  # bytes: the slowest data rate of most regions
FOPTS = 15  # bytes that MAC commands may take of a frame (TS001-1.0.4 §4.3.1.6)
SETTLING_UPLINKS = 3  # after a join the server sends its first MAC commands with these

REVISIONS = ("A", "B", "RP002_1_0_0", "RP002_1_0_1", "RP002_1_0_2", "RP002_1_0_3", "RP002_1_0_4", "RP002_1_0_5")
_NARROW = {0: 51, 1: 51, 2: 51, 3: 115}  # others 242: EU868, EU433, CN779, CN470, KR920, IN865, RU864, AS923
_WIDE = {8: 53, 9: 129}  # US915, AU915; others 242
_WIDE_REPEATER = {8: 33, 9: 109}
_DWELL = {0: 0, 1: 0, 2: 11, 3: 53, 4: 125}  # AS923, others 242; uplinks of AU915 as well
_US915_UPLINK = {0: 11, 1: 53, 2: 125}  # others 242
_LR_FHSS = {8: 50, 9: 115, 10: 50, 11: 115}  # EU868, uplinks only
_LARGEST, _LARGEST_REPEATER = 242, 222
_WIDE_REGIONS = frozenset({"US915", "AU915"})
_US915_RX1 = {
    0: (10, 9, 8, 8),
    1: (11, 10, 9, 8),
    2: (12, 11, 10, 9),
    3: (13, 12, 11, 10),
    4: (13, 13, 12, 11),
    5: (10, 9, 8, 8),
    6: (11, 10, 9, 8),
}
_AU915_RX1 = {
    0: (8, 8, 8, 8, 8, 8),
    1: (9, 8, 8, 8, 8, 8),
    2: (10, 9, 8, 8, 8, 8),
    3: (11, 10, 9, 8, 8, 8),
    4: (12, 11, 10, 9, 8, 8),
    5: (13, 12, 11, 10, 9, 8),
    6: (13, 13, 12, 11, 10, 9),
    7: (9, 8, 8, 8, 8, 8),
}
_LIFTING = {6: -1, 7: -2}  # AS923 and IN865: offsets 6 and 7 make RX1 faster than the uplink
_FASTEST_LIFTED = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a device's radio decides sizes. `region` by its LoRaWAN name: EU868, US915, AS923_2…"""

    region: str = ""
    revision: str = ""
    rx1_dr_offset: int = 0
    rx2_dr: int = 0
    ping_slot_dr: int | None = None
    first_window: str = "rx1"
    repeater: bool = False
    dwell: bool = False


def max_size(plan: Plan, dr: int) -> int:
    """Give N, the largest FRMPayload of a frame without FOpts at a downlink data rate."""
    region = plan.region
    if region in _WIDE_REGIONS:
        table = _WIDE_REPEATER if plan.repeater else _WIDE
        return table.get(dr, _LARGEST_REPEATER if plan.repeater else _LARGEST)
    most = _LARGEST_REPEATER if plan.repeater else _LARGEST
    if region.startswith("AS923"):
        if plan.dwell:
            return _DWELL.get(dr, most)
        if dr == 2 and _at_least(plan, "RP002_1_0_1"):  # noqa: PLR2004  (data rates are numbers)
            return 115
    if region == "EU868" and dr == 4 and _at_least(plan, "RP002_1_0_2"):  # noqa: PLR2004
        return _LARGEST_REPEATER  # what ChirpStack applies; the specification says 242
    return _NARROW.get(dr, most)


def rx1_data_rate(plan: Plan, uplink_dr: int) -> int:
    """Give the data rate of the RX1 window that follows an uplink."""
    offset = plan.rx1_dr_offset
    if plan.region in _WIDE_REGIONS:
        table = _US915_RX1 if plan.region == "US915" else _AU915_RX1
        row = table.get(uplink_dr)
        return 8 if row is None else row[min(offset, len(row) - 1)]
    if plan.region.startswith("AS923") or plan.region == "IN865":
        slowest = 2 if plan.dwell and plan.region.startswith("AS923") else 0
        return min(_FASTEST_LIFTED, max(slowest, uplink_dr - _LIFTING.get(offset, offset)))
    return max(uplink_dr - offset, 0)


def max_downlink(plan: Plan, device_class: str, uplink_dr: int | None, *, settling: bool = False) -> int:
    """Give the bytes that certainly fit the next downlink. `uplink_dr` None: no uplink has been heard yet."""
    slowest = 8 if plan.region in _WIDE_REGIONS else 0
    rx1 = slowest if uplink_dr is None else rx1_data_rate(plan, uplink_dr)
    if not plan.region:
        found = FLOOR
    else:
        windows = [plan.rx2_dr if plan.first_window == "rx2" else rx1]
        if device_class == "C":
            windows.append(plan.rx2_dr)
        elif device_class == "B":
            windows.append(plan.rx2_dr if plan.ping_slot_dr is None else plan.ping_slot_dr)
        found = min(max_size(plan, dr) for dr in windows)
    return max(found - FOPTS, 0) if settling else found


def max_uplink(plan: Plan, uplink_dr: int | None, *, settling: bool = False) -> int:
    """Give the bytes that fit the device's next uplink, if that keeps the last one's data rate (None: none yet)."""
    most = _LARGEST_REPEATER if plan.repeater else _LARGEST
    slow = plan.dwell and (plan.region == "AU915" or plan.region.startswith("AS923"))
    dr = (2 if slow else 0) if uplink_dr is None else uplink_dr
    if not plan.region:
        found = FLOOR
    elif plan.region == "US915":
        found = _US915_UPLINK.get(dr, most)
    elif plan.region == "AU915":
        found = (_DWELL if plan.dwell else _NARROW).get(dr, most)
    elif plan.region == "EU868" and dr in _LR_FHSS:
        found = _LR_FHSS[dr]
    else:
        found = max_size(plan, dr)
    return max(found - FOPTS, 0) if settling else found


def _at_least(plan: Plan, revision: str) -> bool:
    return plan.revision in REVISIONS and REVISIONS.index(plan.revision) >= REVISIONS.index(revision)
