"""Effects of the core: datagrams for applications, answers to downlinks, notifications."""

from dataclasses import dataclass, field
from typing import Any

from mock_network.scef.core.monitoring_model import Report, Subscription
from mock_network.scef.core.nidd_model import Configuration, Delivery, GroupDelivery, ManagedPort
from mock_network.scef.core.parameters_model import Provision
from mock_network.scef.core.refusals import RefusedError
from mock_network.scef.core.sms_model import Trigger
from mock_network.scef.schema import DeliveryResult, DeliveryStatus, NiddStatus
from mock_network.scef.schema.nidd import RdsPort
from mock_network.scef.schema.parameters import AppliedParameterConfiguration, ConfigResult


class Effect:
    """Base of all."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AirEntry:
    """One line of the air log; wall-clock seconds."""

    number: int
    time: float
    ue: str
    what: str
    detail: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the line as JSON values."""
        return {"number": self.number, "time": round(self.time, 6), "ue": self.ue, "what": self.what, **self.detail}


@dataclass(frozen=True, slots=True)
class Uplink:
    """What the application on a UE hands to its modem."""

    data: bytes
    rds_port: tuple[int, int] | None = None  # (UE, SCEF)
    reliable: bool = False
    exception: bool = False  # an exception report, which rate control treats apart


@dataclass(frozen=True, slots=True)
class ToApplication(Effect):
    """The modem of a UE gives a datagram to its application, on the channel of data, SMS, or a pair of RDS ports."""

    ue: str
    data: bytes
    channel: str = "data"


@dataclass(frozen=True, slots=True)
class SubmitAnswered(Effect):
    """The answer to the POST of a downlink: final success, pending, or a refusal."""

    delivery: Delivery | GroupDelivery
    status: DeliveryStatus = DeliveryStatus.SENDING
    retry_at: float | None = None
    refused: RefusedError | None = None


@dataclass(frozen=True, slots=True)
class PortAnswered(Effect):
    """The answer to the PUT or DELETE of an RDS port: done, accepted until the UE can be asked, or a refusal."""

    port: ManagedPort
    pending: bool = False
    refused: RefusedError | None = None


@dataclass(frozen=True, slots=True)
class NotifyUplink(Effect):
    """Data from a UE; `number` is that of its air log line."""

    configuration: Configuration
    ue: str
    uplink: Uplink
    number: int


@dataclass(frozen=True, slots=True)
class NotifyDelivery(Effect):
    """What became of a downlink."""

    configuration: Configuration
    delivery: Delivery
    status: DeliveryStatus
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class NotifyGroupDelivery(Effect):
    """What became of a downlink at each member of a group."""

    configuration: Configuration
    delivery: GroupDelivery


@dataclass(frozen=True, slots=True)
class NotifyConfiguration(Effect):
    """A configuration ended, has an unknown RDS port, or its UE's RDS was switched."""

    configuration: Configuration
    status: NiddStatus
    rds_capable: bool | None = None
    rds_port: RdsPort | None = None


@dataclass(frozen=True, slots=True)
class NotifyPorts(Effect):
    """RDS ports have been reserved or released; the notification names all that are reserved now."""

    configuration: Configuration
    ports: tuple[ManagedPort, ...]


@dataclass(frozen=True, slots=True)
class NotifyTrigger(Effect):
    """What became of a device trigger."""

    trigger: Trigger
    result: DeliveryResult


@dataclass(frozen=True, slots=True)
class NotifyReports(Effect):
    """Monitoring event reports of one subscription, or its end by order of the network."""

    subscription: Subscription
    reports: tuple[Report, ...] = ()
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class NotifyParameters(Effect):
    """Which network parameters came into force."""

    provision: Provision
    applied: AppliedParameterConfiguration | None = None
    failed: tuple[ConfigResult, ...] = ()


@dataclass(frozen=True, slots=True)
class NotifyTest(Effect):
    """The test notification that was asked for (TS 29.122 §5.2.5.3)."""

    resource: Configuration | Trigger | Subscription | Provision


@dataclass(frozen=True, slots=True)
class DeliverSms(Effect):
    """A mobile originated SMS for the SCS/AS."""

    ue: str
    data: bytes
    port: int
    number: int  # of the air log entry


@dataclass(frozen=True, slots=True)
class WantConfiguration(Effect):
    """A UE has a Non-IP connection and no NIDD configuration (TS 29.522, NIDDConfigurationTrigger)."""

    ue: str
