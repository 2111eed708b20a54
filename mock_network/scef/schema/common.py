"""What the T8 APIs share (TS 29.122 §5.2.1): simple types, identities, enumerations."""

from datetime import datetime
from enum import Enum
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

ExternalId = Annotated[str, Meta(pattern=r"^[^@]+@[^@]+$")]  # local@domain, TS 23.682 §4.6.2; of a group: §4.6.3
Msisdn = Annotated[str, Meta(pattern=r"^[0-9]{1,15}$")]  # TS 23.003 §3.3
DurationSec = Annotated[int, Meta(ge=0)]
DateTime = Annotated[datetime, Meta(tz=True)]  # RFC 3339
Port = Annotated[int, Meta(ge=0, le=65_535)]
SupportedFeatures = Annotated[str, Meta(pattern=r"^[A-Fa-f0-9]*$")]  # TS 29.571 §5.2.2; bit 0 is feature 1
Count = Annotated[int, Meta(ge=0)]

IDENTITIES = ("externalId", "msisdn", "externalGroupId")


class T8Type(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of all: a member that is None is absent."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset()


class Identified(T8Type, frozen=True, kw_only=True):
    """Base of what names one subscriber or group of subscribers."""

    external_id: ExternalId | None = None
    msisdn: Msisdn | None = None

    @property
    def identity(self) -> str:
        """Return the External Identifier, MSISDN or External Group Identifier."""
        return next(value for value in self.identities() if value is not None)

    def identities(self) -> tuple[str | None, ...]:
        """Return the members of which exactly one is present."""
        return self.external_id, self.msisdn

    def __post_init__(self) -> None:
        if sum(value is not None for value in self.identities()) != 1:
            names = IDENTITIES[: len(self.identities())]
            raise ValueError(f"exactly one of {', '.join(names)} is required")


class IdentifiedGroup(Identified, frozen=True, kw_only=True):
    """Base of what may name a group as well."""

    external_group_id: ExternalId | None = None

    def identities(self) -> tuple[str | None, ...]:
        """Return the members of which exactly one is present."""
        return self.external_id, self.msisdn, self.external_group_id


class WebsockNotifConfig(T8Type, frozen=True, kw_only=True):
    """TS 29.122 §5.2.1.2.10. Read, and not used: the emulated SCEF offers no Notification_websocket."""

    websocket_uri: str | None = None
    request_websocket_uri: bool | None = None


class PdnEstablishmentOption(Enum):
    """TS 29.122 §5.6.2.3.3."""

    WAIT_FOR_UE = "WAIT_FOR_UE"
    INDICATE_ERROR = "INDICATE_ERROR"
    SEND_TRIGGER = "SEND_TRIGGER"


class DeliveryStatus(Enum):
    """Of a downlink, TS 29.122 §5.6.2.3.4."""

    SUCCESS = "SUCCESS"
    SUCCESS_NEXT_HOP_ACKNOWLEDGED = "SUCCESS_NEXT_HOP_ACKNOWLEDGED"
    SUCCESS_NEXT_HOP_UNACKNOWLEDGED = "SUCCESS_NEXT_HOP_UNACKNOWLEDGED"
    SUCCESS_ACKNOWLEDGED = "SUCCESS_ACKNOWLEDGED"
    SUCCESS_UNACKNOWLEDGED = "SUCCESS_UNACKNOWLEDGED"
    TRIGGERED = "TRIGGERED"
    BUFFERING = "BUFFERING"
    BUFFERING_TEMPORARILY_NOT_REACHABLE = "BUFFERING_TEMPORARILY_NOT_REACHABLE"
    SENDING = "SENDING"
    FAILURE = "FAILURE"
    FAILURE_RDS_DISABLED = "FAILURE_RDS_DISABLED"
    FAILURE_NEXT_HOP = "FAILURE_NEXT_HOP"
    FAILURE_TIMEOUT = "FAILURE_TIMEOUT"
    FAILURE_TEMPORARILY_NOT_REACHABLE = "FAILURE_TEMPORARILY_NOT_REACHABLE"

    @property
    def success(self) -> bool:
        """Return whether the network carried the data."""
        return self.name.startswith("SUCCESS")

    @property
    def final(self) -> bool:
        """Return whether the delivery has ended."""
        return self.success or self.name.startswith("FAILURE")


class NiddStatus(Enum):
    """Of an NIDD configuration, TS 29.122 §5.6.2.3.5."""

    ACTIVE = "ACTIVE"
    TERMINATED = "TERMINATED"
    TERMINATED_UE_NOT_AUTHORIZED = "TERMINATED_UE_NOT_AUTHORIZED"
    RDS_PORT_UNKNOWN = "RDS_PORT_UNKNOWN"


class DeliveryResult(Enum):
    """Of a device trigger, TS 29.122 §5.7.2.2.2."""

    SUCCESS = "SUCCESS"
    UNKNOWN = "UNKNOWN"
    FAILURE = "FAILURE"
    TRIGGERED = "TRIGGERED"
    EXPIRED = "EXPIRED"
    UNCONFIRMED = "UNCONFIRMED"
    REPLACED = "REPLACED"
    TERMINATE = "TERMINATE"


class MonitoringType(Enum):
    """What can be monitored here, of TS 29.122 §5.3.2.4.3."""

    LOSS_OF_CONNECTIVITY = "LOSS_OF_CONNECTIVITY"
    UE_REACHABILITY = "UE_REACHABILITY"
    AVAILABILITY_AFTER_DDN_FAILURE = "AVAILABILITY_AFTER_DDN_FAILURE"
    PDN_CONNECTIVITY_STATUS = "PDN_CONNECTIVITY_STATUS"
