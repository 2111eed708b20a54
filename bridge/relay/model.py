"""What the relay knows of one endpoint: its entry in the directory, its rows, and state that is only in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from bridge.delivery.downlinks import Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Codec, Fixed, Row
from bridge.delivery.uplinks import Uplink
from bridge.quota.usage import Usage
from bridge.relay.registrations import Registration, decode, encode


class QueueMode(StrEnum):
    STRIP = "strip"  # for servers that would refuse to send to a sleeping client: our queue does the work
    KEEP = "keep"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """How one kind of LwM2M server behaves, and what a Register must look like for it (R10, R21)."""

    patience: float = 120.0  # seconds after which the server no longer waits (Leshan API and ThingsBoard: 120)
    margin: float = 5.0  # seconds before the patience ends at which the bridge answers 5.04
    silent_expiry: bool = False  # say nothing instead of 5.04
    fit_register: bool = True  # False: profile `transparent`, nothing is changed
    lwm2m_version: str = "1.1"  # added where the device names none
    binding: str | None = "U"  # what `b` is rewritten to; None keeps it
    queue_mode: QueueMode = QueueMode.STRIP
    default_lifetime: int | None = None  # seconds; added where a Register names none and the network implies none
    transfer: float | None = None  # seconds from the first block in which a block-wise write must be over
    piggybacked_blocks: bool = False  # it goes on with Block1 only after an acknowledgement that holds the 2.31
    keep_sms: bool = True  # False: the number for SMS (`sms`) is taken out, so that the server sends no triggers itself


@dataclass(frozen=True, slots=True)
class Server:
    """One LwM2M server of an endpoint. `key` identifies it in rows."""

    key: str
    profile: ServerProfile = field(default_factory=ServerProfile)
    hosts: tuple[str, ...] = ()  # by any of these, in lower case, a device's Uri-Host names it (R23)
    port: int = 0  # by this Uri-Port, where several have one host
    bootstrap: bool = False  # it takes Bootstrap-Requests, and no registrations


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the core that hold for all endpoints. Seconds, counts per endpoint (R30)."""

    piggyback_window: float = 1.0  # R5
    notify_hold: float = 1.0  # R16
    ttl_option: int = 65052  # R10; experimental range, elective, uint seconds
    long_ttl: float = 86400.0  # R15: Notify and Send
    late_grace: float = 86400.0  # R12: how long a late answer is still recognised
    refuse_when_down: bool = False  # R3
    max_requests: int = 32  # queued requests; full: 5.03 with Max-Age
    max_uplinks: int = 64  # stored uplinks; full: the oldest Notify or Send is EXPIRED
    max_exchanges: int = 1024  # requests of the last 247 s; full: 5.03 with Max-Age (R4), see docs/decisions/full.md
    max_kept: int = 64  # the device's messages, kept for its repeats; full: the oldest is forgotten
    max_observations: int = 64  # full: one that is over makes way, then one unheard for `observation_idle`, else 5.03
    observation_idle: float = 86400.0
    max_answers: int = 16  # answers that wait for the device; full: the oldest is SUPERSEDED
    max_reports: int = 16  # unattributed reports; full: the oldest is dropped
    max_opaque: int = 8  # queued DTLS records; full: the newest is dropped
    handshake_ttl: float = 60.0  # R26
    record_ttl: float = 93.0
    wake_after: float = 5.0  # seconds that a request waits for a sleeping device before the device is woken up
    wake_interval: float = 3600.0  # seconds from one trigger to the next


@dataclass(frozen=True, slots=True)
class Wake:
    """How a sleeping device is woken up: by a trigger over another endpoint of the device, such as SMS."""

    endpoint: str  # its name
    resource: int  # of object 1: 8 Registration Update Trigger, 9 Bootstrap-Request Trigger
    instance: int | None = None  # of object 1; None: the only one that the device has registered


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, as in the directory."""

    id: int
    shard: int
    name: str
    network: str
    device: str
    servers: tuple[Server, ...]  # the first is the default
    default_ttl: float | None = None
    object_list: str | None = None  # CoRE links for a Register without any (R21)
    confirmed: bool = False  # ask the network for confirmed delivery
    options: Mapping[str, str] = field(default_factory=dict)  # the binding's settings for this endpoint
    group: str = ""  # whose quotas it shares; "" for none
    wake: Wake | None = None  # None: the device is not woken up


class ObservationState(StrEnum):
    ACTIVE = "active"
    CANCELLED = "cancelled"  # over; what the device still notifies is answered RST (R19, R20)


_CANCELLED = ObservationState.CANCELLED


class Observation(Row):
    """An observation, on both sides (RFC 7641). The bridge chose the south token, the server the north token."""

    TABLE: ClassVar[str] = "observation"
    KEY: ClassVar[tuple[str, ...]] = ("endpoint", "south_token")

    endpoint: int
    south_token: bytes
    shard: Fixed[int]
    server: Fixed[str]
    north_token: Fixed[bytes]
    since: Fixed[float]
    state: ObservationState = ObservationState.ACTIVE
    path: Fixed[str] = ""  # what is observed, for people
    asks: Fixed[bytes] = b""  # digest of what else makes two requests ask for the same (RFC 7252 §5.6)
    heard_at: float = 0.0  # when the device last said something of it, to within an hour

    @property
    def is_active(self) -> bool:
        return self.state is not _CANCELLED


class RelayState(Row):
    """State of an endpoint that is stored and belongs to no message."""

    TABLE: ClassVar[str] = "relay"
    KEY: ClassVar[tuple[str, ...]] = ("endpoint",)
    CODECS: ClassVar[Mapping[str, Codec]] = {"registrations": Codec(encode, decode)}

    endpoint: int
    shard: Fixed[int]
    registrations: list[Registration] = []  # noqa: RUF012  # msgspec makes each row its own
    refuse_update: bool = False  # Updates are answered 4.04 until the device registers anew (R24)
    north_mid: int | None = None  # the last MID toward a server that no row carries (R2)
    joined_at: float = 0.0  # what the device sent before that, it does not repeat (R13)
    server_instance: int | None = None  # of object 1, where the device registered with just one
    woken_at: float = 0.0  # when the device was last sent a trigger
    secured: bool = False  # the device speaks DTLS or OSCORE with its servers: it is asked nothing in plain text


@dataclass(slots=True)
class Kept:
    """All rows of one endpoint that the core still needs, loaded from a store."""

    downlinks: list[Downlink] = field(default_factory=list)
    uplinks: list[Uplink] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    reports: list[UnattributedReport] = field(default_factory=list)
    relay: RelayState | None = None
    usage: list[Usage] = field(default_factory=list)  # since the day `usage_since`
    usage_since: int | None = None
