"""Subscriptions to monitoring events. Mutable, owned by the core."""

from dataclasses import dataclass, field
from enum import IntEnum

from mock_network.scef.schema.common import MonitoringType
from mock_network.scef.schema.monitoring import IdleStatusInfo, MonitoringEventSubscription


class LossReason(IntEnum):
    """Why connectivity was lost, TS 29.336 §8.4.58."""

    UE_DETACHED_MME = 0
    MAX_DETECTION_TIME_EXPIRED_MME = 2
    UE_PURGED_MME = 4


@dataclass(frozen=True, slots=True)
class Report:
    """One event at one UE; `time` and `available_until` are wall-clock seconds."""

    kind: MonitoringType
    ue: str
    time: float
    idle: IdleStatusInfo | None = None
    idle_since: float | None = None
    lost: LossReason | None = None
    available_until: float | None = None
    pdn_created: bool | None = None


@dataclass(slots=True, eq=False)
class Subscription:
    """One subscription; `terms` is the SCS/AS's request."""

    id: str
    number: int
    scs_as: str
    kind: MonitoringType
    ues: tuple[str, ...]
    terms: MonitoringEventSubscription
    features: int | None
    ends: float | None = None
    left: dict[str, int] = field(default_factory=dict)  # reports that each UE may still give; absent: any number
    failed: set[str] = field(default_factory=set)  # UEs for which a downlink has failed
    held: list[Report] = field(default_factory=list)  # of a group, until the guard time has ended
