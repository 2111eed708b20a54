"""Class B: when a device opens its ping slots (TS001 §13)."""

from dataclasses import dataclass

from mock_network.lorawan.crypto import aes
from mock_network.lorawan.regions import US915_DOWN_FIRST, US915_DOWN_STEP

GPS_EPOCH = 315_964_800  # 1980-01-06, as seconds since 1970
LEAP_SECONDS = 18  # GPS is ahead of UTC, since 2017
BEACON_PERIOD = 128  # seconds
BEACON_RESERVED = 2.12  # seconds from the beacon's start to the first slot
SLOT = 0.03  # seconds
SLOTS = 4096  # of a beacon period
HOPPING_CHANNELS = 8  # of US915


def gps_time(wall: float) -> float:
    """Return seconds since the GPS epoch."""
    return wall - GPS_EPOCH + LEAP_SECONDS


def wall_time(gps: float) -> float:
    """Undo `gps_time`."""
    return gps + GPS_EPOCH - LEAP_SECONDS


@dataclass(frozen=True, slots=True)
class PingSlots:
    """The slots of one device; it opens one every 2**periodicity seconds (0..7)."""

    dev_addr: int
    periodicity: int

    def offset(self, beacon: int) -> int:
        """Return the number of the first slot in a beacon period that begins at GPS time `beacon`."""
        block = beacon.to_bytes(4, "little") + self.dev_addr.to_bytes(4, "little") + bytes(8)
        random = aes(bytes(16), block)
        return (random[0] + 256 * random[1]) % self._period

    @property
    def _period(self) -> int:
        return SLOTS // (1 << (7 - self.periodicity))

    def at(self, wall: float, tolerance: float) -> bool:
        """Return whether a slot begins within `tolerance` seconds of `wall`."""
        gps = gps_time(wall)
        beacon = int(gps // BEACON_PERIOD) * BEACON_PERIOD
        since = (gps - beacon - BEACON_RESERVED) / SLOT - self.offset(beacon)
        nearest = max(round(since / self._period), 0) * self._period
        return nearest + self.offset(beacon) < SLOTS and abs(since - nearest) * SLOT <= tolerance

    def hopping_frequency(self, wall: float) -> int:
        """Return the frequency of the slots in a region without one of its own (US915)."""
        beacon = int(gps_time(wall) // BEACON_PERIOD)
        return US915_DOWN_FIRST + US915_DOWN_STEP * ((self.dev_addr + beacon) % HOPPING_CHANNELS)
