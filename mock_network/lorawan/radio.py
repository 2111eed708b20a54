"""The border between the emulated radio side (devices, air, gateways) and a network server in the same process.

    radio side                                  network server
    ----------                                  --------------
    NetworkServer.uplink(UplinkFrame)      ->   once per gateway that heard the frame, when its last symbol is in
    RadioSide.downlink(DownlinkFrame)      <-   what one gateway shall send, alternatives in order of preference
    NetworkServer.tx_ack(TxAck)            ->   the gateway's answer: always one, unless a fault drops it

All three are plain calls that return at once and never raise; the callee keeps what it needs and works later. All are
made in one thread. The answer to a `downlink` is never given within it, so a server may note the id afterwards.

Time is seconds since the epoch as float, on the clock of the process (virtual where the process follows a test clock);
it never goes back. Frequencies are Hz, powers dBm EIRP, RSSI dBm, SNR dB, delays seconds. A gateway id is 16 lower-case
hex digits, as ChirpStack prints it. The records are those of ChirpStack v4's `gw.UplinkFrame`, `gw.DownlinkFrame` and
`gw.DownlinkTxAck`, reduced to what an emulation needs; `gateway_mqtt` translates.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LoRa:
    """A LoRa modulation; code rate is always 4/5."""

    spreading_factor: int  # 7..12 (5, 6 in RP002-1.0.5)
    bandwidth: int  # Hz: 125000, 250000, 500000


@dataclass(frozen=True, slots=True)
class Fsk:
    """An FSK modulation."""

    bitrate: int  # bit/s: 50000


DataRate = LoRa | Fsk


@dataclass(frozen=True, slots=True)
class UplinkFrame:
    """One frame as one gateway heard it. Its duplicates differ in everything from `gateway_id` on."""

    phy_payload: bytes
    frequency: int
    data_rate: DataRate
    gateway_id: str
    uplink_id: int  # of this reception, unique per gateway and process; 32 bits
    rssi: int
    snr: float
    context: bytes  # opaque: hand it back in a Delay downlink that answers this frame
    received_at: float  # end of the frame


@dataclass(frozen=True, slots=True)
class Immediately:
    """Send as soon as the gateway is free: class C."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Send so many seconds after the end of the uplink that the item's `context` came with: class A."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GpsEpoch:
    """Send when so many seconds have passed since the GPS epoch (1980-01-06, no leap seconds): class B."""

    seconds: float


Timing = Immediately | Delay | GpsEpoch


@dataclass(frozen=True, slots=True)
class DownlinkItem:
    """One alternative of a downlink: for example RX1, with RX2 as the next item."""

    phy_payload: bytes
    frequency: int
    data_rate: DataRate
    timing: Timing
    power: int = 14
    context: bytes = b""  # of the uplink that is answered; needed for Delay


@dataclass(frozen=True, slots=True)
class DownlinkFrame:
    """A command to one gateway: send the first of `items` that it can, and only that one."""

    downlink_id: int  # chosen by the network server; 32 bits; returned in the TxAck
    gateway_id: str
    items: tuple[DownlinkItem, ...]


class TxStatus(Enum):
    """A gateway's status of one item; names and numbers of `gw.TxAckStatus`."""

    IGNORED = 0  # an earlier item was taken
    OK = 1  # scheduled; the frame has not left yet, and no device need hear it
    TOO_LATE = 2
    TOO_EARLY = 3
    COLLISION_PACKET = 4
    COLLISION_BEACON = 5
    TX_FREQ = 6
    TX_POWER = 7
    GPS_UNLOCKED = 8
    QUEUE_FULL = 9
    INTERNAL_ERROR = 10
    DUTY_CYCLE_OVERFLOW = 11


@dataclass(frozen=True, slots=True)
class TxAck:
    """The gateway's answer: `statuses[i]` belongs to `items[i]` of the command; at most one is OK."""

    gateway_id: str
    downlink_id: int
    statuses: tuple[TxStatus, ...]


class NetworkServer(Protocol):
    """What the radio side needs of a network server."""

    def uplink(self, frame: UplinkFrame) -> None:
        """Process a frame that a gateway received."""

    def tx_ack(self, ack: TxAck) -> None:
        """Process a gateway's answer to a downlink command. The answer comes before the frame is on air."""


class RadioSide(Protocol):
    """What a network server needs of the radio side."""

    def downlink(self, frame: DownlinkFrame) -> None:
        """Pass a downlink to a gateway; the `TxAck` follows in a separate call, not within this one."""
