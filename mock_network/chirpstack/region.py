"""Radio parameters of a region as the network server applies them: channels, data rates, windows and payload sizes."""

from dataclasses import dataclass, field

from chirpstack_api import common

REQUIRED_SNR = {5: -2.5, 6: -5.0, 7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
"""Demodulation floor in dB by spreading factor (RP002-1.0.4 §2.1.6 and SX1276 data sheet)."""


@dataclass(frozen=True, slots=True)
class DataRate:
    """A LoRa data rate: spreading factor and bandwidth in Hz."""

    spreading_factor: int
    bandwidth: int = 125_000


@dataclass(frozen=True, slots=True)
class Region:
    """One region's plan. Frequencies in Hz; sizes are N, the largest FRMPayload of a frame without FOpts."""

    id: str
    common_name: common.Region
    up: dict[int, DataRate]
    down: dict[int, DataRate]
    max_payload: dict[int, int]
    uplink_channels: tuple[int, ...]
    rx2_frequency: int
    rx2_dr: int
    other_payload: tuple[tuple[frozenset[int], frozenset[int], dict[int, int]], ...] = ()  # MAC versions, revisions
    cf_list: tuple[int, ...] = ()
    rx1_channels: tuple[int, ...] = ()
    rx1_dr_table: dict[int, tuple[int, ...]] = field(default_factory=dict)
    wide_uplink_channels: tuple[int, ...] = ()
    ping_slot_frequency: int = 0
    tx_power: int = 16
    strong_bands: tuple[tuple[int, int, int], ...] = ()

    def uplink_dr(self, spreading_factor: int, bandwidth: int) -> int | None:
        """Return the uplink data rate of this modulation, None when the region has none."""
        wanted = DataRate(spreading_factor, bandwidth)
        return next((number for number, rate in self.up.items() if rate == wanted), None)

    def uplink_channel(self, frequency: int, dr: int) -> int | None:
        """Return the index of the uplink channel, None when the region has no such channel for this data rate."""
        narrow = (*self.uplink_channels, *self.cf_list)
        if self.up[dr].bandwidth == 500_000:  # noqa: PLR2004 - the wide channels of US915 and AU915
            if frequency in self.wide_uplink_channels:
                return len(narrow) + self.wide_uplink_channels.index(frequency)
            return None
        return narrow.index(frequency) if frequency in narrow else None

    def rx1_dr(self, uplink_dr: int, offset: int) -> int:
        """Return the RX1 data rate that answers an uplink (RP002 §2 "RX1DROffset")."""
        if self.rx1_dr_table:
            row = self.rx1_dr_table[uplink_dr]
            return row[min(offset, len(row) - 1)]
        return max(uplink_dr - offset, 0)

    def rx1_frequency(self, frequency: int, channel: int) -> int:
        """Return the RX1 frequency that answers an uplink."""
        return self.rx1_channels[channel % len(self.rx1_channels)] if self.rx1_channels else frequency

    def max_payload_size(self, dr: int, mac_version: int, reg_params_revision: int) -> int:
        """Return N for a downlink data rate, as ChirpStack's tables have it."""
        for versions, revisions, sizes in self.other_payload:
            if mac_version in versions and reg_params_revision in revisions and dr in sizes:
                return sizes[dr]
        return self.max_payload[dr]

    def eirp(self, frequency: int) -> int:
        """Return the power in dBm the server asks the gateway for."""
        for low, high, power in self.strong_bands:
            if low <= frequency < high:
                return power
        return self.tx_power

    def ping_frequency(self) -> int:
        """Return the class B ping slot frequency."""
        return self.ping_slot_frequency or self.rx2_frequency


_REVISIONS = frozenset(common.RegParamsRevision.values())
_AFTER_RP002_1_0_0 = _REVISIONS - {common.RP002_1_0_0}
_AFTER_RP002_1_0_1 = _AFTER_RP002_1_0_0 - {common.RP002_1_0_1}
_EARLY_OR_1_0_4 = frozenset({common.LORAWAN_1_0_0, common.LORAWAN_1_0_1, common.LORAWAN_1_0_4})

_SLOW_TO_FAST = {number: DataRate(12 - number) for number in range(6)}
_EU_DOWN = {**_SLOW_TO_FAST, 6: DataRate(7, 250_000)}

EU868 = Region(
    id="eu868",
    common_name=common.EU868,
    up=_EU_DOWN,
    down=_EU_DOWN,
    max_payload={0: 51, 1: 51, 2: 51, 3: 115, 4: 242, 5: 242, 6: 242},
    other_payload=((frozenset({common.LORAWAN_1_0_4}), _AFTER_RP002_1_0_1, {4: 222}),),
    uplink_channels=(868_100_000, 868_300_000, 868_500_000),
    cf_list=(867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000),
    rx2_frequency=869_525_000,
    rx2_dr=0,
    strong_bands=((869_400_000, 869_650_000, 29),),
)

AS923 = Region(
    id="as923",
    common_name=common.AS923,
    up=_EU_DOWN,
    down=_EU_DOWN,
    max_payload={0: 51, 1: 51, 2: 51, 3: 115, 4: 242, 5: 242, 6: 242},
    other_payload=((_EARLY_OR_1_0_4, _AFTER_RP002_1_0_0, {2: 115}),),
    uplink_channels=(923_200_000, 923_400_000),
    rx2_frequency=923_200_000,
    rx2_dr=2,
    ping_slot_frequency=923_400_000,
)

US915 = Region(
    id="us915",
    common_name=common.US915,
    up={0: DataRate(10), 1: DataRate(9), 2: DataRate(8), 3: DataRate(7), 4: DataRate(8, 500_000)},
    down={number: DataRate(20 - number, 500_000) for number in range(8, 14)},
    max_payload={8: 53, 9: 129, 10: 242, 11: 242, 12: 242, 13: 242},
    uplink_channels=tuple(902_300_000 + 200_000 * index for index in range(64)),
    wide_uplink_channels=tuple(903_000_000 + 1_600_000 * index for index in range(8)),
    rx1_channels=tuple(923_300_000 + 600_000 * index for index in range(8)),
    rx1_dr_table={0: (10, 9, 8, 8), 1: (11, 10, 9, 8), 2: (12, 11, 10, 9), 3: (13, 12, 11, 10), 4: (13, 13, 12, 11)},
    rx2_frequency=923_300_000,
    rx2_dr=8,
    tx_power=26,
)

REGIONS = {region.id: region for region in (EU868, US915, AS923)}
"""The regions this emulator knows, by the id that topics and configurations use."""
