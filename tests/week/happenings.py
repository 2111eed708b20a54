"""The faults of a week: every kind that the emulated SCEF has, each as often as its occasions want it."""

from mock_network.faults import Fault

_OFTEN: dict[str, float] = {
    # Around a request: some thousand a week
    "cut_before_processing": 0.012,
    "cut_after_processing": 0.012,
    "cut_in_answer": 0.012,
    "http_error": 0.012,
    "proxy_page": 0.012,
    "redirect": 0.02,
    "slow_answer": 0.012,
    "slow_body": 0.01,
    "tokens_revoked": 0.012,
    "refuse": 0.012,
    "no_location": 0.05,
    "no_self": 0.012,
    "no_status": 0.03,
    "status_renamed": 0.03,
    "unknown_status": 0.03,
    "links_relative": 0.012,
    "links_elsewhere": 0.012,
    "retry_time": 0.3,
    "configuration_lost": 0.012,
    "configuration_terminated": 0.012,
    "delivery_race": 0.3,
    "status_before_answer": 0.03,
    "token_refused": 0.2,
    # Notifications
    "final_status_lost": 0.2,
    "notification_lost": 0.02,
    "notification_duplicate": 0.02,
    "notification_reorder": 0.02,
    "notification_slow": 0.02,
    "notification_answer_lost": 0.02,
    "notification_both_identities": 0.05,
    "notification_unknown_identity": 0.02,
    "notification_unknown_resource": 0.02,
    "notification_unknown_status": 0.2,
    "notification_retry_time": 1.0,
    "notification_status_renamed": 0.25,
    "notification_links_relative": 0.02,
    "notification_links_elsewhere": 0.02,
    "notification_form": 0.02,
}
"""How probable each kind is at each of its occasions."""

LEFT_OUT = {"notification_oversize"}
"""It invents data of a device, so that the ledger must have a row which no device has sent."""

FAULTS = (
    *(Fault(kind, probability=often) for kind, often in _OFTEN.items()),
    # Two devices of which the SCEF takes nothing, and sizes that it refuses although it had said that they fit.
    Fault("refuse", where={"ue": "meter-3", "resource": "deliveries"}),
    Fault("refuse", where={"ue": "meter-4", "resource": "deliveries"}),
    # Three devices whose quota is always used up: rates that are learned leave few refusals to the others.
    *(
        Fault("refuse", where={"ue": f"meter-{n}", "resource": "deliveries"}, params={"why": "QUOTA_EXCEEDED"})
        for n in (10, 20, 30)
    ),
    Fault("refuse", probability=0.02, where={"resource": "deliveries"}, params={"why": "DATA_TOO_LARGE"}),
    # And messages that it will never take.
    Fault("refuse", probability=0.04, where={"resource": "deliveries"}, params={"why": "RDS_PORT_UNKNOWN"}),
)
