"""3gpp-monitoring-event: TS 29.122 §5.3.2, as far as it serves Non-IP devices."""

from typing import Annotated

from msgspec import Meta, field

from mock_network.scef.schema.common import (
    Count,
    DateTime,
    DurationSec,
    IdentifiedGroup,
    SupportedFeatures,
    T8Type,
    WebsockNotifConfig,
)


class IdleStatusInfo(T8Type, frozen=True, kw_only=True):
    """When a UE that has gone idle can be reached, §5.3.2.3.5; times in seconds."""

    active_time: DurationSec | None = None  # T3324
    edrx_cycle_length: float | None = None
    suggested_number_of_dl_packets: Count | None = None
    idle_status_timestamp: DateTime | None = None
    periodic_au_timer: DurationSec | None = field(name="periodicAUTimer", default=None)


class PdnConnectionInformation(T8Type, frozen=True, kw_only=True):
    """§5.3.2.3.11."""

    status: str  # CREATED or RELEASED
    pdn_type: str
    apn: str | None = None
    interface_ind: str | None = None


class MonitoringEventReport(T8Type, frozen=True, kw_only=True):
    """§5.3.2.3.2."""

    monitoring_type: str
    external_id: str | None = None
    msisdn: str | None = None
    event_time: DateTime | None = None
    idle_status_info: IdleStatusInfo | None = None
    loss_of_connect_reason: int | None = None
    max_ue_availability_time: DateTime | None = field(name="maxUEAvailabilityTime", default=None)
    reachability_type: str | None = None
    pdn_conn_info_list: list[PdnConnectionInformation] | None = None


class MonitoringEventSubscription(IdentifiedGroup, frozen=True, kw_only=True):
    """§5.3.2.1.2."""

    notification_destination: str
    monitoring_type: str
    link: str | None = field(name="self", default=None)
    supported_features: SupportedFeatures | None = None
    mtc_provider_id: str | None = None
    request_test_notification: bool | None = None
    websock_notif_config: WebsockNotifConfig | None = None
    maximum_number_of_reports: Annotated[int, Meta(ge=1)] | None = None
    monitor_expire_time: DateTime | None = None
    group_report_guard_time: DurationSec | None = None
    maximum_detection_time: DurationSec | None = None
    reachability_type: str | None = None
    maximum_latency: DurationSec | None = None
    maximum_response_time: DurationSec | None = None
    suggested_number_of_dl_packets: Count | None = None
    idle_status_indication: bool | None = None
    monitoring_event_report: MonitoringEventReport | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.maximum_number_of_reports is None and self.monitor_expire_time is None:
            raise ValueError("maximumNumberOfReports or monitorExpireTime is required")


class MonitoringNotification(T8Type, frozen=True, kw_only=True):
    """§5.3.2.2.2."""

    subscription: str
    monitoring_event_reports: list[MonitoringEventReport] | None = None
    cancel_ind: bool | None = None


class MonitoringEventReports(T8Type, frozen=True, kw_only=True):
    """§5.3.2.3.10."""

    monitoring_event_reports: list[MonitoringEventReport]
