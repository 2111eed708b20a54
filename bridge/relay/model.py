"""What the relay knows of one endpoint: its entry in the directory, its rows, and state that is only in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from bridge.delivery.downlinks import DIRECT, Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Codec, Fixed, Row
from bridge.delivery.uplinks import Uplink
from bridge.quota.usage import Usage
from bridge.relay.registrations import Registration, decode, encode


class QueueMode(StrEnum):
    STRIP = "strip"  # for servers that would not send to a sleeping client: the bridge queues instead
    KEEP = "keep"
    ADD = "add"


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """How one kind of LwM2M server behaves, and what a Register must look like for it (R10, R21)."""

    patience: float = 120.0  # seconds after which the server no longer waits (Leshan API and ThingsBoard: 120)
    margin: float = 5.0  # seconds before the end of the patience at which the bridge answers 5.04
    silent_expiry: bool = False  # send nothing instead of 5.04
    fit_register: bool = True  # False: profile `transparent`, nothing is changed
    lwm2m_version: str = "1.1"  # added where the device names none
    binding: str | None = "U"  # new value of `b`; None keeps it
    queue_mode: QueueMode = QueueMode.STRIP
    default_lifetime: int | None = None  # seconds; added where a Register names none and the network implies none
    transfer: float | None = None  # seconds from the first block in which a block-wise write must end
    piggybacked_blocks: bool = False  # it continues with Block1 only after an acknowledgement with the 2.31 in it
    awake_time: float = 93.0  # seconds for which it takes a device in queue mode for awake (MAX_TRANSMIT_WAIT)
    awake_by_any: bool = False  # by any message; False: by Register, Update, a notification or a response
    asleep_after_timeout: bool = False  # a request without an answer within its patience ends that at once
    announce_awake: bool = False  # it gets an Update when the device can be reached and it does not know
    acknowledges_notifications: bool = True  # False: it answers none with an acknowledgement, so they go as NON
    keep_sms: bool = True  # False: the number for SMS (`sms`) is removed, so that the server sends no triggers itself


@dataclass(frozen=True, slots=True)
class Server:
    """One LwM2M server of an endpoint. `key` identifies it in rows."""

    key: str
    profile: ServerProfile = field(default_factory=ServerProfile)
    hosts: tuple[str, ...] = ()  # hosts, in lower case, by which a device's Uri-Host can name it (R23)
    port: int = 0  # its Uri-Port, if several servers have one host
    bootstrap: bool = False  # it gets Bootstrap-Requests, and no registrations
    application_port: str | None = None  # by which the device and its network know it (R23); None: they know no ports
    oscore_kids: tuple[bytes, ...] = ()  # by which a device's OSCORE messages name it (R23)


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the core that hold for all endpoints. Seconds, counts per endpoint (R30)."""

    piggyback_window: float = 1.0  # R5
    notify_hold: float = 1.0  # R16
    ttl_option: int = 65052  # R10; experimental range, elective, uint seconds
    max_ttl: float = 604800.0  # R10: the longest TTL that a server may ask for; a longer one is cut to it
    long_ttl: float = 86400.0  # R15: Notify and Send
    late_grace: float = 86400.0  # R12: seconds in which a late answer is recognised
    refuse_when_down: bool = False  # R3
    max_requests: int = 32  # queued requests; full: 5.03 with Max-Age
    max_uplinks: int = 64  # stored uplinks; full: the oldest Notify or Send is EXPIRED
    max_exchanges: int = 1024  # requests of the last 247 s; full: 5.03 with Max-Age (R4), see docs/decisions/full.md
    max_kept: int = 64  # the device's messages, kept to recognise repeats; full: the oldest is forgotten
    max_observations: int = (
        64  # full: a cancelled one is replaced, then one without a notification for `observation_idle`, else 5.03
    )
    observation_idle: float = 86400.0
    max_answers: int = 16  # answers that wait for the device; full: the oldest is SUPERSEDED
    max_reports: int = 16  # unattributed reports; full: the oldest is dropped
    max_opaque: int = 8  # queued DTLS records; full: the newest is dropped
    handshake_ttl: float = 60.0  # R26
    record_ttl: float = 93.0
    wake_after: float = 5.0  # seconds that a request waits for a sleeping device until the device is woken up
    wake_interval: float = 3600.0  # seconds from one trigger to the next


@dataclass(frozen=True, slots=True)
class Wake:
    """How a sleeping device is woken up: by a trigger over another endpoint of the device, such as SMS."""

    endpoint: str  # its name
    resource: int  # of object 1: 8 Registration Update Trigger, 9 Bootstrap-Request Trigger
    instance: int | None = None  # of object 1; None: the only one that the device registered


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
    options: Mapping[str, str] = field(default_factory=dict)  # its settings for the binding
    group: str = ""  # its group of shared quotas; "" for none
    wake: Wake | None = None  # None: the device is not woken up


def servers_by_port(servers: tuple[Server, ...]) -> dict[str, Server | None]:
    """Return the server at each application port; None for a port that several servers share (R23)."""
    found: dict[str, Server | None] = {}
    for server in servers:
        if server.application_port is not None:
            found[server.application_port] = None if server.application_port in found else server
    return found


def ports_by_server(servers: tuple[Server, ...]) -> dict[str, str]:
    """Return the application port of each server that has one; requests by the API go to that of the first server."""
    found = {server.key: server.application_port for server in servers if server.application_port is not None}
    if servers and servers[0].application_port is not None:
        found[DIRECT] = servers[0].application_port
    return found


class ObservationState(StrEnum):
    ACTIVE = "active"
    CANCELLED = "cancelled"  # it has ended; further notifications are answered with a Reset (R19, R20)


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
    asks: Fixed[bytes] = b""  # digest of the other options that make two requests equal (RFC 7252 §5.6)
    heard_at: float = 0.0  # wall time of the latest notification, to within an hour

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
    north_mid: int | None = None  # the latest message ID toward a server that is in no row (R2)
    joined_at: float = 0.0  # wall time before which nothing is repeated by the device (R13)
    server_instance: int | None = None  # of object 1, if the device registered exactly one
    woken_at: float = 0.0  # wall time of the latest trigger to the device
    secured: bool = False  # the device speaks DTLS or OSCORE with its servers: it is asked nothing in plain text


@dataclass(slots=True)
class EndpointRows:
    """All rows of one endpoint that the core still needs, loaded from a store."""

    downlinks: list[Downlink] = field(default_factory=list)
    uplinks: list[Uplink] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    reports: list[UnattributedReport] = field(default_factory=list)
    relay: RelayState | None = None
    usage: list[Usage] = field(default_factory=list)  # since the day `usage_since`
    usage_since: int | None = None
