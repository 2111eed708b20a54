"""3gpp-device-triggering (TS 29.122 §5.7.2), 3gpp-msisdn-less-mo-sms (§5.15.2), NIDDConfigurationTrigger (29.522)."""

from typing import ClassVar

from msgspec import UNSET, UnsetType, field

from mock_network.scef.schema.common import (
    DeliveryResult,
    DurationSec,
    Identified,
    Port,
    SupportedFeatures,
    T8Type,
    WebsockNotifConfig,
)


class DeviceTriggering(Identified, frozen=True, kw_only=True):
    """A device trigger, §5.7.2.1.2."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset({"deliveryResult"})

    validity_period: DurationSec
    priority: str
    application_port_id: Port
    trigger_payload: bytes
    notification_destination: str
    link: str | None = field(name="self", default=None)
    supported_features: SupportedFeatures | None = None
    app_src_port_id: Port | None = None
    request_test_notification: bool | None = None
    websock_notif_config: WebsockNotifConfig | None = None
    delivery_result: DeliveryResult | None = None


class DeviceTriggeringPatch(T8Type, frozen=True, kw_only=True):
    """§5.7.2.1.4."""

    validity_period: DurationSec | UnsetType = UNSET
    priority: str | UnsetType = UNSET
    application_port_id: Port | UnsetType = UNSET
    app_src_port_id: Port | UnsetType = UNSET
    trigger_payload: bytes | UnsetType = UNSET
    notification_destination: str | UnsetType = UNSET
    request_test_notification: bool | UnsetType = UNSET
    websock_notif_config: WebsockNotifConfig | UnsetType = UNSET


class DeviceTriggeringDeliveryReportNotification(T8Type, frozen=True, kw_only=True):
    """§5.7.2.1.3."""

    transaction: str
    result: DeliveryResult


class MsisdnLessMoSmsNotification(T8Type, frozen=True, kw_only=True):
    """§5.15.2.1.2."""

    supported_features: SupportedFeatures
    sms: bytes
    external_id: str
    application_port: Port


class NiddConfigurationTrigger(T8Type, frozen=True, kw_only=True):
    """TS 29.522: a UE has a Non-IP connection and no NIDD configuration."""

    af_id: str
    nef_id: str
    gpsi: str  # extid-… or msisdn-…, TS 29.571 §5.3.2
    supp_feat: SupportedFeatures
