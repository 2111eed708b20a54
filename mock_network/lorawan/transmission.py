"""One transmission of a device, the receive windows that follow it, and the device's duty cycle."""

from dataclasses import dataclass, field
from enum import Enum

from mock_network.lorawan.radio import DataRate
from mock_network.lorawan.regions import Region

TOLERANCE = 0.02  # seconds that a downlink may begin before or after the opening of a window and still be heard
WINDOW = 0.2  # seconds until a window in which nothing began is given up; a preamble at SF12 is found sooner


class Window(Enum):
    """Where a device listens."""

    RX1 = "RX1"
    RX2 = "RX2"
    RXC = "RXC"  # class C: RX2's parameters, all the time
    PING = "PING"  # class B


@dataclass(slots=True)
class Transmission:
    """A frame on its way up, and where its answer is expected."""

    phy_payload: bytes
    frequency: int
    data_rate: DataRate
    power: int  # dBm EIRP
    start: float
    end: float
    rx1_open: float
    rx1: tuple[int, DataRate]  # frequency and modulation
    rx2: tuple[int, DataRate]
    join: bool = False
    closes: float = 0.0  # both windows have ended

    def __post_init__(self) -> None:
        self.closes = self.rx1_open + 1 + WINDOW

    @property
    def rx2_open(self) -> float:
        """Return when RX2 opens: RECEIVE_DELAY2 is always one second after RECEIVE_DELAY1 (TS001 §3.3)."""
        return self.rx1_open + 1

    def window(self, frequency: int, data_rate: DataRate, at: float) -> Window | None:
        """Return the window in which a downlink that begins at `at` is heard."""
        if abs(at - self.rx1_open) <= TOLERANCE and self.rx1 == (frequency, data_rate):
            return Window.RX1
        if abs(at - self.rx2_open) <= TOLERANCE and self.rx2 == (frequency, data_rate):
            return Window.RX2
        return None


@dataclass(slots=True)
class DutyCycle:
    """When a sender may send again, by band and over all (DutyCycleReq)."""

    region: Region
    _band_free: dict[int, float] = field(default_factory=dict)
    _free: float = 0.0

    def free_at(self, frequency: int) -> float:
        """Return the time from which a frequency may be used."""
        return max(self._free, self._band_free.get(self.region.duty_band(frequency), 0.0))

    def sent(self, frequency: int, end: float, airtime: float, *, total_exponent: int = 0) -> None:
        """Note a transmission: the band rests so long that its share is kept, and all bands likewise."""
        share = self.region.duty_share(frequency)
        if share < 1:
            self._band_free[self.region.duty_band(frequency)] = end + airtime * (1 / share - 1)
        self._free = end + airtime * ((1 << total_exponent) - 1)
