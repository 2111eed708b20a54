"""What the bridge asks of a network for one downlink, and what the network answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

import msgspec


class Miss(Enum):
    """The result of a lookup in memory that does not know: the store has to be read."""

    MISS = "miss"


MISS = Miss.MISS


class Kind(StrEnum):
    """Kinds of downlink: a request, an answer to the device's own, opaque bytes (DTLS), a trigger of the bridge."""

    REQUEST = "request"
    ANSWER = "answer"
    OPAQUE = "opaque"
    TRIGGER = "trigger"


class NetworkState(Enum):
    """The state of a downlink in its network. An unknown state counts as BUFFERED: pending, never success."""

    BUFFERED = "buffered"  # the network holds it
    SENT = "sent"  # it left the network
    DELIVERED = "delivered"  # the device's modem or MAC has it


class Refusal(Enum):
    """Why a network refused, or gave up, a downlink. Certainly the device did not get this attempt.

    What the bridge does next depends on the cause. UNREACHABLE concerns the device: its messages wait until `retry_at`,
    or until it is heard. RATE_LIMITED and FAILED concern the message: only this message waits. The message is tried
    again until its deadline; a FAILED that is reported of a message that the network had accepted counts toward
    `SouthProfile.max_attempts`, since that attempt may have cost something. EXPIRED is treated like FAILED as long as
    the message's own deadline has not passed, and never counts. After both a message is also tried when its device is
    heard, unless the network named a time. NETWORK_UNAVAILABLE concerns the network: all its calls pause, and nothing
    counts.
    """

    TOO_LARGE = "too large"
    UNREACHABLE = "unreachable"  # the device, for now; retry_at may say until when
    RATE_LIMITED = "rate limited"  # quota or 429; retry_at may say until when
    EXPIRED = "expired"  # the network's own deadline passed first
    REJECTED = "rejected"  # it will never accept this one
    FAILED = "failed"  # the network failed to handle this message; it may be tried again
    NETWORK_UNAVAILABLE = "network unavailable"  # no connection, nothing sent, or a 5xx without a cause of the API


class Submission(msgspec.Struct, frozen=True):
    """One submission of a downlink to a network. `downlink` and `number` together are unique, never reused."""

    downlink: int
    number: int  # from 1
    device: str
    payload: bytes
    kind: Kind
    deadline: float | None = None  # the network must not deliver after it; None: no limit
    confirmed: bool = False
    priority: int = 0  # higher is sent first, if the network has priorities
    options: Mapping[str, str] = {}  # per-endpoint settings of this binding, from the directory
    repeatable: bool = (
        True  # False: the device must never get it twice (R9), so it stays submitted if it may have been sent
    )
    port: str | None = None  # the application port of its server or of what it answers; None: the network's usual


class Accepted(msgspec.Struct, frozen=True):
    """The network accepted the attempt. `handle` names it in reports and in `cancel`; None if it has ended already."""

    handle: str | None
    state: NetworkState


class LimitOf(Enum):
    """Whose limit a message was refused for, as far as the binding can tell."""

    DEVICE = "device"  # of this device; or nobody says whose
    NETWORK = "network"  # of all calls of the bridge
    BINDING = "binding"  # the binding's own: it says nothing of the network


class Refused(msgspec.Struct, frozen=True):
    """The network certainly did not accept the attempt. `retry_at` is a wall time; a retry before it is useless.

    With NETWORK_UNAVAILABLE it applies to all calls of the network, and is respected for at most a quarter of an hour.
    With RATE_LIMITED the bridge learns what the network takes, and delays what would be refused: `limit_of` says whose
    limit that is.
    """

    why: Refusal
    detail: str
    retry_at: float | None = None
    limit_of: LimitOf = LimitOf.DEVICE


class Ambiguous(msgspec.Struct, frozen=True):
    """The answer was lost: whether the network accepted the attempt is unknown, and the ledger says UNKNOWN."""

    detail: str


SubmitResult = Accepted | Refused | Ambiguous


class Presence(Enum):
    """Whether an attempt is in the network's queue. PRESENT proves that it was accepted; ABSENT proves nothing."""

    PRESENT = "present"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"  # the network could not be asked; ask again later


class Lookup(msgspec.Struct, frozen=True):
    """The result of `Binding.lookup`; `handle` only with PRESENT."""

    presence: Presence
    handle: str | None = None


class Cancellation(Enum):
    """The result of a cancel, as far as the binding is certain of it.

    Only the binding knows when its network transmits, so the bridge believes it: REMOVED becomes EXPIRED
    or CANCELLED in the ledger. A binding that cannot exclude a transmission, also because it was restarted
    since the submit, returns GONE or UNKNOWN.
    """

    REMOVED = "removed"  # it was removed from the network's queue, and cannot have been transmitted before
    GONE = "gone"  # the network no longer had it: transmitted, or ended by the network itself
    UNKNOWN = "unknown"  # unknown, or the network could not be asked; it may still be there


@dataclass(frozen=True, slots=True)
class SouthProfile:
    """What the core must know of a network. Published per device by its binding.

    Sources: RFC 7252 §4.8 for NIDD, OMA Transport App. C.2 for LoRaWAN.
    """

    retransmit_interval: float  # seconds after SENT before the same CoAP message is sent again
    max_retransmit: int
    retransmit_confirmed: bool  # whether CoAP retransmits over a confirmed link as well
    exchange_span: float  # seconds in which the device may repeat its own message with the same MID
    response_timeout: float  # seconds after SENT after which the next request may use the slot
    max_attempts: int  # submissions of one downlink at most that are not acknowledged, or fail after they were accepted
    empty_is_poll: bool  # an Empty message from the device is a poll for downlinks
    quick: bool  # the device may answer within the piggyback window
    can_cancel: bool
    can_expire: bool
    max_downlink: int | None = None  # bytes now; None: not known yet
    max_uplink: int | None = None  # the same for a message of the device
    default_lifetime: int | None = None  # LwM2M lifetime of a Register without one, seconds
    max_downlink_soon: int | None = None  # after a few more messages of the device, if that is more than now
    network_up: bool = True  # whether the network can be reached at all now
    sends_soon: bool = False  # a message that is BUFFERED goes to the device within about a second
