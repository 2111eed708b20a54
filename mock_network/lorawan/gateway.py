"""One gateway: it stamps received frames and schedules downlinks, or refuses them with a status. No I/O.

Rules and margins follow the just-in-time queue of common packet forwarders: a command must come a little before its
time, must not overlap another, and not lie too far ahead.
"""

import random
from collections import deque
from dataclasses import dataclass, field

from mock_network.lorawan.airtime import time_on_air
from mock_network.lorawan.class_b import BEACON_PERIOD, BEACON_RESERVED, gps_time, wall_time
from mock_network.lorawan.radio import (
    Delay,
    DownlinkFrame,
    DownlinkItem,
    GpsEpoch,
    Immediately,
    TxAck,
    TxStatus,
    UplinkFrame,
)
from mock_network.lorawan.regions import REGIONS, Region
from mock_network.lorawan.transmission import DutyCycle, Transmission

LEAD = 0.035  # seconds before its start in which a frame can no longer be programmed
MAX_ADVANCE = 512.0  # seconds ahead that a frame may be scheduled
QUEUE = 32  # frames
GAP = 0.001  # seconds between two frames
COUNTER = 1 << 32  # the concentrator's microsecond counter wraps after 71.6 minutes
BEACON_GUARD = 3.0  # seconds before a beacon without other frames (TS001 §15)


class GatewayConfigError(ValueError):
    """An invalid gateway description."""


@dataclass(slots=True)
class GatewayFaults:
    """What goes wrong, changed at run time. Probabilities are 0..1, each used per frame or command."""

    offline: bool = False  # receives nothing, accepts no command, sends nothing
    late: float = 0.0  # seconds that a command takes on its way, on top of the latency
    lost_tx_ack: float = 0.0  # probability that a TxAck never arrives; the frame is sent nevertheless
    next_statuses: deque[TxStatus] = field(default_factory=deque)  # refuse the next commands with these, in order
    refusal: float = 0.0  # probability that a command is refused with `refusal_status`
    refusal_status: TxStatus = TxStatus.COLLISION_PACKET


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """One gateway. Times are seconds."""

    gateway_id: str  # 16 lower-case hex digits
    region: Region = REGIONS["EU868"]
    max_power: int = 29  # dBm EIRP
    gps: bool = True  # without: no class B
    beacons: bool = False  # keep the beacon windows free
    duty_cycle: bool = False  # refuse what breaks the region's limits
    latency: float = 0.005  # to the network server, one way

    def __post_init__(self) -> None:
        """Check the id. Raises GatewayConfigError."""
        try:
            right = len(bytes.fromhex(self.gateway_id)) == 8  # noqa: PLR2004  (an EUI-64)
        except ValueError:
            right = False
        if not right or self.gateway_id != self.gateway_id.lower():
            raise GatewayConfigError(f"gateway_id {self.gateway_id!r}: 16 lower-case hex digits")


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A frame that will be, or was, on air."""

    item: DownlinkItem
    start: float
    end: float


class Gateway:
    """One gateway; the present time is passed in."""

    def __init__(self, config: GatewayConfig, rng: random.Random, now: float) -> None:
        self.config = config
        self.faults = GatewayFaults()
        self.frequencies: frozenset[int] = frozenset()  # Hz it listens on, as configured; none: all of the region
        self._rng = rng
        self._booted = now - rng.uniform(0, COUNTER / 1e6)
        self._scheduled: list[Scheduled] = []
        self._duty = DutyCycle(config.region)
        self.received = 0
        self.sent = 0

    def hears(self, tx: Transmission) -> bool:
        """Return whether it can have heard a frame: it listens there, and did not send meanwhile."""
        if self.faults.offline or (self.frequencies and tx.frequency not in self.frequencies):
            return False
        return not any(s.start < tx.end and tx.start < s.end for s in self._scheduled)

    def receive(self, tx: Transmission, *, rssi: int, snr: float) -> UplinkFrame:
        """Stamp a frame whose last symbol came at `tx.end`."""
        self.received += 1
        counter = round((tx.end - self._booted) * 1e6) % COUNTER
        return UplinkFrame(
            phy_payload=tx.phy_payload,
            frequency=tx.frequency,
            data_rate=tx.data_rate,
            gateway_id=self.config.gateway_id,
            uplink_id=self._rng.randrange(1 << 32),
            rssi=rssi,
            snr=snr,
            context=counter.to_bytes(4, "big"),
            received_at=tx.end,
        )

    def command(self, frame: DownlinkFrame, now: float) -> tuple[TxAck, Scheduled | None]:
        """Take the first item that can be sent; the ack tells about each up to there."""
        self._scheduled = [s for s in self._scheduled if s.end > now - 10]
        statuses = [TxStatus.IGNORED] * len(frame.items)
        forced = self._forced()
        scheduled = None
        for i, item in enumerate(frame.items):
            start = self._start(item, now)
            result = forced if forced is not None else self._check(item, start, now)
            statuses[i] = result
            if result is TxStatus.OK and isinstance(start, float):
                scheduled = Scheduled(item, start, start + _airtime(item))
                self._scheduled.append(scheduled)
                self._duty.sent(item.frequency, scheduled.end, _airtime(item))
                self.sent += 1
                break
        return TxAck(self.config.gateway_id, frame.downlink_id, tuple(statuses)), scheduled

    def _forced(self) -> TxStatus | None:
        faults = self.faults
        if faults.next_statuses:
            status = faults.next_statuses.popleft()
            return None if status is TxStatus.OK else status
        if faults.refusal and self._rng.random() < faults.refusal:
            return faults.refusal_status
        return None

    def _start(self, item: DownlinkItem, now: float) -> float | TxStatus:
        """Return the time at which an item must begin, or why there is none."""
        match item.timing:
            case Immediately():
                return self._first_gap(now + LEAD, _airtime(item))
            case Delay(seconds):
                if len(item.context) != 4:  # noqa: PLR2004  (the counter, as `receive` gave it)
                    return TxStatus.INTERNAL_ERROR
                counter = int.from_bytes(item.context, "big")
                elapsed = round((now - self._booted) * 1e6)
                return self._booted + (elapsed - (elapsed - counter) % COUNTER) / 1e6 + seconds
            case GpsEpoch(seconds):
                return wall_time(seconds) if self.config.gps else TxStatus.GPS_UNLOCKED

    def _check(self, item: DownlinkItem, start: float | TxStatus, now: float) -> TxStatus:
        if isinstance(start, TxStatus):
            return start
        low, high = self.config.region.band
        end = start + _airtime(item)
        checks = (
            (start < now + LEAD - 1e-6, TxStatus.TOO_LATE),
            (start > now + MAX_ADVANCE, TxStatus.TOO_EARLY),
            (not low <= item.frequency < high, TxStatus.TX_FREQ),
            (item.power > self.config.max_power, TxStatus.TX_POWER),
            (sum(s.start > now for s in self._scheduled) >= QUEUE, TxStatus.QUEUE_FULL),
            (any(s.start < end + GAP and start < s.end + GAP for s in self._scheduled), TxStatus.COLLISION_PACKET),
            (self.config.beacons and _meets_beacon(start, end), TxStatus.COLLISION_BEACON),
            (self.config.duty_cycle and self._duty.free_at(item.frequency) > start, TxStatus.DUTY_CYCLE_OVERFLOW),
        )
        return next((status for wrong, status in checks if wrong), TxStatus.OK)

    def _first_gap(self, start: float, airtime: float) -> float:
        for other in sorted(self._scheduled, key=lambda s: s.start):
            if other.start < start + airtime + GAP and start < other.end + GAP:
                start = other.end + 2 * GAP
        return start


def _airtime(item: DownlinkItem) -> float:
    return time_on_air(len(item.phy_payload), item.data_rate, uplink=False)


def _meets_beacon(start: float, end: float) -> bool:
    since = gps_time(start) % BEACON_PERIOD
    return since < BEACON_RESERVED or since + (end - start) > BEACON_PERIOD - BEACON_GUARD
