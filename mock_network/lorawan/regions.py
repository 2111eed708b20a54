"""Regional parameters (RP002): EU868 in full, of US915 what a device on all 72 channels needs.

Payload limits are N, the greatest FRMPayload with empty FOpts, without repeater; a byte of FOpts costs one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mock_network.lorawan.radio import DataRate, Fsk, LoRa

KHZ = 1000


@dataclass(frozen=True, slots=True)
class Channel:
    """An uplink channel: Hz, data rate indices, and where RX1 follows if not by the region's rule."""

    frequency: int
    min_data_rate: int
    max_data_rate: int
    rx1_frequency: int | None = None


@dataclass(frozen=True, slots=True)
class DutyBand:
    """A band with a limit on the share of time that one sender may be on air."""

    low: int  # Hz
    high: int
    share: float  # of the time


@dataclass(frozen=True, slots=True)
class Region:
    """One region; indices are those of its data rate table."""

    name: str
    data_rates: Mapping[int, DataRate]
    uplink_limits: Mapping[int, int]  # data rate index -> N
    downlink_limits: Mapping[int, int]
    channels: tuple[Channel, ...]  # those every device starts with
    dynamic: bool  # channels may be added (CFList of frequencies, NewChannelReq)
    join_data_rate: int  # the fastest to join with
    rx2_frequency: int
    rx2_data_rate: int
    max_rx1_offset: int
    max_eirp: int  # dBm
    max_tx_power_index: int
    duty_bands: tuple[DutyBand, ...]
    band: tuple[int, int]  # Hz, where sending is allowed at all
    max_channels: int
    ping_frequency: int  # class B; 0: by DevAddr and beacon time
    ping_data_rate: int

    def rx1(self, channel: int, frequency: int, data_rate: int, offset: int) -> tuple[int, int]:
        """Return frequency and data rate index of RX1 after an uplink on `channel`."""
        if self.dynamic:
            return frequency, max(data_rate - offset, 0)
        down = min(data_rate + 10, 13)
        return self.downlink_frequency(channel), max(down - offset, 8)

    def downlink_frequency(self, channel: int) -> int:
        """Return the RX1 frequency of a channel in a region with fixed channels."""
        return US915_DOWN_FIRST + US915_DOWN_STEP * (channel % 8)

    def index(self, data_rate: DataRate, *, uplink: bool) -> int | None:
        """Return the index of a modulation, None if the region does not use it in this direction."""
        limits = self.uplink_limits if uplink else self.downlink_limits
        return next((i for i, known in self.data_rates.items() if known == data_rate and i in limits), None)

    def duty_share(self, frequency: int) -> float:
        """Return the share of time one sender may use at a frequency; 1 where there is no limit."""
        if not self.duty_bands:
            return 1.0
        return next((b.share for b in self.duty_bands if b.low <= frequency < b.high), 0.001)

    def duty_band(self, frequency: int) -> int:
        """Return an index that frequencies of one band share; -1 outside of all."""
        return next((i for i, b in enumerate(self.duty_bands) if b.low <= frequency < b.high), -1)

    def tx_power(self, index: int) -> int:
        """Return dBm EIRP of a TXPower index."""
        return self.max_eirp - 2 * index

    def channel_mask(self, enabled: frozenset[int], defined: frozenset[int], mask: int, control: int) -> frozenset[int]:
        """Return the channels that are on after one ChMask of a LinkADRReq.

        Raises ValueError if it names a channel that is not defined, or the control is unknown: the device refuses.
        """
        bits = frozenset(i for i in range(16) if mask >> i & 1)
        if self.dynamic:
            if control == 6:  # noqa: PLR2004  (all defined channels on, RP002 §2.4.5)
                return defined
            if control != 0 or not bits <= defined:
                raise ValueError(f"ChMask 0x{mask:04x} with ChMaskCntl {control}")
            return bits
        return _us915_mask(enabled, bits, control)


def _us915_mask(enabled: frozenset[int], bits: frozenset[int], control: int) -> frozenset[int]:
    wide = frozenset(64 + i for i in bits if i < US915_WIDE)
    if control in range(4):
        group = range(16 * control, 16 * control + 16)
        return enabled - frozenset(group) | frozenset(16 * control + i for i in bits)
    if control == 4:  # noqa: PLR2004  (RP002 §2.5.5: the 500 kHz channels)
        return frozenset(c for c in enabled if c < US915_NARROW) | wide
    if control == 5:  # noqa: PLR2004  (each bit: a bank of eight and its 500 kHz channel)
        banks = [i for i in bits if i < US915_WIDE]
        return frozenset(8 * b + i for b in banks for i in range(8)) | frozenset(64 + b for b in banks)
    if control in (6, 7):
        return (frozenset(range(US915_NARROW)) if control == 6 else frozenset()) | wide  # noqa: PLR2004
    raise ValueError(f"ChMaskCntl {control}")


EU868 = Region(
    name="EU868",
    data_rates={
        **{i: LoRa(12 - i, 125 * KHZ) for i in range(6)},
        6: LoRa(7, 250 * KHZ),
        7: Fsk(50 * KHZ),
    },
    uplink_limits={0: 51, 1: 51, 2: 51, 3: 115, 4: 242, 5: 242, 6: 242, 7: 242},
    downlink_limits={0: 51, 1: 51, 2: 51, 3: 115, 4: 242, 5: 242, 6: 242, 7: 242},
    channels=tuple(Channel(f * KHZ, 0, 5) for f in (868_100, 868_300, 868_500)),
    dynamic=True,
    join_data_rate=5,
    rx2_frequency=869_525 * KHZ,
    rx2_data_rate=0,
    max_rx1_offset=5,
    max_eirp=16,
    max_tx_power_index=7,
    duty_bands=(  # ETSI EN 300 220
        DutyBand(863_000 * KHZ, 865_000 * KHZ, 0.001),
        DutyBand(865_000 * KHZ, 868_000 * KHZ, 0.01),
        DutyBand(868_000 * KHZ, 868_600 * KHZ, 0.01),
        DutyBand(868_700 * KHZ, 869_200 * KHZ, 0.001),
        DutyBand(869_400 * KHZ, 869_650 * KHZ, 0.1),
        DutyBand(869_700 * KHZ, 870_000 * KHZ, 0.01),
    ),
    band=(863_000 * KHZ, 870_000 * KHZ),
    max_channels=16,
    ping_frequency=869_525 * KHZ,
    ping_data_rate=3,
)

EU868_CF_LIST = tuple(f * KHZ for f in (867_100, 867_300, 867_500, 867_700, 867_900))  # ChirpStack's extra channels

US915_NARROW = 64  # channels of 125 kHz, numbers 0..63
US915_WIDE = 8  # channels of 500 kHz, numbers 64..71
US915_DOWN_FIRST = 923_300 * KHZ
US915_DOWN_STEP = 600 * KHZ

US915 = Region(
    name="US915",
    data_rates={
        **{i: LoRa(10 - i, 125 * KHZ) for i in range(4)},
        4: LoRa(8, 500 * KHZ),
        **{8 + i: LoRa(12 - i, 500 * KHZ) for i in range(6)},
    },
    uplink_limits={0: 11, 1: 53, 2: 125, 3: 242, 4: 242},
    downlink_limits={8: 53, 9: 129, 10: 242, 11: 242, 12: 242, 13: 242},
    channels=(
        *(Channel((902_300 + 200 * i) * KHZ, 0, 3) for i in range(US915_NARROW)),
        *(Channel((903_000 + 1600 * i) * KHZ, 4, 4) for i in range(US915_WIDE)),
    ),
    dynamic=False,
    join_data_rate=0,
    rx2_frequency=US915_DOWN_FIRST,
    rx2_data_rate=8,
    max_rx1_offset=3,
    max_eirp=30,
    max_tx_power_index=14,
    duty_bands=(),
    band=(902_000 * KHZ, 928_000 * KHZ),
    max_channels=US915_NARROW + US915_WIDE,
    ping_frequency=0,
    ping_data_rate=8,
)

REGIONS = {region.name: region for region in (EU868, US915)}


def pack_cf_list(frequencies: tuple[int, ...]) -> bytes:
    """Build the CFList of type 0 (frequencies), 16 bytes, of at most five channels."""
    packed = b"".join((f // 100).to_bytes(3, "little") for f in frequencies)
    return packed.ljust(15, b"\0") + b"\0"


def unpack_cf_list(cf_list: bytes) -> tuple[int, ...] | None:
    """Read a CFList of type 0; None for another type. A frequency 0 means: not used."""
    if len(cf_list) != 16 or cf_list[15] != 0:  # noqa: PLR2004  (TS001 §6.2.3)
        return None
    return tuple(100 * int.from_bytes(cf_list[i : i + 3], "little") for i in range(0, 15, 3))


def unpack_cf_list_mask(cf_list: bytes) -> frozenset[int] | None:
    """Read a CFList of type 1 (channel masks of fixed channels); None for another type."""
    if len(cf_list) != 16 or cf_list[15] != 1:  # noqa: PLR2004
        return None
    bits = int.from_bytes(cf_list[:10], "little")
    return frozenset(i for i in range(US915_NARROW + US915_WIDE) if bits >> i & 1)
