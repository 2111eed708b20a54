"""How SCEFs differ from each other, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mock_network.faults import Fault
from mock_network.scef.core.refusals import REFUSALS, Refusal
from mock_network.scef.schema import PdnEstablishmentOption

# Features of each API, TS 29.122 §5.x.4; feature n is bit n-1. The numbers of NIDD from 4 on, and that of
# Enhanced_param_config, are not verified and differ between releases.
NIDD_FEATURES = {
    "Notification_websocket": 1,
    "Notification_test_event": 2,
    "MT_NIDD_modification_cancellation": 3,
    "Rds_port_verification": 4,
    "GroupMessageDelivery": 5,
    "Rds_dynamic_port": 6,
    "Rds_serialization_format": 7,
    "PatchUpdate": 8,
}
TRIGGERING_FEATURES = {"Notification_websocket": 1, "Notification_test_event": 2, "PatchUpdate": 3}
MONITORING_FEATURES = {
    "Loss_of_connectivity_notification": 1,
    "Ue-reachability_notification": 2,
    "Availability_after_DDN_failure_notification": 7,
    "Notification_websocket": 9,
    "Notification_test_event": 10,
    "Subscription_modification": 11,
    "Pdn_connectivity_status": 13,
}
PARAMETERS_FEATURES = {"Notification_websocket": 1, "Notification_test_event": 2, "Enhanced_param_config": 3}


def feature_bits(features: Mapping[str, int], *names: str) -> int:
    """Return the bit map of SupportedFeatures (TS 29.571 §5.2.2)."""
    return sum(1 << (features[name] - 1) for name in names)


CANCELLATION = feature_bits(NIDD_FEATURES, "MT_NIDD_modification_cancellation")
PORT_VERIFICATION = feature_bits(NIDD_FEATURES, "Rds_port_verification")
GROUPS = feature_bits(NIDD_FEATURES, "GroupMessageDelivery")
DYNAMIC_PORTS = feature_bits(NIDD_FEATURES, "Rds_dynamic_port")


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of SCEF; sizes in bits, times in seconds."""

    name: str
    about: str

    # What it offers
    api_prefix: str = ""  # between the host and /3gpp-nidd
    features: int | None = feature_bits(
        NIDD_FEATURES,
        "Notification_test_event",
        "MT_NIDD_modification_cancellation",
        "Rds_port_verification",
        "GroupMessageDelivery",
        "Rds_dynamic_port",
        "Rds_serialization_format",
        "PatchUpdate",
    )  # of NIDD; None: supportedFeatures is never sent, in no API
    triggering_features: int = feature_bits(TRIGGERING_FEATURES, "Notification_test_event", "PatchUpdate")
    monitoring_features: int = feature_bits(
        MONITORING_FEATURES, *(name for name in MONITORING_FEATURES if name != "Notification_websocket")
    )
    parameters_features: int = feature_bits(PARAMETERS_FEATURES, "Notification_test_event", "Enhanced_param_config")
    patch_delivery: bool = True  # PATCH on a downlink data delivery and on a device trigger, new in Rel-17
    rds_ports: bool = True  # the resources rds-ports, new in Rel-16
    no_content: bool = True  # PUT and PATCH are answered 204, new in Rel-17; else 200
    cancel_needs_feature: bool = False  # PUT, PATCH, DELETE of a delivery only where that feature was negotiated
    one_configuration: bool = False  # a second one for the same UE and SCS/AS is refused
    maximum_duration: float | None = None  # a longer or absent `duration` is cut to this

    # How it writes
    relative_links: bool = False  # self, Location and the links in notifications
    numeric_ids: bool = False
    status_member: str = "deliveryStatus"
    both_identities: bool = False  # uplinks carry externalId and msisdn
    escaped_padding: bool = False  # "=" is written as \u003d
    problem_json_for_failures: bool = False  # a failed downlink is a plain problem detail
    coded_detail: str | None = None  # put before every detail
    detailed_success: bool = True  # SUCCESS_NEXT_HOP_…, else SUCCESS
    refusals: Mapping[Refusal, tuple[int, str]] = field(default_factory=dict)  # over those of the tables

    # What it does with downlinks
    maximum_packet_size: int = 10_864  # 1 358 octets: TS 23.501 Annex J
    maximum_buffered_size: int | None = None  # of a packet that is to be buffered; None: any
    buffering: bool = True
    queue_length: int = 100  # packets per UE
    refuse_short_latency: bool = False  # maximumLatency shorter than the wait: refuse now, else FAILURE_TIMEOUT later
    default_latency: float | None = 604_800.0  # how long data without maximumLatency is kept; None: forever
    expiry_sweep: float | None = None  # the buffer is searched for expired data so often; None: at the moment
    late_delivery: bool = False  # expired data that was not removed yet is still sent
    answer_wait: float = 5.0  # how long a POST may wait for the radio before it is answered as pending
    pdn_option: PdnEstablishmentOption = PdnEstablishmentOption.WAIT_FOR_UE
    trigger_latency: float = 2.0  # until a device trigger (an SMS) has reached the UE
    over_rate: Literal["refuse", "delay"] = "refuse"  # downlinks above the PLMN's or the APN's rate
    quota: int | None = None  # downlinks of one SCS/AS in `quota_window`
    quota_window: float = 86_400.0

    # How it notifies
    notify_progress: bool = False  # each change of a pending delivery, not only its end
    notify_attempts: int = 4
    notify_interval: float = 1.0  # before the second attempt; doubles
    notify_timeout: float = 10.0
    refused_uplink_releases_pdn: bool = False  # as some MMEs do on a permanent failure in the MO data answer
    faults: tuple[Fault, ...] = ()

    def refusal(self, why: Refusal) -> tuple[int, str]:
        """Return HTTP status and cause."""
        return self.refusals.get(why) or REFUSALS[why]
