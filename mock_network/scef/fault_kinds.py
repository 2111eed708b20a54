"""The faults of the emulated SCEF: what each does, which occasions `where` can choose, what `params` it takes."""

from dataclasses import dataclass, field

from mock_network.scef.core.refusals import Refusal

# What `where` can name, by place
HTTP = ("api", "method", "resource", "scs_as", "ue")
TOKEN = ("client_id",)
NOTIFICATION = ("kind", "scs_as", "ue", "status")


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind. `params` says for each parameter what it is, and its default."""

    name: str
    about: str
    where: tuple[str, ...]
    params: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return one sentence for people."""
        words = self.about
        if self.params:
            words += "; params " + ", ".join(f"{name} ({about})" for name, about in self.params.items())
        return f"{words}; where {', '.join(self.where)}"


_SECONDS = "seconds"

KINDS = (
    # Around a request
    FaultKind("cut_before_processing", "the connection breaks before the request has any effect", HTTP),
    FaultKind(
        "cut_after_processing", "the request takes effect, then the connection breaks instead of the answer", HTTP
    ),
    FaultKind("cut_in_answer", "the request takes effect, the connection breaks in the middle of the answer", HTTP),
    FaultKind(
        "http_error",
        "an error answer",
        HTTP,
        {
            "status": "503",
            "cause": "none",
            "retry_after": "seconds, none",
            "retry_in": "seconds until requestedRetransmissionTime, none",
            "processed": "false: without any effect",
        },
    ),
    FaultKind(
        "proxy_page",
        "a proxy answers with a page of HTML",
        HTTP,
        {"status": "502", "processed": "false: without any effect"},
    ),
    FaultKind("redirect", "an answer that points to another apiRoot of the same SCEF", HTTP, {"status": "307"}),
    FaultKind("slow_answer", "the answer is held back", HTTP, {_SECONDS: "5"}),
    FaultKind("slow_body", "the body of the answer trickles", HTTP, {_SECONDS: "5"}),
    FaultKind("tokens_revoked", "all access tokens that were issued are void from this request on", HTTP),
    FaultKind(
        "refuse",
        "the SCEF refuses, although it need not",
        HTTP,
        {"why": f"QUEUE_FULL; one of {', '.join(one.name for one in Refusal)}", "retry_in": "seconds, none"},
    ),
    # What an answer says
    FaultKind("no_location", "a 201 has no Location", HTTP),
    FaultKind("no_self", "the body has no self", HTTP),
    FaultKind("no_status", "a delivery has no deliveryStatus", HTTP),
    FaultKind("status_renamed", "a delivery has `status` in place of `deliveryStatus`", HTTP),
    FaultKind("unknown_status", "a deliveryStatus that no release knows", HTTP, {"status": "PARKED"}),
    FaultKind("links_relative", "Location and self are relative", HTTP),
    FaultKind("links_elsewhere", "Location and self have another prefix", HTTP, {"prefix": "/gw/configurations/7"}),
    FaultKind("retry_time", "a requestedRetransmissionTime is so far from now", HTTP, {_SECONDS: "-600"}),
    # Resources
    FaultKind("configuration_lost", "the SCEF forgets the NIDD configuration of the request without a word", HTTP),
    FaultKind("configuration_terminated", "the NIDD configuration of the request ends, and that is notified", HTTP),
    FaultKind("delivery_race", "a delivery leaves just before it is changed or cancelled", HTTP),
    FaultKind(
        "status_before_answer",
        "a downlink or trigger is answered 201 after its end was notified",
        HTTP,
        {_SECONDS: "5, at most"},
    ),
    # Tokens
    FaultKind(
        "token_refused", "the token endpoint refuses the client", TOKEN, {"status": "401", "error": "invalid_client"}
    ),
    # Notifications
    FaultKind("final_status_lost", "a delivery status is never notified", NOTIFICATION),
    FaultKind("notification_lost", "a notification is never sent", NOTIFICATION),
    FaultKind("notification_duplicate", "a notification is sent twice", NOTIFICATION),
    FaultKind(
        "notification_reorder", "a notification is sent later, others overtake it", NOTIFICATION, {_SECONDS: "1"}
    ),
    FaultKind("notification_slow", "a notification, and those behind it, is sent later", NOTIFICATION, {_SECONDS: "3"}),
    FaultKind(
        "notification_answer_lost",
        "the SCS/AS's answer counts for nothing: the notification is sent again",
        NOTIFICATION,
    ),
    FaultKind("notification_both_identities", "an uplink names the UE by externalId and msisdn", NOTIFICATION),
    FaultKind(
        "notification_unknown_identity",
        "a notification names a subscriber that nobody knows",
        NOTIFICATION,
        {"external_id": "nobody@unknown.example"},
    ),
    FaultKind(
        "notification_unknown_resource", "a notification names a configuration that does not exist", NOTIFICATION
    ),
    FaultKind("notification_unknown_status", "a status that no release knows", NOTIFICATION, {"status": "PARKED"}),
    FaultKind(
        "notification_retry_time", "a requestedRetransmissionTime is so far from now", NOTIFICATION, {_SECONDS: "-600"}
    ),
    FaultKind("notification_status_renamed", "`status` in place of `deliveryStatus`", NOTIFICATION),
    FaultKind("notification_links_relative", "the links are relative", NOTIFICATION),
    FaultKind(
        "notification_links_elsewhere",
        "the links have another prefix",
        NOTIFICATION,
        {"prefix": "/gw/configurations/7"},
    ),
    FaultKind(
        "notification_oversize", "an uplink carries more data than its UE sent", NOTIFICATION, {"octets": "2000"}
    ),
    FaultKind(
        "notification_form",
        "the notification is written in an odd, and mostly legal, form",
        NOTIFICATION,
        {"form": "bom; one of bom, gzip, charset, chunked, trailing_slash, lower_case_scheme, not_json"},
    ),
)

ABOUT = {kind.name: kind.text() for kind in KINDS}
WHERE = {kind.name: frozenset(kind.where) for kind in KINDS}
