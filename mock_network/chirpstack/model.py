"""Rows of the emulated server. Times are UNIX seconds; keys and EUIs are bytes as printed, a DevAddr is an integer."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from chirpstack_api import api, common
from google.protobuf.message import Message

from mock_network.lorawan.crypto import SessionKeys

Key = TypeVar("Key")
Body = TypeVar("Body", bound=Message)


@dataclass(slots=True, eq=False)
class Row(Generic[Key, Body]):
    """What the rows of all tables have; `message` is the API's form."""

    id: Key
    message: Body
    created_at: float
    updated_at: float


@dataclass(slots=True, eq=False)
class Tenant(Row[UUID, api.Tenant]):
    """A tenant."""


@dataclass(slots=True, eq=False)
class Application(Row[UUID, api.Application]):
    """An application of a tenant, with its HTTP integration if it has one."""

    tenant_id: UUID
    http: api.HttpIntegration | None = None


@dataclass(slots=True, eq=False)
class DeviceProfile(Row[UUID, api.DeviceProfile]):
    """A device profile; the fields that steer the server are read from `message`."""

    tenant_id: UUID

    @property
    def is_1_0(self) -> bool:
        """Return whether devices of this profile speak LoRaWAN 1.0.x."""
        return self.message.mac_version != common.LORAWAN_1_1_0


@dataclass(slots=True, eq=False)
class Gateway(Row[bytes, api.Gateway]):
    """A registered gateway."""

    tenant_id: UUID
    last_seen_at: float | None = None


@dataclass(slots=True)
class DeviceKeys:
    """Root keys and what the join server remembers of past joins."""

    nwk_key: bytes
    app_key: bytes
    gen_app_key: bytes
    created_at: float
    updated_at: float
    dev_nonces: set[tuple[bytes, int]] = field(default_factory=set)
    join_nonce: int = 0


@dataclass(frozen=True, slots=True)
class KeyEnvelope:
    """What the server has of an AppSKey that it cannot read: the key under a KEK, or only a Join Server's id of it."""

    kek_label: str = ""
    aes_key: bytes = b""  # wrapped
    session_key_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Reception:
    """How one gateway heard one uplink: kept for a later downlink."""

    gateway_id: str
    rssi: int
    snr: float
    required_snr: float
    board: int
    antenna: int
    context: bytes


@dataclass(slots=True)
class Session:
    """An activated device's keys, counters and receive-window settings (32-bit counters, delays in seconds)."""

    dev_addr: int
    keys: SessionKeys
    mac_version: int
    reg_params_revision: int = 0
    skip_f_cnt_check: bool = False
    n_f_cnt_down: int = 0
    a_f_cnt_down_1_1: int = 0
    conf_f_cnt: int = 0
    rx1_delay: int = 0
    rx1_dr_offset: int = 0
    rx2_dr: int = 0
    rx2_frequency: int = 0
    dr: int = 0
    ping_slot_nb: int = 0
    ping_slot_dr: int = 0
    ping_slot_frequency: int = 0
    app_s_key: KeyEnvelope | None = None  # then `keys.app_s_key` is empty
    receptions: list[list[Reception]] = field(default_factory=list)
    last_device_status_request: float | None = None
    pending_mac: dict[int, bytes] = field(default_factory=dict)

    @property
    def is_1_0(self) -> bool:
        """Return whether this session follows LoRaWAN 1.0.x."""
        return self.mac_version != common.LORAWAN_1_1_0

    @property
    def a_f_cnt_down(self) -> int:
        """Return the next counter of an application downlink: LoRaWAN 1.0.x has one counter for both kinds."""
        return self.n_f_cnt_down if self.is_1_0 else self.a_f_cnt_down_1_1

    @a_f_cnt_down.setter
    def a_f_cnt_down(self, value: int) -> None:
        if self.is_1_0:
            self.n_f_cnt_down = value
        else:
            self.a_f_cnt_down_1_1 = value


@dataclass(slots=True, eq=False)
class Device(Row[bytes, api.Device]):
    """A device with its activation, class and scheduler state; `f_cnt_up` is the next expected uplink counter."""

    application_id: UUID
    device_profile_id: UUID
    keys: DeviceKeys | None = None
    session: Session | None = None
    f_cnt_up: int = 0
    enabled_class: int = common.CLASS_A
    scheduler_run_after: float = 0.0
    last_seen_at: float | None = None
    margin: int | None = None
    external_power_source: bool = False
    battery_level: float | None = None

    @property
    def dev_eui(self) -> bytes:
        """Return the DevEUI, the key of a device."""
        return self.id

    @property
    def eui(self) -> str:
        """Return the DevEUI as the server prints it: 16 lower-case hexadecimal digits."""
        return self.dev_eui.hex()


@dataclass(slots=True)
class QueueItem:
    """One row of a device's downlink queue; `timeout_after` bounds the wait for a class B or C acknowledgement."""

    id: UUID
    dev_eui: bytes
    created_at: float
    f_port: int
    confirmed: bool
    data: bytes
    is_encrypted: bool = False
    f_cnt_down: int | None = None
    expires_at: float | None = None
    is_pending: bool = False
    timeout_after: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's configuration; durations in seconds, defaults as ChirpStack ships them unless said otherwise."""

    region: str = "eu868"
    net_id: int = 0
    deduplication_delay: float = 0.2
    get_downlink_data_delay: float = 0.1
    rx1_delay: int = 1
    rx1_dr_offset: int = 0
    rx2_dr: int | None = None  # data rate of RX2; None: the region's default
    rx_window: int = 0
    mac_commands_disabled: bool = False
    scheduler_interval: float = 1.0
    class_a_lock_duration: float = 5.0
    class_c_lock_duration: float = 5.0
    class_b_schedule_advance: float = 5.0
    class_b_ping_slot_dr: int = 0
    class_b_ping_slot_frequency: int = 0  # Hz; 0 means the region's default
    scheduler_lock_duration: float = 2.0
    gateway_prefer_min_margin: float = 10.0
    allow_unknown_gateways: bool = (
        True  # ChirpStack's own default is false: a tour should not need to register gateways
    )
    duplicates_already_exist: bool = False  # ALREADY_EXISTS for a second object; ChirpStack 4.20 says INTERNAL
    history_per_device: int = 10  # integration events kept for StreamDeviceEvents; 0 keeps none
    history_pause: float = 1.0  # between two looks of StreamDeviceEvents at what is kept
    reorder_within: float = 0.05  # events leave in any order within this time: the real server spawns a task for each
