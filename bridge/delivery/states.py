"""The names of states and outcomes. An outcome never changes; a later answer is recorded beside it (R12)."""

from enum import StrEnum


class DownlinkState(StrEnum):
    """Where a message to a device is, or its outcome: of SENT, DELIVERED and UNKNOWN, `Downlink.over` says which."""

    QUEUED = "QUEUED"
    SUBMITTING = "SUBMITTING"
    BUFFERED = "BUFFERED"  # the network holds it
    SENT = "SENT"  # it left the network
    DELIVERED = "DELIVERED"  # the device's modem, MAC or CoAP layer has it
    RESPONDED = "RESPONDED"  # the matching answer is committed
    EXPIRED = "EXPIRED"  # certainly never delivered
    UNANSWERED = "UNANSWERED"  # it left for the device, no answer came
    TOO_LARGE = "TOO_LARGE"
    REJECTED = "REJECTED"  # the network or the device refused it
    NACKED = "NACKED"
    UNREACHABLE = "UNREACHABLE"
    RATE_LIMITED = "RATE_LIMITED"
    CANCELLED = "CANCELLED"
    SUPERSEDED = "SUPERSEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"  # unknown; may be an outcome, or may still change


class UplinkState(StrEnum):
    """Where a message toward a server is, or its outcome; UPLINK_TABLE says which may follow which."""

    RECEIVED = "RECEIVED"
    FORWARDED = (
        "FORWARDED"  # the server acknowledged; or no acknowledgement is due (docs/guarantees.md has what is known)
    )
    DUPLICATE = "DUPLICATE"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"  # the server answered with a Reset


_U = UplinkState
UPLINK_TABLE: dict[UplinkState, frozenset[UplinkState]] = {
    _U.RECEIVED: frozenset({_U.FORWARDED, _U.DUPLICATE, _U.REPLACED, _U.EXPIRED, _U.REJECTED}),
    _U.FORWARDED: frozenset({_U.REJECTED}),  # a Reset after an Empty ACK
    _U.DUPLICATE: frozenset(),
    _U.REPLACED: frozenset(),
    _U.EXPIRED: frozenset(),
    _U.REJECTED: frozenset(),
}
