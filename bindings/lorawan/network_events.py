"""Events of a LoRaWAN network server about a device, the same for all products: plain values.

Times are wall-clock seconds of the network server, or of a gateway: 0 if unknown. Events come in any order,
twice or late.
"""

from enum import Enum

import msgspec

from bindings.lorawan.app_s_key import NO_ENVELOPE, Envelope


class NetworkEvent(msgspec.Struct, frozen=True, gc=False):
    """Base of all events. `device` is canonical; `device_class` is A, B or C; `profile` is a device profile's id."""

    device: str
    time: float
    device_class: str
    profile: str


class DataUplink(NetworkEvent, frozen=True, gc=False):
    """A data uplink. `f_port` 0 without data: the device only opened its receive windows.

    `sealed`: the network server cannot decrypt `data`; `app_s_key` is what it knows of the key.
    """

    deduplication_id: str
    dev_addr: str
    f_cnt: int
    f_port: int
    dr: int
    data: bytes
    sealed: bool
    region_config: str
    frequency: int = 0  # Hz; 0: unknown
    app_s_key: Envelope = NO_ENVELOPE


class Join(NetworkEvent, frozen=True, gc=False):
    """The device has a new session. `sealed` and `app_s_key` as of its uplinks."""

    dev_addr: str
    sealed: bool = False
    app_s_key: Envelope = NO_ENVELOPE


class TxAck(NetworkEvent, frozen=True, gc=False):
    """A gateway has scheduled the downlink of this queue item.

    `delay`: seconds from the uplink to the receive window, 0 if it was not sent in one (class B, C). `immediately`:
    it was sent in RX2 immediately (class C). Frequency and bandwidth are in Hz, 0 if unknown or not LoRa modulation.
    """

    item: str
    delay: float = 0.0
    immediately: bool = False
    frequency: int = 0
    spreading_factor: int = 0
    bandwidth: int = 0


class Ack(NetworkEvent, frozen=True, gc=False):
    """The device acknowledged a confirmed downlink, or did not."""

    item: str
    acknowledged: bool


class DiscardReason(Enum):
    """Why a network server discarded a queue item."""

    EXPIRED = "expired"
    TOO_LARGE = "too large"
    STALE_COUNTER = "stale counter"  # encrypted for a frame counter that has passed


class Discarded(NetworkEvent, frozen=True, gc=False):
    """The network server removed a queue item. `fits`: the bytes that would have fit, 0 if unknown."""

    item: str
    why: DiscardReason
    text: str
    fits: int = 0


class CounterReset(NetworkEvent, frozen=True, gc=False):
    """An uplink was refused because its frame counter went back: the device lost its counters."""

    text: str


class Notice(NetworkEvent, frozen=True, gc=False):
    """A notice for people only. `code` has few values."""

    code: str
    text: str


class UnusedEvent(NetworkEvent, frozen=True, gc=False):
    """An event that this binding does not use: status, location, and events of later versions."""
