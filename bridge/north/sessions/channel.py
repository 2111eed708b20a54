"""A channel between a link and its server: a DTLS session, a TCP connection, a TLS session on one."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from bridge.north.contract import Sending


class Ended(Enum):
    """How a channel ended, and on whose side the cause is."""

    UNHEARD = "unheard"  # the server sent nothing at all: it is down, or has another address
    REFUSED = "refused"  # server or bridge does not accept the other: the cause is in this link's credentials
    LOCAL = "local"  # it could not begin for a reason on this side, which says nothing about the server
    LOST = "lost"  # it was open, or about to open, and broke
    CLOSED = "closed"  # the server closed it regularly


@dataclass(frozen=True, slots=True)
class End:
    """The end of a channel. `text` is for people, with the cure where one is known.

    `hold_off`: seconds in which the server wants no further connection.
    """

    how: Ended
    text: str
    hold_off: float = 0.0


class ChannelUser(Protocol):
    """The user of a channel, which gets its events, none after `Channel.close`."""

    def opened(self, *, resumed: bool) -> None:
        """Learn that messages can be sent now."""

    def arrived(self, message: bytes) -> None:
        """Process a message of the server."""

    def writable(self) -> None:
        """Continue sending: the system accepts more again."""

    def ended(self, end: End) -> None:
        """Record that the channel ended: it could not be opened, or no longer works."""


class Channel(Protocol):
    """One way to a server. A channel begins to open when it is made, and limits the time for that."""

    def send(self, message: bytes) -> Sending:
        """Send a message; only while open. DROPPED: it can never be sent, or the system accepts no more."""

    @property
    def is_full(self) -> bool:
        """Return whether messages should wait for `writable`."""

    def close(self, *, in_order: bool) -> None:
        """End it without an event. `in_order`: notify the server; else a later process may resume it."""
