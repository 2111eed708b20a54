"""The ledger: states and outcomes of every downlink and uplink, and which state may follow which.

Every change of state goes through `Downlink.move` or `Uplink.move`, which hold it against the tables below. A terminal
state is an outcome: it never changes, but for the one correction that R7 and R12 know: an answer that arrives after all
is noted as `late`, beside the outcome.
"""

from enum import StrEnum
from typing import ClassVar

from bridge.delivery.rows import FOREVER, Row


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
_ENDS = frozenset(
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

_AFTER_SUBMIT = _ENDS | {_D.QUEUED, _D.BUFFERED, _D.SENT, _D.DELIVERED, _D.UNKNOWN}

DOWNLINK_TABLE: dict[DownlinkState, frozenset[DownlinkState]] = {
    _D.QUEUED: _ENDS
    | {_D.SUBMITTING, _D.SENT, _D.DELIVERED, _D.UNKNOWN},  # the device has, or gets, an earlier attempt
    _D.SUBMITTING: _AFTER_SUBMIT,
    _D.BUFFERED: _ENDS | {_D.QUEUED, _D.SENT, _D.DELIVERED, _D.UNKNOWN},
    _D.SENT: _ENDS | {_D.QUEUED, _D.SUBMITTING, _D.DELIVERED, _D.UNKNOWN},
    _D.DELIVERED: _ENDS | {_D.UNKNOWN},
    _D.UNKNOWN: _ENDS | {_D.QUEUED, _D.SUBMITTING, _D.BUFFERED, _D.SENT, _D.DELIVERED},
} | {end: frozenset() for end in _ENDS}

_U = UplinkState
UPLINK_TABLE: dict[UplinkState, frozenset[UplinkState]] = {
    _U.RECEIVED: frozenset({_U.FORWARDED, _U.DUPLICATE, _U.REPLACED, _U.EXPIRED, _U.REJECTED}),
    _U.FORWARDED: frozenset({_U.REJECTED}),  # a Reset after an Empty ACK
    _U.DUPLICATE: frozenset(),
    _U.REPLACED: frozenset(),
    _U.EXPIRED: frozenset(),
    _U.REJECTED: frozenset(),
}


class Downlink(Row):
    """One message to a device. Times are wall-clock seconds.

    `over` says whether `state` is its outcome. `keep_until` is how long the core still needs a row that is over: for a
    server's retransmission (R4), a late answer (R12) or its south token (R1).
    """

    TABLE: ClassVar[str] = "downlink"
    FROZEN: ClassVar[frozenset[str]] = frozenset(
        {
            "endpoint", "shard", "kind", "accepted_at", "server", "north_mid", "north_token", "confirmable",
            "operation", "observe", "repeatable", "south_mid", "south_token", "answers", "priority",
        }
    )  # fmt: skip

    id: int
    endpoint: int
    shard: int
    kind: str  # bindings.contract.Kind value
    accepted_at: float
    server: str  # "" for an answer
    north_mid: int | None
    north_token: bytes
    confirmable: bool  # how the server sent it
    operation: str  # Read, Write, Execute… for people and for R9
    observe: int | None  # the request's Observe value
    repeatable: bool  # may be submitted once more after an ambiguity (R9)
    south_mid: int | None
    south_token: bytes | None
    answers: int | None  # the uplink that an answer is for
    priority: int
    payload: bytes  # as it goes to the network
    state: DownlinkState = DownlinkState.QUEUED
    over: bool = False
    deliver_by: float | None = None
    answer_by: float | None = None
    not_before: float | None = None
    attempt: int = 0  # submissions so far
    sent: int = 0  # times it left the network
    sent_at: float | None = None
    failures: int = 0  # nacks and breakdowns, held against SouthProfile.max_attempts
    repeated: bool = False  # its one repetition after an ambiguity is used up (R9)
    answered: bool = False  # the server has its answer or the bridge's verdict, or has been left in silence on purpose
    handle: str | None = None
    setback: str | None = None  # the outcome it gets if attempts or deadline end it
    reason: str = ""
    late: bool = False
    finished_at: float | None = None
    keep_until: float = FOREVER
    due: float | None = None  # when it needs attention without an event; indexed
    cancel_asked: bool = False  # a person wants it cancelled: no further copy goes, and the network gives it up (R11)
    split_from: bytes | None = None  # the server's block that this message is a part of (R25)

    @property
    def never_left(self) -> bool:
        """Whether the device certainly has no copy of it. Of a QUEUED row; what the network holds may be on its way."""
        return self.sent == 0 and self.setback not in (DownlinkState.UNKNOWN, DownlinkState.NACKED)

    def move(self, state: DownlinkState, now: float, reason: str = "", *, over: bool | None = None) -> None:
        """Go to `state`, at wall time `now`. `over` is said for SENT, DELIVERED and UNKNOWN where they are the end."""
        if self.over or state not in DOWNLINK_TABLE[self.state]:
            if state is self.state and not self.over:
                pass  # saying again where it is, or that this is the end
            else:
                raise AssertionError(f"downlink {self.id}: no way from {self.state} (over={self.over}) to {state}")
        self.state = state
        if reason:
            self.reason = reason
        self.over = state in _ENDS if over is None else over
        if self.over:
            self.finished_at = now
            self.due = None


class Uplink(Row):
    """One message toward a server: from the device, or the bridge's own verdict on a downlink (`kind` verdict)."""

    TABLE: ClassVar[str] = "uplink"
    FROZEN: ClassVar[frozenset[str]] = frozenset(
        {
            "endpoint", "shard", "kind", "received_at", "server", "operation", "confirmable", "south_mid",
            "south_token", "digest", "duplicate_key", "downlink", "north_token", "north_confirmable",
        }
    )  # fmt: skip

    id: int
    endpoint: int
    shard: int
    kind: str  # request, notification, response, opaque, verdict
    received_at: float
    server: str
    operation: str  # Register, Update, Send, Notify…
    confirmable: bool  # how the device sent it
    south_mid: int | None
    south_token: bytes
    digest: bytes  # of the bytes as they arrived, for R13
    duplicate_key: str | None
    downlink: int | None  # the request that a response or verdict answers
    north_token: bytes
    north_confirmable: bool  # the server must acknowledge it
    north_mid: int | None
    payload: bytes  # as it goes to the server
    state: UplinkState = UplinkState.RECEIVED
    acknowledged: bool = False  # by the server
    answer: bytes | None = None  # the kept reply (R13), as it goes to the device
    answer_downlink: int | None = None  # the row that carried it last
    answer_mid: int | None = None  # MID of the server's separate response, to acknowledge it again
    expires_at: float | None = None
    reason: str = ""
    finished_at: float | None = None
    keep_until: float = FOREVER
    due: float | None = None

    def move(self, state: UplinkState, now: float, reason: str = "") -> None:
        """Go to `state` at wall time `now`."""
        if state not in UPLINK_TABLE[self.state]:
            raise AssertionError(f"uplink {self.id}: no way from {self.state} to {state}")
        self.state = state
        if reason:
            self.reason = reason
        self.finished_at = now


class UnattributedReport(Row):
    """A delivery report whose handle no downlink has yet: kept until it is known (R7), bounded (R30)."""

    TABLE: ClassVar[str] = "report"
    FROZEN: ClassVar[frozenset[str]] = frozenset(
        {"endpoint", "shard", "handle", "outcome", "detail", "retry_at", "nack", "received_at"}
    )

    id: int
    endpoint: int
    shard: int
    handle: str
    outcome: str  # value of a NetworkState or Refusal; "" where nobody can say
    detail: str
    retry_at: float | None
    nack: bool
    received_at: float
