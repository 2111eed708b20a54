"""Payload sizes and RX1 data rates of each region, by MAC version and revision of the regional parameters.

N, the largest FRMPayload of a frame without FOpts: LoRaWAN Regional Parameters 1.0.2 rev. B, 1.0.3 rev. A, 1.1 rev. A
and RP002-1.0.0 to 1.0.5, §2 of each region. Where ChirpStack and the specification differ, the table has the smaller
number: a payload that is too large is discarded, a small one is sent.
"""

from collections.abc import Mapping
from typing import NamedTuple

REVISIONS = ("A", "B", "RP002_1_0_0", "RP002_1_0_1", "RP002_1_0_2", "RP002_1_0_3", "RP002_1_0_4", "RP002_1_0_5")
_A, _B, _R0, _R1, _R2, _R3, _R4, _R5 = REVISIONS
_AFTER_R0 = frozenset(REVISIONS) - {_R0}
_AFTER_R1 = _AFTER_R0 - {_R1}
_ALL = frozenset(REVISIONS)
_MACS = frozenset(f"LORAWAN_{version}" for version in ("1_0_0", "1_0_1", "1_0_2", "1_0_3", "1_0_4", "1_1_0"))
_104 = frozenset({"LORAWAN_1_0_4"})
_100_104 = frozenset({"LORAWAN_1_0_0", "LORAWAN_1_0_4"})
_EARLY_104 = frozenset({"LORAWAN_1_0_0", "LORAWAN_1_0_1", "LORAWAN_1_0_4"})

LARGEST = 242
LARGEST_REPEATER = 222  # a repeater adds up to 20 bytes of its own

Sizes = Mapping[int, int]  # by data rate


class _Version(NamedTuple):
    """Sizes of a region under some MAC versions and revisions; a later one in a list overrides an earlier one."""

    sizes: Sizes
    repeater: Sizes
    macs: frozenset[str] = _MACS
    revisions: frozenset[str] = _ALL


def _version(
    sizes: Sizes,
    macs: frozenset[str] = _MACS,
    revisions: frozenset[str] = _ALL,
    *,
    repeater: Sizes | None = None,
    most: int = LARGEST_REPEATER,
) -> _Version:
    shrunk = {dr: min(size, most) for dr, size in sizes.items()}
    return _Version(sizes, {**shrunk, **(repeater or {})}, macs, revisions)


def _fast(first: int, last: int, size: int = LARGEST) -> dict[int, int]:
    return dict.fromkeys(range(first, last + 1), size)


_SLOW = {0: 51, 1: 51, 2: 51, 3: 115}
_PLAIN = {**_SLOW, **_fast(4, 7), **_fast(12, 13)}  # EU868, EU433, CN779, IN865, RU864, AS923
_LR_FHSS = {8: 50, 9: 115, 10: 50, 11: 115}  # EU868; only uplinks
_WIDE = {8: 53, 9: 129, **_fast(10, 13), 0: LARGEST, 14: LARGEST}  # US915, AU915
_WIDE_REPEATER = {8: 33, 9: 109}
_WIDE_NEW = {8: 53, 9: 129}
_DWELL = {0: 0, 1: 0, 2: 11, 3: 53, 4: 125, **_fast(5, 7), **_fast(12, 13)}  # 400 ms: AS923, uplinks of AU915

_DOWNLINKS: dict[str, tuple[_Version, ...]] = {
    "EU868": (
        _version(_PLAIN),
        _version({**_PLAIN, 4: 222}, _104, _AFTER_R1),
    ),
    "US915": (
        _version(_WIDE, repeater=_WIDE_REPEATER),
        _version(_WIDE, _104, _AFTER_R1, repeater=_WIDE_NEW),
    ),
    "AU915": (
        _version(_WIDE, repeater=_WIDE_REPEATER),
        _version(_WIDE, _100_104, _AFTER_R1, repeater=_WIDE_NEW),
        _version(
            {**_WIDE, 10: 222}, _MACS - {"LORAWAN_1_0_3", "LORAWAN_1_1_0"}, frozenset({_R0}), repeater=_WIDE_REPEATER
        ),
    ),
    "CN470": (
        _version({**_SLOW, **_fast(4, 5)}),
        _version({**_SLOW, **_fast(4, 5, LARGEST_REPEATER)}, frozenset({"LORAWAN_1_0_1"})),
        _version({0: 0, 1: 23, 2: 86, 3: 184, **_fast(4, 7)}, _100_104, _AFTER_R0),
        _version({0: 0, 1: 23, 2: 86, 3: 184, **_fast(4, 7)}, _100_104, frozenset({_R1}), repeater={3: 164}),
    ),
    "AS923": (
        _version(_PLAIN),
        _version({**_PLAIN, 2: 115}, _EARLY_104, _AFTER_R0),
    ),
    "KR920": (_version({**_SLOW, **_fast(4, 5), **_fast(12, 13)}),),
    "ISM2400": (_version({0: 51, 1: 115, **_fast(2, 7, 240)}, most=220),),
    **dict.fromkeys(("EU433", "CN779", "IN865", "RU864"), (_version(_PLAIN),)),
}
_WITH_DWELL = (_version(_DWELL),)
_UPLINKS: dict[str, Sizes] = {
    "US915": {0: 11, 1: 53, 2: 125, 3: LARGEST, 4: LARGEST, 5: 50, 6: 125, **_fast(7, 8)},
    "AU915": {**_SLOW, **_fast(4, 6), 7: 50, **_fast(9, 10)},
}
_UPLINKS_DWELL: dict[str, Sizes] = {"AU915": {**_DWELL, 7: 50, **_fast(9, 10)}}

_DOWNWARDS = tuple(tuple(max(dr - offset, 0) for offset in range(6)) for dr in range(8))
_UP_TO_7 = tuple((*row, min(dr + 1, 7), min(dr + 2, 7)) for dr, row in enumerate(_DOWNWARDS))
_UP_TO_5 = tuple((*row, min(dr + 1, 5), min(dr + 2, 5)) for dr, row in enumerate(_DOWNWARDS))
_SF6 = {12: (12, 5, 4, 3, 2, 1), 13: (13, 12, 5, 4, 3, 2)}
_SF6_LIFTED = {12: (12, 5, 4, 3, 2, 1, 13, 13), 13: (13, 12, 5, 4, 3, 2, 13, 13)}
_EU_LIKE = {**dict(enumerate(_DOWNWARDS)), **_SF6}
_LIFTED = {**dict(enumerate(_UP_TO_7)), **_SF6_LIFTED}
_RX1: dict[str, Mapping[int, tuple[int, ...]]] = {
    "EU868": {**_EU_LIKE, 8: _DOWNWARDS[1], 9: _DOWNWARDS[2], 10: _DOWNWARDS[1], 11: _DOWNWARDS[2]},
    "US915": {
        0: (10, 9, 8, 8),
        1: (11, 10, 9, 8),
        2: (12, 11, 10, 9),
        3: (13, 12, 11, 10),
        4: (13, 13, 12, 11),
        5: (10, 9, 8, 8),
        6: (11, 10, 9, 8),
        7: (14, 13, 12, 11),
        8: (0, 14, 13, 12),
    },
    "AU915": {
        0: (8, 8, 8, 8, 8, 8),
        1: (9, 8, 8, 8, 8, 8),
        2: (10, 9, 8, 8, 8, 8),
        3: (11, 10, 9, 8, 8, 8),
        4: (12, 11, 10, 9, 8, 8),
        5: (13, 12, 11, 10, 9, 8),
        6: (13, 13, 12, 11, 10, 9),
        7: (9, 8, 8, 8, 8, 8),
        9: (14, 13, 12, 11, 10, 9),
        10: (0, 14, 13, 12, 11, 10),
    },
    "AS923": _LIFTED,
    "IN865": {**_LIFTED, **dict(enumerate(_UP_TO_5[:6])), 7: (7, 6, 5, 4, 3, 2, 7, 7)},
    **dict.fromkeys(("EU433", "CN779", "CN470", "RU864", "KR920", "ISM2400"), _EU_LIKE),
}
_RX2_FREQUENCY = {  # Hz; initial channels of a region
    "EU868": 869_525_000,
    "US915": 923_300_000,
    "AU915": 923_300_000,
    "CN470": 505_300_000,
    "AS923": 923_200_000,
    "AS923_2": 921_400_000,
    "AS923_3": 916_600_000,
    "AS923_4": 917_300_000,
    "KR920": 921_900_000,
    "EU433": 434_665_000,
    "CN779": 786_000_000,
    "IN865": 866_550_000,
    "RU864": 869_100_000,
    "ISM2400": 2_424_000_000,
}
_PAIRED = frozenset({"US915", "AU915", "CN470"})  # downlinks have their own channels
_SLOWEST_DWELL = 2  # AS923 with a dwell time: slower frames take longer


def is_known(region: str) -> bool:
    """Return whether a region has tables; `region` is a name such as EU868 or AS923_2."""
    return _family(region) in _DOWNLINKS


def downlink_sizes(region: str, mac_version: str, revision: str, *, repeater: bool, dwell: bool) -> Sizes:
    """Return N by data rate of downlinks, the smallest one for unknown parts of the version."""
    family = _family(region)
    versions = _WITH_DWELL if dwell and family == "AS923" else _DOWNLINKS[family]
    exact = mac_version in _MACS and revision in _ALL
    fitting = [
        one
        for one in versions
        if (mac_version in one.macs or mac_version not in _MACS) and (revision in one.revisions or revision not in _ALL)
    ]
    tables = [one.repeater if repeater else one.sizes for one in (fitting[-1:] if exact else fitting)]
    return {dr: min(table[dr] for table in tables if dr in table) for table in tables for dr in table}


def uplink_sizes(region: str, mac_version: str, revision: str, *, repeater: bool, dwell: bool) -> Sizes:
    """Return N by data rate of uplinks, the smallest one for unknown parts of the version."""
    found = (_UPLINKS_DWELL if dwell and region in _UPLINKS_DWELL else _UPLINKS).get(region)
    if found is None:
        both_ways = downlink_sizes(region, mac_version, revision, repeater=repeater, dwell=dwell)
        return {**both_ways, **_LR_FHSS} if region == "EU868" else both_ways
    return {dr: min(size, LARGEST_REPEATER) for dr, size in found.items()} if repeater else found


def rx1_data_rates(region: str, uplink_dr: int, *, dwell: bool) -> tuple[int, ...] | None:
    """Return the data rate of RX1 after an uplink, by RX1DROffset from 0 on; None: no such data rate."""
    family = _family(region)
    found = _RX1[family].get(uplink_dr)
    if found is None or not (dwell and family == "AS923"):
        return found
    return tuple(max(dr, _SLOWEST_DWELL) for dr in found)


def data_rate_of(region: str, spreading_factor: int, bandwidth: int) -> int | None:
    """Return the downlink data rate of a LoRa modulation, `bandwidth` in Hz; None: none in this region."""
    family = _family(region)
    if family in ("US915", "AU915"):
        return 20 - spreading_factor if bandwidth == 500_000 and 7 <= spreading_factor <= 12 else None  # noqa: PLR2004
    if family == "ISM2400":
        return 12 - spreading_factor if 5 <= spreading_factor <= 12 else None  # noqa: PLR2004
    if (spreading_factor, bandwidth) == (7, 250_000):
        return 6
    return 12 - spreading_factor if bandwidth == 125_000 and 7 <= spreading_factor <= 12 else None  # noqa: PLR2004


def is_first_window(region: str, uplink: int, downlink: int) -> bool | None:
    """Return whether a frequency in Hz is that of RX1 after an uplink on another; None: it may be RX1's or RX2's."""
    if not uplink or not downlink:
        return None
    if region not in _PAIRED and uplink != downlink:
        return False
    return None if downlink == _RX2_FREQUENCY.get(region) else True


def _family(region: str) -> str:
    return "AS923" if region.startswith("AS923") else region
