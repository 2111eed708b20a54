"""What the emulated network knows: UEs, configurations, deliveries. Mutable, owned by the core."""

import math
import random
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mock_network.scef.tables import NiddStatus, PdnOption, Status, UeState

_POSITIVE = frozenset({"edrx_cycle", "edrx_ptw", "rate_window"})


class SettingsError(ValueError):
    """A UE is described with an unknown, missing or impossible value."""


@dataclass(slots=True)
class UeSettings:
    """What can be set of a UE: in the file of UEs, when it is created, and later. Times in seconds, sizes in bits."""

    external_id: str | None = None  # local@domain
    msisdn: str | None = None  # digits
    t3324: float | None = None  # active time; None: no PSM, 0: PSM at once
    t3412: float | None = None  # periodic tracking area update; None: never
    edrx_cycle: float | None = None  # None: no eDRX
    edrx_ptw: float = 2.56  # paging time window at the start of each cycle
    inactivity: float = 20.0  # after the last data, until the radio connection is released; about 20 s on NB-IoT
    attached: bool = True  # at creation
    pdn: bool = True  # at creation, and whether a PDN connection follows an attach by itself
    in_coverage: bool = True
    authorised: bool = True  # for NIDD, by the HSS
    accepts_trigger: bool = True  # a device trigger makes it connect
    rds_enabled: bool = False  # by the operator, for its APN
    rds_ack: bool = True  # its modem acknowledges reliable data
    buffering: bool | None = None  # None: as the profile says
    maximum_packet_size: int | None = None  # bits, downlink; None: as the profile says
    uplink_packet_size: int | None = None  # bits; None: as maximum_packet_size
    radio_latency: float = 0.1  # one way
    radio_jitter: float = 0.0  # added, uniform from 0
    paging_latency: float = 0.5  # added when the UE is idle
    loss_down: float = 0.0  # probability that a datagram is lost on air
    loss_up: float = 0.0
    downlink_rate: int | None = None  # packets in `rate_window`; None: unlimited (TS 23.401 §4.7.7)
    uplink_rate: int | None = None
    rate_window: float = 360.0  # a deci-hour (TS 24.301 §9.9.4.28)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "UeSettings":
        """Check values that come from outside. Raises SettingsError with the name of what is wrong."""
        settings = cls()
        settings.update(values)
        if settings.external_id is None and settings.msisdn is None:
            raise SettingsError("a UE needs external_id or msisdn")
        return settings

    def update(self, values: Mapping[str, Any]) -> None:
        """Change some settings, or none if one of them is wrong. Raises SettingsError."""
        known = {f.name: f.type for f in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise SettingsError(f"unknown setting of a UE: {name}")
            _check(name, value, known[name])
        for name, value in values.items():
            setattr(self, name, value)


def _check(name: str, value: object, kind: Any) -> None:
    words = str(kind)
    if value is None:
        good = "None" in words
    elif "bool" in words:
        good = isinstance(value, bool)
    elif "str" in words:
        good = isinstance(value, str) and _is_identity(name, value)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        good = False
    elif "int" in words:
        good = isinstance(value, int) and value > 0
    elif name in _POSITIVE:
        good = value > 0
    else:
        good = 0 <= value <= (1 if name.startswith("loss_") else math.inf)
    if not good:
        raise SettingsError(f"{name} cannot be {value!r}")


def _is_identity(name: str, value: str) -> bool:
    if name == "msisdn":
        return value.isascii() and value.isdigit() and len(value) <= 15  # noqa: PLR2004 - E.164
    local, at, domain = value.partition("@")
    return bool(local and at and domain) and "@" not in domain


@dataclass(slots=True)
class RateWindow:
    """Counts packets in windows that begin with their first packet (TS 23.401 §4.7.7.2)."""

    begun: float | None = None
    used: int = 0

    def wait(self, now: float, limit: int | None, window: float) -> float:
        """Give the seconds until one more packet may go; 0: now."""
        if limit is None or self.begun is None or now >= self.begun + window or self.used < limit:
            return 0.0
        return self.begun + window - now

    def take(self, now: float, window: float) -> None:
        """Count one packet."""
        if self.begun is None or now >= self.begun + window:
            self.begun, self.used = now, 0
        self.used += 1


@dataclass(slots=True, eq=False)
class Delivery:
    """One downlink that a SCS/AS handed in."""

    id: str
    number: int  # order of arrival
    configuration: str
    ue: str
    data: bytes
    status: Status
    reliable: bool = False
    rds_port: tuple[int, int] | None = None
    maximum_latency: int | None = None
    priority: int = 0
    has_priority: bool = False
    pdn_option: PdnOption | None = None
    deadline: float | None = None
    retry_at: float | None = None
    ticket: int | None = None  # of the POST that is not answered yet
    announced: bool = False  # answered as pending: its end will be notified
    triggered: bool = False


@dataclass(slots=True, eq=False)
class Configuration:
    """One NIDD configuration of one SCS/AS for one UE."""

    id: str
    number: int
    scs_as: str
    ue: str
    by_msisdn: bool  # which identity the SCS/AS used
    destination: str
    external_id: str | None
    msisdn: str | None
    features: int | None  # negotiated bit map; None: the SCS/AS sent none
    duration: float | None = None
    reliable: bool | None = None
    rds_ports: tuple[tuple[int, int], ...] = ()
    pdn_option: PdnOption | None = None
    mtc_provider: str | None = None
    status: NiddStatus = NiddStatus.ACTIVE
    deliveries: dict[str, Delivery] = field(default_factory=dict)  # pending
    finished: "OrderedDict[str, Status]" = field(default_factory=OrderedDict)  # the latest of those that are over


@dataclass(slots=True, eq=False)
class Ue:
    """One UE and the network's knowledge of it."""

    name: str
    settings: UeSettings
    state: UeState = UeState.DETACHED
    since: float = 0.0
    suspected: bool = False  # paging failed: taken for unreachable until it is heard again
    queue: list[Delivery] = field(default_factory=list)
    in_flight: Delivery | None = None
    last_arrival: float = 0.0  # of an uplink at the SCEF: they do not overtake each other
    down_rate: RateWindow = field(default_factory=RateWindow)
    up_rate: RateWindow = field(default_factory=RateWindow)
    trigger_pending: bool = False

    def latency(self, rng: random.Random) -> float:
        """Draw the one-way time on air."""
        jitter = self.settings.radio_jitter
        return self.settings.radio_latency + (rng.uniform(0, jitter) if jitter else 0.0)
