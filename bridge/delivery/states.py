"""States and outcomes of downlinks and uplinks, and which may follow which.

Every change of state goes through `Downlink.move` or `Uplink.move`, which hold it against the tables below. An outcome
never changes; an answer that arrives after it is noted as `late`, beside the outcome (R7, R12).
"""

from enum import StrEnum


class DownlinkState(StrEnum):
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
    UNKNOWN = "UNKNOWN"  # nobody knows; passed through, or the end


class UplinkState(StrEnum):
    RECEIVED = "RECEIVED"
    FORWARDED = "FORWARDED"  # the server has it: it acknowledged, or no acknowledgement is due
    DUPLICATE = "DUPLICATE"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"  # the server answered with a Reset


_D = DownlinkState
ENDS = frozenset(
    {
        _D.RESPONDED,
        _D.EXPIRED,
        _D.UNANSWERED,
        _D.TOO_LARGE,
        _D.REJECTED,
        _D.NACKED,
        _D.UNREACHABLE,
        _D.RATE_LIMITED,
        _D.CANCELLED,
        _D.SUPERSEDED,
        _D.FAILED,
    }
)
"""Always an outcome. SENT and DELIVERED are one where no answer is due, UNKNOWN where nothing is left to try."""

_AFTER_SUBMIT = ENDS | {_D.QUEUED, _D.BUFFERED, _D.SENT, _D.DELIVERED, _D.UNKNOWN}

DOWNLINK_TABLE: dict[DownlinkState, frozenset[DownlinkState]] = {
    _D.QUEUED: ENDS | {_D.SUBMITTING, _D.SENT, _D.DELIVERED, _D.UNKNOWN},  # the device has, or gets, an earlier attempt
    _D.SUBMITTING: _AFTER_SUBMIT,
    _D.BUFFERED: ENDS | {_D.QUEUED, _D.SENT, _D.DELIVERED, _D.UNKNOWN},
    _D.SENT: ENDS | {_D.QUEUED, _D.SUBMITTING, _D.DELIVERED, _D.UNKNOWN},
    _D.DELIVERED: ENDS | {_D.UNKNOWN},
    _D.UNKNOWN: ENDS | {_D.QUEUED, _D.SUBMITTING, _D.BUFFERED, _D.SENT, _D.DELIVERED},
} | {end: frozenset() for end in ENDS}

_U = UplinkState
UPLINK_TABLE: dict[UplinkState, frozenset[UplinkState]] = {
    _U.RECEIVED: frozenset({_U.FORWARDED, _U.DUPLICATE, _U.REPLACED, _U.EXPIRED, _U.REJECTED}),
    _U.FORWARDED: frozenset({_U.REJECTED}),  # a Reset after an Empty ACK
    _U.DUPLICATE: frozenset(),
    _U.REPLACED: frozenset(),
    _U.EXPIRED: frozenset(),
    _U.REJECTED: frozenset(),
}
