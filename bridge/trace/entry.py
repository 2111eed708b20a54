"""One entry of a trace."""

from enum import StrEnum

import msgspec


class EntryKind(StrEnum):
    """The direction of bytes, or what else an entry is."""

    FROM_SERVER = "from server"
    TO_SERVER = "to server"
    FROM_DEVICE = "from device"
    TO_DEVICE = "to device"
    NETWORK = "network"  # a report of the device's network
    CALL = "call"  # of the network's API, with what it was answered
    OUTCOME = "outcome"  # the outcome of a message
    NOTE = "note"  # anything else


NOT_SENT = "not sent: "
"""The beginning of the note of a message that was not sent."""


class Entry(msgspec.Struct, frozen=True):
    """Bytes on one of the two hops, or a line of text."""

    at: float  # wall-clock seconds
    kind: EntryKind
    peer: str  # the server's key or the network's name; "" if neither applies
    data: bytes = b""
    note: str = ""
