"""Why a T8 request is refused, and how that is written on the wire: data, for profiles differ."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from mock_network.scef.schema import DeliveryStatus


class Refusal(Enum):
    """Why a T8 request is refused; `REFUSALS` has status and cause."""

    CONFIGURATION_UNKNOWN = "no such NIDD configuration"
    DELIVERY_UNKNOWN = "no such pending downlink data delivery"
    RESOURCE_UNKNOWN = "no such resource"
    UE_UNKNOWN = "no such subscriber"
    UE_NOT_AUTHORISED = "the subscriber is not authorised for NIDD"
    NOT_ALLOWED = "this SCS/AS may not use the subscriber"
    GROUP_UNSUPPORTED = "groups are not offered here, or the feature was not negotiated"
    ALREADY_CONFIGURED = "an NIDD configuration for this subscriber exists"
    IDENTITY_MISMATCH = "the subscriber is not the one of the resource"
    FEATURE_NOT_NEGOTIATED = "the feature that this needs was not negotiated"
    DATA_TOO_LARGE = "the data exceeds maximumPacketSize"
    RDS_PORT_UNKNOWN = "the RDS port is not configured"
    RDS_DISABLED = "the reliable data service is not enabled for this subscriber"
    RDS_IN_GROUP = "a group's downlink cannot ask for the reliable data service"
    PORT_NOT_FREE = "the RDS port is reserved already"
    PORT_REFUSED = "the UE refused the RDS port or its serialization formats"
    QUOTA_EXCEEDED = "the quota of the SCS/AS is used up"
    PLMN_RATE_EXCEEDED = "the serving PLMN's rate limit of the subscriber is reached"
    APN_RATE_EXCEEDED = "the APN's rate limit of the subscriber is reached"
    QUEUE_FULL = "the buffer of the subscriber is full"
    NO_PDN = "the UE has no PDN connection"
    UNREACHABLE = "the UE is temporarily not reachable"
    TIMEOUT = "the UE was not reached within maximumLatency"
    NEXT_HOP = "the next hop did not take the data"
    ALREADY_SENT = "the data has already been sent"
    ALREADY_FAILED = "the delivery has failed already, nothing is pending"
    NO_SMS = "the subscriber has no subscription for SMS"
    TRIGGER_TOO_LARGE = "the payload does not fit one SMS"
    TRIGGER_OVER = "the device trigger is not pending any more"
    EVENT_UNSUPPORTED = "this monitoring type is not offered here"
    PARAMETERS_NOT_ALLOWED = "the subscriber's parameters may not be configured"


# Refusal → (HTTP status, cause). DATA_TOO_LARGE and RDS_PORT_UNKNOWN are TS 29.122 §4.4.5.3.1; a failed downlink is 500
# with NiddDownlinkDataDeliveryFailure, §5.6.3.4. The other causes are not verified against the standard's tables: a
# client should go by the status. A profile may override single rows.
REFUSALS: dict[Refusal, tuple[int, str]] = {
    Refusal.CONFIGURATION_UNKNOWN: (404, "CONFIGURATION_NOT_FOUND"),
    Refusal.DELIVERY_UNKNOWN: (404, "DELIVERY_NOT_FOUND"),
    Refusal.RESOURCE_UNKNOWN: (404, "RESOURCE_NOT_FOUND"),
    Refusal.UE_UNKNOWN: (404, "USER_UNKNOWN"),
    Refusal.UE_NOT_AUTHORISED: (403, "USER_NOT_AUTHORIZED"),
    Refusal.NOT_ALLOWED: (403, "OPERATION_PROHIBITED"),
    Refusal.GROUP_UNSUPPORTED: (403, "OPERATION_PROHIBITED"),
    Refusal.ALREADY_CONFIGURED: (409, "CONFIGURATION_EXISTS"),
    Refusal.IDENTITY_MISMATCH: (403, "OPERATION_PROHIBITED"),
    Refusal.FEATURE_NOT_NEGOTIATED: (403, "OPERATION_PROHIBITED"),
    Refusal.DATA_TOO_LARGE: (403, "DATA_TOO_LARGE"),
    Refusal.RDS_PORT_UNKNOWN: (403, "RDS_PORT_UNKNOWN"),
    Refusal.RDS_DISABLED: (500, "RDS_DISABLED"),
    Refusal.RDS_IN_GROUP: (403, "OPERATION_PROHIBITED"),
    Refusal.PORT_NOT_FREE: (409, "PORT_NOT_FREE"),
    Refusal.PORT_REFUSED: (500, "PORT_REFUSED"),
    Refusal.QUOTA_EXCEEDED: (403, "QUOTA_EXCEEDED"),
    Refusal.PLMN_RATE_EXCEEDED: (429, "RATE_LIMIT_EXCEEDED"),
    Refusal.APN_RATE_EXCEEDED: (429, "RATE_LIMIT_EXCEEDED"),
    Refusal.QUEUE_FULL: (500, "BUFFER_FULL"),
    Refusal.NO_PDN: (500, "NO_PDN_CONNECTION"),
    Refusal.UNREACHABLE: (500, "TEMPORARILY_NOT_REACHABLE"),
    Refusal.TIMEOUT: (500, "TIMEOUT"),
    Refusal.NEXT_HOP: (500, "NEXT_HOP_FAILURE"),
    Refusal.ALREADY_SENT: (409, "ALREADY_DELIVERED"),
    Refusal.ALREADY_FAILED: (409, "DELIVERY_FAILED"),
    Refusal.NO_SMS: (403, "OPERATION_PROHIBITED"),
    Refusal.TRIGGER_TOO_LARGE: (403, "DATA_TOO_LARGE"),
    Refusal.TRIGGER_OVER: (404, "ALREADY_DELIVERED"),
    Refusal.EVENT_UNSUPPORTED: (403, "EVENT_UNSUPPORTED"),
    Refusal.PARAMETERS_NOT_ALLOWED: (403, "OPERATION_PROHIBITED"),
}

# How a delivery that failed after all is refused, where its POST is still unanswered.
FAILED_REFUSAL: dict[DeliveryStatus, Refusal] = {
    DeliveryStatus.FAILURE: Refusal.NEXT_HOP,
    DeliveryStatus.FAILURE_RDS_DISABLED: Refusal.RDS_DISABLED,
    DeliveryStatus.FAILURE_NEXT_HOP: Refusal.NEXT_HOP,
    DeliveryStatus.FAILURE_TIMEOUT: Refusal.TIMEOUT,
    DeliveryStatus.FAILURE_TEMPORARILY_NOT_REACHABLE: Refusal.UNREACHABLE,
}


class RefusedError(Exception):
    """A T8 request is refused. `downlink`: it is the failure of a downlink, which has its own form."""

    def __init__(
        self,
        why: Refusal,
        *,
        downlink: bool = False,
        retry_at: float | None = None,  # wall-clock seconds, for requestedRetransmissionTime
        wait: float | None = None,  # seconds, for Retry-After
        more: Mapping[str, Any] | None = None,  # further members of the problem details
    ) -> None:
        super().__init__(why.value)
        self.why = why
        self.downlink = downlink
        self.retry_at = retry_at
        self.wait = wait
        self.more = more or {}
