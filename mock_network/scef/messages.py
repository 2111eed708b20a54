"""What comes into the core of the emulated SCEF and what goes out of it."""

from dataclasses import dataclass, field
from typing import Any

from mock_network.scef.model import Configuration, Delivery
from mock_network.scef.tables import NiddStatus, PdnOption, Refusal, Status, UeTrigger


class Event:
    """Base of what comes in."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Radio(Event):
    """The application on a UE hands a datagram to its modem."""

    ue: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Move(Event):
    """Something happens to a UE by order of the control API."""

    ue: str
    trigger: UeTrigger


@dataclass(frozen=True, slots=True)
class Change(Event):
    """Settings of a UE change by order of the control API; they are valid."""

    ue: str
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terminate(Event):
    """The operator ends a configuration."""

    configuration: str
    status: NiddStatus = NiddStatus.TERMINATED


@dataclass(frozen=True, slots=True)
class DownlinkRequest:
    """A downlink as the SCS/AS describes it."""

    data: bytes
    ue: str | None  # the UE that its identity names, if there is one
    reliable: bool | None = None
    rds_port: tuple[int, int] | None = None
    maximum_latency: int | None = None
    priority: int | None = None
    pdn_option: PdnOption | None = None


@dataclass(frozen=True, slots=True)
class Create(Event):
    """POST of a configuration. Answered at once with Configured or Refused."""

    ticket: int
    scs_as: str
    ue: str | None
    by_msisdn: bool
    destination: str
    group: bool = False
    features: int | None = None
    duration: float | None = None
    reliable: bool | None = None
    rds_ports: tuple[tuple[int, int], ...] = ()
    pdn_option: PdnOption | None = None
    mtc_provider: str | None = None
    test: bool = False
    downlink: DownlinkRequest | None = None


@dataclass(frozen=True, slots=True)
class Modify(Event):
    """PATCH of a configuration; only members in `changes` change. Answered with Configured or Refused."""

    ticket: int
    configuration: str
    changes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delete(Event):
    """DELETE of a configuration. Answered with Done or Refused."""

    ticket: int
    configuration: str


@dataclass(frozen=True, slots=True)
class Submit(Event):
    """POST of a downlink. Answered, now or within the profile's `answer_wait`, with Taken or Refused."""

    ticket: int
    configuration: str
    request: DownlinkRequest
    as_pending: bool = False  # answer 201 whatever happens, and notify the end


@dataclass(frozen=True, slots=True)
class Replace(Event):
    """PUT or PATCH of a pending downlink; only members in `changes` change. Answered with Taken or Refused."""

    ticket: int
    configuration: str
    delivery: str
    changes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cancel(Event):
    """DELETE of a pending downlink. Answered with Done or Refused."""

    ticket: int
    configuration: str
    delivery: str


class Effect:
    """Base of what goes out."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Configured(Effect):
    """The answer to Create or Modify."""

    ticket: int
    configuration: Configuration
    deliveries: tuple[Delivery, ...] = ()  # of the request, whatever became of them


@dataclass(frozen=True, slots=True)
class Taken(Effect):
    """The answer to Submit or Replace: final success, or pending."""

    ticket: int
    delivery: Delivery
    status: Status
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class Done(Effect):
    """The answer to Delete or Cancel."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Refused(Effect):
    """The answer to whatever was asked. `downlink`: it is the failure of a downlink, which has a form of its own."""

    ticket: int
    why: Refusal
    downlink: bool = False
    retry_at: float | None = None  # wall-clock seconds, for requestedRetransmissionTime
    wait: float | None = None  # seconds, for Retry-After


@dataclass(frozen=True, slots=True)
class ToApplication(Effect):
    """The modem of a UE gives a datagram to its application."""

    ue: str
    data: bytes


@dataclass(frozen=True, slots=True)
class NotifyUplink(Effect):
    """Tell the SCS/AS of data from a UE."""

    configuration: Configuration
    data: bytes
    number: int  # of the air log entry


@dataclass(frozen=True, slots=True)
class NotifyDelivery(Effect):
    """Tell the SCS/AS what became of a downlink."""

    configuration: Configuration
    delivery: Delivery
    status: Status
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class NotifyConfiguration(Effect):
    """Tell the SCS/AS that a configuration is over."""

    configuration: Configuration
    status: NiddStatus


@dataclass(frozen=True, slots=True)
class NotifyTest(Effect):
    """Send the test notification that was asked for (TS 29.122 §5.2.5.3)."""

    configuration: Configuration


@dataclass(frozen=True, slots=True)
class AirEntry:
    """One line of the air log."""

    number: int
    time: float  # wall-clock seconds
    ue: str
    what: str
    detail: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the line as JSON values."""
        return {"number": self.number, "time": round(self.time, 6), "ue": self.ue, "what": self.what, **self.detail}
