"""3gpp-network-parameter-configuration: TS 29.122 §5.13.2."""

from msgspec import UNSET, UnsetType, field

from mock_network.scef.schema.common import (
    Count,
    DateTime,
    DurationSec,
    IdentifiedGroup,
    SupportedFeatures,
    T8Type,
    WebsockNotifConfig,
)


class NpConfiguration(IdentifiedGroup, frozen=True, kw_only=True):
    """§5.13.2.1.2."""

    link: str | None = field(name="self", default=None)
    supported_features: SupportedFeatures | None = None
    mtc_provider_id: str | None = None
    maximum_latency: DurationSec | None = None  # becomes the periodic tracking area update timer
    maximum_response_time: DurationSec | None = None  # becomes the active time
    suggested_number_of_dl_packets: Count | None = None
    group_reporting_guard_time: DurationSec | None = None
    notification_destination: str | None = None
    request_test_notification: bool | None = None
    websock_notif_config: WebsockNotifConfig | None = None
    validity_time: DateTime | None = None


class NpConfigurationPatch(T8Type, frozen=True, kw_only=True):
    """§5.13.2.1.3: a merge patch (RFC 7396); None removes."""

    maximum_latency: DurationSec | UnsetType | None = UNSET
    maximum_response_time: DurationSec | UnsetType | None = UNSET
    suggested_number_of_dl_packets: Count | UnsetType | None = UNSET
    group_report_guard_time: DurationSec | UnsetType | None = UNSET  # so spelt in the patch
    validity_time: DateTime | UnsetType | None = UNSET
    notification_destination: str | UnsetType = UNSET


class AppliedParameterConfiguration(T8Type, frozen=True, kw_only=True):
    """What the network made of the wishes, §5.3.2.3.12."""

    external_ids: list[str] | None = None
    msisdns: list[str] | None = None
    maximum_latency: DurationSec | None = None
    maximum_response_time: DurationSec | None = None


class ConfigResult(T8Type, frozen=True, kw_only=True):
    """Members of a group for which a configuration was not made, §5.2.1.2.13."""

    result_reason: str
    external_ids: list[str] | None = None
    msisdns: list[str] | None = None


class ConfigurationNotification(T8Type, frozen=True, kw_only=True):
    """§5.13.2.1.4."""

    configuration: str
    config_results: list[ConfigResult] | None = None
    applied_param: AppliedParameterConfiguration | None = None
