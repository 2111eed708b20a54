"""How SCEFs of the field differ from each other, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mock_network.faults import Fault
from mock_network.scef.tables import REFUSALS, PdnOption, Refusal

# NIDD features, TS 29.122 §5.6.4; feature n is bit n-1. The numbers from 4 on differ between releases.
FEATURES = {
    "Notification_websocket": 1,
    "Notification_test_event": 2,
    "MT_NIDD_modification_cancellation": 3,
    "Rds_port_verification": 4,
    "GroupMessageDelivery": 5,
    "Rds_dynamic_port": 6,
    "Rds_serialization_format": 7,
    "PatchUpdate": 8,
}


def feature_bits(*names: str) -> int:
    """Give the bit map of SupportedFeatures (TS 29.571 §5.2.2)."""
    return sum(1 << (FEATURES[name] - 1) for name in names)


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of SCEF; sizes in bits, times in seconds."""

    name: str
    about: str
    api_prefix: str = ""  # between the host and /3gpp-nidd
    relative_links: bool = False  # self, Location and the links in notifications
    numeric_ids: bool = False
    status_member: str = "deliveryStatus"
    features: int | None = feature_bits(
        "Notification_test_event", "MT_NIDD_modification_cancellation", "Rds_port_verification", "PatchUpdate"
    )  # None: supportedFeatures is never sent
    patch_delivery: bool = True  # PATCH on a downlink data delivery, new in Rel-17
    no_content: bool = True  # PUT and PATCH are answered 204, new in Rel-17; else 200
    both_identities: bool = False  # uplinks carry externalId and msisdn
    escaped_padding: bool = False  # "=" is written as \u003d
    problem_json_for_failures: bool = False  # a failed downlink is a plain problem detail
    coded_detail: str | None = None  # put before every detail
    detailed_success: bool = True  # SUCCESS_NEXT_HOP_…, else SUCCESS
    refusals: Mapping[Refusal, tuple[int, str]] = field(default_factory=dict)  # over those of the tables
    one_configuration: bool = False  # a second one for the same UE and SCS/AS is refused
    maximum_packet_size: int = 10_864  # 1 358 octets: TS 23.501 Annex J
    buffering: bool = True
    queue_length: int = 100  # packets per UE
    refuse_short_latency: bool = False  # maximumLatency shorter than the wait: refuse now, else FAILURE_TIMEOUT later
    default_latency: float | None = 604_800.0  # how long data without maximumLatency is kept; None: for ever
    answer_wait: float = 5.0  # how long a POST may wait for the radio before it is answered as pending
    pdn_option: PdnOption = PdnOption.WAIT_FOR_UE
    trigger_latency: float = 2.0  # until a device trigger (an SMS) has reached the UE
    maximum_duration: float | None = None  # a longer or absent `duration` is cut to this
    quota: int | None = None  # downlinks of one SCS/AS in `quota_window`
    quota_window: float = 86_400.0
    notify_attempts: int = 4
    notify_interval: float = 1.0  # before the second attempt; doubles
    notify_timeout: float = 10.0
    refused_uplink_releases_pdn: bool = False  # as some MMEs do on a permanent failure in the MO data answer
    faults: tuple[Fault, ...] = ()

    def refusal(self, why: Refusal) -> tuple[int, str]:
        """Give HTTP status and cause."""
        return self.refusals.get(why) or REFUSALS[why]


_LOSSY = (
    Fault("notification_duplicate", probability=0.2),
    Fault("notification_reorder", probability=0.1),
    Fault("notification_slow", probability=0.1, params={"seconds": 3.0}),
    Fault("status_before_answer", probability=0.3),
    Fault("final_status_lost", probability=0.1),
    Fault("http_error", probability=0.05, params={"status": 503}),
    Fault("http_error", probability=0.02, params={"status": 429, "retry_after": 1}),
    Fault("http_error", probability=0.01, params={"status": 401}),
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("strict-r17", "exactly as the Rel-17 schema says"),
        Profile(
            "strict-r15",
            "exactly as the Rel-15 schema says: no PATCH of a delivery, no 204 for a change",
            patch_delivery=False,
            no_content=False,
            features=feature_bits("Notification_test_event", "MT_NIDD_modification_cancellation"),
        ),
        Profile(
            "relative-links",
            "relative links, `status` in place of `deliveryStatus`, numeric ids, no supportedFeatures",
            relative_links=True,
            numeric_ids=True,
            status_member="status",
            features=None,
            detailed_success=False,
            refusals=dict.fromkeys((Refusal.ALREADY_SENT, Refusal.ALREADY_FAILED), (404, "DELIVERY_NOT_FOUND")),
        ),
        Profile(
            "both-ids",
            "uplinks carry msisdn and externalId, escaped base64 padding, a prefixed apiRoot",
            api_prefix="/SCEF",
            both_identities=True,
            escaped_padding=True,
        ),
        Profile(
            "small-apn",
            "100 octets at most, coded details, problem details also for a failed downlink",
            maximum_packet_size=800,
            coded_detail="SCEF-ERR-001-042",
            problem_json_for_failures=True,
            one_configuration=True,
        ),
        Profile("no-buffer", "keeps nothing: 500 with requestedRetransmissionTime", buffering=False),
        Profile("conflict", "a second configuration for the same UE is refused", one_configuration=True),
        Profile("lossy", "notifications twice, late, out of order or never; bursts of errors", faults=_LOSSY),
    )
}
