"""What may go wrong in and around the emulated server, and what `where` of each fault may name."""

import random
from collections.abc import Iterable

from mock_network.faults import Fault, Faults

KINDS = {
    "tx_ack_lost": "the gateway sends the frame, its acknowledgement never reaches the server",
    "tx_error": "the gateway refuses the frame with the `status` given (TOO_LATE)",
    "downlink_lost": "the gateway acknowledges, the frame is lost on the air: a confirmed downlink ends in a nack",
    "uplink_lost": "an uplink, a Join-Request too, is lost before the server has it, whichever gateways heard it",
    "ack_lost": "an uplink's ACK bit is overlooked: a nack for a confirmed downlink that was received",
    "stall": "the device row is locked for `seconds` before the downlink is built",
    "crowding": "`bytes` of MAC commands (16) want room in the next class A downlink",
    "foreign_flush": "another user flushes the device's queue `seconds` after an item was added",
    "event_lost": "an integration event is lost on its way",
    "event_twice": "an integration event is delivered twice",
    "command_lost": "an MQTT command is lost",
    "commands_swapped": "an MQTT command is held until the next one has been handled, at most `seconds`",
    "grpc_unavailable": "a call fails with UNAVAILABLE before it has any effect",
    "grpc_unavailable_after": "a call takes effect, then fails with UNAVAILABLE",
    "grpc_deadline": "a call hangs without effect until the caller's deadline, at most `seconds`",
    "grpc_deadline_after": "a call takes effect, then hangs until the caller's deadline, at most `seconds`",
    "grpc_slow": "a call takes `seconds` longer",
}
"""Every kind with its effect; times are one second by default."""

_DOWNLINK = frozenset({"dev_eui", "confirmed"})
_EVENT = frozenset({"dev_eui", "event", "via"})
_CALL = frozenset({"dev_eui", "method"})
WHERE = {
    **dict.fromkeys(KINDS, frozenset({"dev_eui"})),
    **dict.fromkeys(("downlink_lost", "tx_ack_lost", "tx_error"), _DOWNLINK),
    **dict.fromkeys(("event_lost", "event_twice"), _EVENT),
    **dict.fromkeys((kind for kind in KINDS if kind.startswith("grpc_")), _CALL),
}
"""The members that describe an occasion of each kind. `dev_eui`: 16 lower-case digits; `confirmed`: true or false."""


def make_faults(seed: int, faults: Iterable[Fault] = ()) -> Faults:
    """Return the faults of one emulated server. Raises FaultError for an unknown kind or `where`."""
    return Faults(random.Random(f"{seed}:faults"), KINDS, faults, WHERE)


def seconds_of(fault: Fault) -> float:
    """Return the time that a fault takes."""
    try:
        return max(float(fault.params.get("seconds", 1.0)), 0.0)
    except (TypeError, ValueError):
        return 1.0
