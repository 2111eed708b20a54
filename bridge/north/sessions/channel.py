"""What stands between a link and its server: a DTLS session, a TCP connection, a TLS session on one."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from bridge.north.contract import Sending


class Ended(Enum):
    """How a channel ended, which says whose matter that is."""

    UNHEARD = "unheard"  # the server said nothing at all: it is down, or elsewhere
    REFUSED = "refused"  # the server, or we, do not accept the other: a matter of this link's credentials
    LOCAL = "local"  # it could not begin for a reason on this side, which says nothing of the server
    LOST = "lost"  # it was open, or about to be, and broke off
    CLOSED = "closed"  # the server closed it in good order


@dataclass(frozen=True, slots=True)
class End:
    """The end of a channel. `text` is for people, with the cure where one is known.

    `hold_off`: seconds that the server wants to be left alone.
    """

    how: Ended
    text: str
    hold_off: float = 0.0


class ChannelUser(Protocol):
    """Whom a channel tells. It is told nothing after `Channel.close`."""

    def opened(self, *, resumed: bool) -> None:
        """Messages can be sent now."""

    def arrived(self, message: bytes) -> None:
        """Take a message of the server's."""

    def writable(self) -> None:
        """Send on: the system takes more again."""

    def ended(self, end: End) -> None:
        """The channel is gone; it could not be opened, or does not work any more."""


class Channel(Protocol):
    """One way to a server. It begins to open when it is made, and bounds the time that it takes for that."""

    def send(self, message: bytes) -> Sending:
        """Send a message; only while open. DROPPED: it can never leave, or the system takes no more."""

    @property
    def is_full(self) -> bool:
        """Whether messages should wait for `writable`."""

    def close(self, *, in_order: bool) -> None:
        """End it, and tell nobody. `in_order`: tell the server; else it may be resumed by a later process."""
