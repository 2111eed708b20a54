"""3gpp-nidd: TS 29.122 §5.6.2."""

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType, field

from mock_network.scef.schema.common import (
    DateTime,
    DeliveryStatus,
    DurationSec,
    Identified,
    IdentifiedGroup,
    NiddStatus,
    SupportedFeatures,
    T8Type,
    WebsockNotifConfig,
)

RdsPortNumber = Annotated[int, Meta(ge=0, le=15)]  # TS 24.250 §6.2.3: four bits, although the type Port has 16


class RdsPort(T8Type, frozen=True, kw_only=True):
    """A pair of RDS ports, §5.6.2.2.2."""

    ue: RdsPortNumber = field(name="portUE")
    scef: RdsPortNumber = field(name="portSCEF")


RdsPorts = Annotated[list[RdsPort], Meta(min_length=1)]


class NiddDownlinkDataTransfer(IdentifiedGroup, frozen=True, kw_only=True):
    """A downlink data delivery, §5.6.2.1.3."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset({"deliveryStatus"})

    data: bytes
    link: str | None = field(name="self", default=None)
    reliable_data_service: bool | None = None
    rds_port: RdsPort | None = None
    maximum_latency: DurationSec | None = None
    priority: int | None = None
    pdn_establishment_option: str | None = None
    delivery_status: DeliveryStatus | None = None
    requested_retransmission_time: DateTime | None = None


class NiddDownlinkDataTransferPatch(T8Type, frozen=True, kw_only=True):
    """§5.6.2.1.11."""

    data: bytes | UnsetType = UNSET
    reliable_data_service: bool | UnsetType = UNSET
    rds_port: RdsPort | UnsetType = UNSET
    maximum_latency: DurationSec | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    pdn_establishment_option: str | UnsetType = UNSET


class NiddConfiguration(IdentifiedGroup, frozen=True, kw_only=True):
    """§5.6.2.1.2. A request may have one downlink, an answer has all that are pending; the packet size is in bits."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset({"maximumPacketSize", "status"})

    notification_destination: str
    link: str | None = field(name="self", default=None)
    supported_features: SupportedFeatures | None = None
    mtc_provider_id: str | None = None
    duration: DateTime | None = None
    reliable_data_service: bool | None = None
    rds_ports: RdsPorts | None = None
    pdn_establishment_option: str | None = None
    request_test_notification: bool | None = None
    websock_notif_config: WebsockNotifConfig | None = None
    maximum_packet_size: int | None = None
    nidd_downlink_data_transfers: Annotated[list[NiddDownlinkDataTransfer], Meta(min_length=1)] | None = None
    status: NiddStatus | None = None


class NiddConfigurationPatch(T8Type, frozen=True, kw_only=True):
    """§5.6.2.1.7: a merge patch (RFC 7396); None removes."""

    duration: DateTime | UnsetType | None = UNSET
    reliable_data_service: bool | UnsetType | None = UNSET
    rds_ports: RdsPorts | UnsetType = UNSET
    pdn_establishment_option: str | UnsetType | None = UNSET
    notification_destination: str | UnsetType = UNSET


class ManagePort(T8Type, frozen=True, kw_only=True):
    """A reserved RDS port, §5.6.2.1.9."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset({"manageEntity"})

    app_id: str
    link: str | None = field(name="self", default=None)
    manage_entity: str | None = None
    skip_ue_inquiry: bool | None = None
    supported_formats: Annotated[list[str], Meta(min_length=1)] | None = None
    configured_format: str | None = None


class NiddUplinkDataNotification(T8Type, frozen=True, kw_only=True):
    """§5.6.2.1.4."""

    nidd_configuration: str
    data: bytes
    external_id: str | None = None
    msisdn: str | None = None
    reliable_data_service: bool | None = None
    rds_port: RdsPort | None = None


class NiddDownlinkDataDeliveryStatusNotification(T8Type, frozen=True, kw_only=True):
    """§5.6.2.1.5."""

    nidd_downlink_data_transfer: str
    delivery_status: DeliveryStatus
    requested_retransmission_time: DateTime | None = None


class NiddConfigurationStatusNotification(T8Type, frozen=True, kw_only=True):
    """§5.6.2.1.6."""

    nidd_configuration: str
    status: NiddStatus
    external_id: str | None = None
    msisdn: str | None = None
    rds_cap_indication: bool | None = None
    rds_port: RdsPort | None = None


class GmdResult(Identified, frozen=True, kw_only=True):
    """What became of a group's downlink at one member, §5.6.2.2.3."""

    delivery_status: DeliveryStatus
    requested_retransmission_time: DateTime | None = None


class GmdNiddDownlinkDataDeliveryNotification(T8Type, frozen=True, kw_only=True):
    """§5.6.2.1.8."""

    nidd_downlink_data_transfer: str
    gmd_results: list[GmdResult]


class ManagePortNotification(T8Type, frozen=True, kw_only=True):
    """§5.6.2.1.10."""

    nidd_configuration: str
    external_id: str | None = None
    msisdn: str | None = None
    managed_ports: list[ManagePort] | None = None
