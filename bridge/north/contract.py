"""What every way to reach servers offers to the service: messages, and links that they travel on.

A *source* is a number that stands for one endpoint toward all its servers, for ever; a *server* is the key of a section
[servers.KEY]. Between a source and a server there is a *link*: nothing but a socket for UDP, a session for DTLS, a
connection for TCP and TLS. The caller neither opens nor awaits one before it sends: `send` opens what is closed, and
what it takes meanwhile leaves in order when the link is open.

All methods are called in the event loop and return at once, `start` and `stop` excepted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class LinkState(Enum):
    """Where a link is. OPEN promises that a message can leave, not that the server is there."""

    CLOSED = "closed"  # nothing was asked for, or either side ended it; the next message opens it
    OPENING = "opening"  # messages wait, up to the bound of the transport
    OPEN = "open"
    FAILING = "failing"  # it could not be opened; messages are dropped until the next try


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it is now. `reason`: why it is FAILING, or why the server's side CLOSED it, with the cure where known.

    `new_address`: it is OPEN, and the server sees the endpoint at another address than before.
    `retry_in`: seconds until a FAILING or CLOSED link is tried again by itself; None: with the next message.
    """

    state: LinkState
    reason: str = ""
    retry_in: float | None = None
    new_address: bool = False


class Sending(Enum):
    """What became of a message that was given to `send`."""

    LEFT = "left"  # handed to the system; over UDP and DTLS it may still be lost
    WAITS = "waits"  # it leaves, in order, when the link is open and the socket takes more
    DROPPED = "dropped"  # it is gone, and counted: the caller's own repetition must bring it again


@dataclass(slots=True)
class Counters:
    """What a transport has seen since it was made. Messages, unless said otherwise."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    deferred: int = 0  # waited, because the link was not open yet or the socket would have blocked
    send_dropped: int = 0  # too many waited already, or the link is failing
    send_failed: int = 0  # the system refused: no route, too large, filtered
    foreign: int = 0  # arrived for an address that can be no endpoint's
    strangers: int = 0  # came from somebody who is no configured server, and were dropped
    receive_failed: int = 0  # errors on a socket, ICMP among them
    receiver_failed: int = 0  # the receiver raised
    receive_overflow: int = 0  # dropped by the kernel, a receive buffer being full
    opened: int = 0  # links that became open, where they have to be opened
    resumed: int = 0  # of these, sessions resumed from earlier ones
    open_failed: int = 0  # tries to open a link that failed
    ended_by_server: int = 0  # open links that the server closed, or that broke off


class Receiver(Protocol):
    """Takes what a transport brings. It must be quick and do no I/O; what it raises is logged and counted."""

    def message(self, source: int, servers: tuple[str, ...], message: bytes) -> None:
        """Take one message for an endpoint.

        `servers` are those that it can be from, at least one. A session knows exactly one. Over plain UDP several
        servers may share an address: the endpoint's own one among them is meant.
        """

    def link_changed(self, source: int, server: str | None, link: Link) -> None:
        """Take note that a link is in another state; None: the links to all servers of this endpoint are.

        The endpoint may be gone by now.
        """


class NorthTransport(Protocol):
    """Carries CoAP messages between endpoints and servers, each whole and unaltered, in this transport's framing."""

    async def start(self, receiver: Receiver) -> None:
        """Begin to receive. Raises NorthUnavailable with the cure: then nothing stays open."""

    async def stop(self) -> None:
        """Close all links and receive no more; harmless when done twice. What still waits is lost."""

    @property
    def opens_each(self) -> bool:
        """Whether `open` does anything. False: servers reach every endpoint without it."""

    @property
    def descriptor_each(self) -> bool:
        """Whether every endpoint, or its every link, takes a file descriptor."""

    def open(self, source: int, servers: Iterable[str]) -> None:
        """Have messages of its servers reach an endpoint before it has sent one; harmless when done twice.

        `servers` are all that the endpoint has: links to others are closed. Links are opened paced, in the background:
        `link` and `Receiver.link_changed` say how that goes.
        """

    def release(self, source: int) -> None:
        """Close all links of an endpoint and give up what they hold; harmless when done twice."""

    def link(self, source: int, server: str) -> Link:
        """Return the state of a link. Not for the data path."""

    def send(self, source: int, server: str, message: bytes, *, opaque: bool = False) -> Sending:
        """Send one message, opening the link if it is closed. Never raises.

        `opaque`: a DTLS record of the device's own session with this server, which passes as it is (R26).
        """

    def address(self, server: str) -> str | None:
        """Return where a server is, as people read it; None while that is not known. Not for the data path."""

    def unanswered(self, source: int, server: str) -> None:
        """Note that a server acknowledged nothing for as long as a message of this endpoint is repeated.

        It may be elsewhere by now, or may have forgotten the endpoint's session.
        """

    def counters(self) -> Counters:
        """Return the counters as they are now. Not for the data path."""
