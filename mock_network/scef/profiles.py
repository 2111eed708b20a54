"""SCEFs of the field, as profiles. Facts come from clients that were written against them, and from manuals."""

from mock_network.faults import Fault
from mock_network.scef.core.profile import NIDD_FEATURES, Profile, feature_bits
from mock_network.scef.core.refusals import Refusal

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
            "exactly as the Rel-15 schema says: no PATCH of a delivery, no rds-ports, no 204 for a change",
            patch_delivery=False,
            rds_ports=False,
            no_content=False,
            features=feature_bits(NIDD_FEATURES, "Notification_test_event", "MT_NIDD_modification_cancellation"),
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
        Profile(
            "no-cancel",
            "supportedFeatures 0, a buffered downlink cannot be changed (405), expired data is noticed late",
            features=0,
            rds_ports=False,
            cancel_needs_feature=True,
            refusals={Refusal.FEATURE_NOT_NEGOTIATED: (405, "")},
            expiry_sweep=1.0,
        ),
        Profile("lossy", "notifications twice, late, out of order or never; bursts of errors", faults=_LOSSY),
    )
}
