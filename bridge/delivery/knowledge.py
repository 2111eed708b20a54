"""What is known of one attempt to hand a message to a network, and how that grows.

Nobody sees a message all the way to its device. What the bridge knows of an attempt comes from reports of the network,
messages of the device, and its own record. `grow` says what a report adds to what is known already. Reports may come
late, twice or in the wrong order, and knowledge never shrinks.
"""

from enum import IntEnum

from bridge.enums import members


class Knowledge(IntEnum):
    """What is known of one attempt. Numbers are stored."""

    PENDING = 0  # committed; the network is being called, or was when the process ended
    IN_DOUBT = 1  # it is unknown whether the network accepted it
    HELD = 2  # the network has it and will transmit it
    GONE = 3  # the network no longer has it, and may have transmitted it
    REFUSED = 4  # certain: the network did not accept it, or discarded it without transmitting it
    TAKEN_BACK = 5  # certain: removed from the network before it was transmitted
    LEFT = 6  # transmitted toward the device
    NACKED = 7  # transmitted; the device's modem or MAC did not acknowledge it
    DELIVERED = 8  # the device has it: its modem or MAC acknowledged it, or it answered


_K = members(Knowledge)
_TRANSMITTED = frozenset({_K.LEFT, _K.NACKED, _K.DELIVERED})
_CERTAIN = frozenset({_K.REFUSED, _K.TAKEN_BACK})

GROWS_TO: dict[Knowledge, frozenset[Knowledge]] = {
    _K.PENDING: frozenset({_K.IN_DOUBT, _K.HELD, _K.GONE}) | _CERTAIN | _TRANSMITTED,
    _K.IN_DOUBT: frozenset({_K.HELD, _K.GONE}) | _CERTAIN | _TRANSMITTED,
    _K.HELD: frozenset({_K.GONE}) | _CERTAIN | _TRANSMITTED,
    _K.GONE: _CERTAIN | _TRANSMITTED,
    # "Transmitted" after "refused" is believed: otherwise the bridge would claim too much.
    _K.REFUSED: _TRANSMITTED,
    _K.TAKEN_BACK: _TRANSMITTED,
    _K.LEFT: frozenset({_K.NACKED, _K.DELIVERED}),
    _K.NACKED: frozenset({_K.DELIVERED}),
    _K.DELIVERED: frozenset(),
}
"""What each knowledge may grow to. Any other report is known already, or contradicts what is certain."""


_GROWS = tuple(
    sum(1 << said for said in GROWS_TO[known]) for known in Knowledge
)  # the same as bits, since enums hash slowly


def grow(known: Knowledge, said: Knowledge) -> Knowledge:
    """Return what is known after the report `said`."""
    return said if _GROWS[known] >> said & 1 else known


def is_certain(known: Knowledge) -> bool:
    """Return whether the attempt certainly did not reach the device."""
    return known is _K.REFUSED or known is _K.TAKEN_BACK


_LEFT = int(Knowledge.LEFT)  # from this number on, the message was transmitted


def was_transmitted(known: Knowledge) -> bool:
    """Return whether the attempt was certainly transmitted toward the device."""
    return known >= _LEFT
