"""The contract of a transport toward servers: messages, and the links that carry them.

A *source* is a number that identifies one endpoint toward all its servers, permanently; a *server* is the key of a
section [servers.KEY]. Between a source and a server there is a *link*: only a socket for UDP, a session for DTLS, a
connection for TCP and TLS. The caller need not open a link before it sends: `send` opens a closed link, and queued
messages are sent in order when the link is open.

All methods are called in the event loop and return at once, `start` and `stop` excepted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class LinkState(Enum):
    """The state of a link. OPEN means that a message can be sent, not that the server is there."""

    CLOSED = "closed"  # not needed yet, or either side ended it; the next message opens it
    OPENING = "opening"  # messages wait, up to the bound of the transport
    OPEN = "open"
    FAILING = "failing"  # it could not be opened; messages are dropped until the next attempt


@dataclass(frozen=True, slots=True)
class Link:
    """The current state of a link. `reason`: why it is FAILING, or why the server CLOSED it, with the cure if known.

    `new_address`: it is OPEN, and the server sees the endpoint at another address than before. Nothing was sent yet.
    `retry_in`: seconds until a FAILING or CLOSED link is tried again automatically; None: with the next message.
    """

    state: LinkState
    reason: str = ""
    retry_in: float | None = None
    new_address: bool = False


class Sending(Enum):
    """The result of `send`."""

    LEFT = "left"  # handed to the system; over UDP and DTLS it may still be lost
    WAITS = "waits"  # queued: sent in order, when the link is open and the socket accepts more
    DROPPED = "dropped"  # dropped, and counted: the caller must send it again


@dataclass(slots=True)
class Counters:
    """Counters of a transport since it was made; of messages, unless said otherwise."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    deferred: int = 0  # waited, because the link was not open yet or the socket would have blocked
    send_dropped: int = 0  # too many waited already, or the link is failing
    send_failed: int = 0  # the system refused: no route, too large, filtered
    foreign: int = 0  # arrived for an address that cannot belong to an endpoint
    strangers: int = 0  # came from a sender that is not a configured server, and were dropped
    limited: int = 0  # came too fast from one server to one endpoint, and were dropped
    pings: int = 0  # CoAP pings to servers that have not shown their address
    unproven: int = 0  # answers that waited for that in vain
    receive_failed: int = 0  # errors on a socket, ICMP among them
    receiver_failed: int = 0  # the receiver raised
    receive_overflow: int = 0  # dropped by the kernel, a receive buffer being full
    opened: int = 0  # links that were opened
    resumed: int = 0  # of these, sessions resumed from earlier ones
    open_failed: int = 0  # failed attempts to open a link
    ended_by_server: int = 0  # open links that the server closed, or that broke
    closed_unrecorded: int = 0  # connections closed because a message was lost on them: unrecorded, or a dropped answer
    ocsp_asked: int = 0  # questions to OCSP responders
    ocsp_refused: int = 0  # openings refused because a responder says that the certificate is revoked, or unknown
    ocsp_closed: int = 0  # open sessions that were closed for that
    listed_refused: int = 0  # openings refused because a revocation list is newer than the last reload, and has it
    listed_closed: int = 0  # open sessions that were closed for that
    ocsp_unproven: int = 0  # openings for which no responder had a usable answer


class Receiver(Protocol):
    """Gets the messages of a transport. A receiver must be quick and do no I/O; exceptions are logged and counted."""

    def message(self, source: int, servers: tuple[str, ...], message: bytes) -> None:
        """Take one message for an endpoint.

        `servers` are the possible senders, at least one. A session knows exactly one. Over plain UDP several
        servers may share an address: then the endpoint's own one among them is the sender.
        """

    def link_changed(self, source: int, server: str | None, link: Link) -> None:
        """Learn that the state of a link changed; None: the links to all servers of this endpoint.

        The endpoint may have been removed.
        """


class NorthTransport(Protocol):
    """Carries CoAP messages between endpoints and servers, each complete and unchanged, in this transport's framing."""

    async def start(self, receiver: Receiver) -> None:
        """Begin to receive. Raises NorthUnavailable with the cure: then nothing stays open."""

    async def stop(self) -> None:
        """Close all links and receive no more; harmless when called twice. Queued messages are lost."""

    @property
    def opens_each(self) -> bool:
        """Return whether `open` does anything. False: servers reach every endpoint without it."""

    @property
    def descriptor_each(self) -> bool:
        """Return whether every endpoint, or its every link, takes a file descriptor."""

    def open(self, source: int, servers: Iterable[str]) -> None:
        """Let servers reach an endpoint before it has sent a message; harmless when called twice.

        `servers` are all servers of the endpoint: links to others are closed. Links are opened paced, in the
        background: `link` and `Receiver.link_changed` report their state.
        """

    def release(self, source: int) -> None:
        """Close all links of an endpoint, and release their resources; harmless when called twice."""

    def leave(self, source: int) -> None:
        """Do what `release` does without telling servers: another process opens the endpoint's links now."""

    def link(self, source: int, server: str) -> Link:
        """Return the state of a link. Not for the data path."""

    def send(
        self,
        source: int,
        server: str,
        message: bytes,
        *,
        opaque: bool = False,
        may_wait: bool = True,
        first: bool = False,
    ) -> Sending:
        """Send one message, opening the link if it is closed. Never raises.

        `opaque`: a DTLS record of the device's own session with this server, which is sent unchanged (R26). Unless
        `may_wait`, a message for which the link is not open yet is not queued: DROPPED. Only a full socket has it wait.
        `first`: it goes before those that `pause` has wait.
        """

    def pause(self, source: int, server: str) -> None:
        """Let messages over an open link wait until `proceed`, but for those that are sent with `first`.

        For the receiver, when it is told of a link with a `new_address`: there a server may know the endpoint only
        after a certain message.
        """

    def proceed(self, source: int, server: str) -> None:
        """End what `pause` began; it must be called once for each."""

    def carries(self, source: int, server: str, message: bytes, *, opaque: bool = False) -> bool:
        """Return whether this message would leave now, as far as the transport knows. For the data path.

        Nothing is kept for the message: what is sent before it may use up what is allowed now. The call opens nothing
        but an address of the endpoint's own that was not needed until now.
        """

    def address(self, server: str) -> str | None:
        """Return a server's address for people; None while it is unknown. Not for the data path."""

    def unanswered(self, source: int, server: str) -> None:
        """Record that a server did not acknowledge a message of this endpoint through all retransmissions.

        The server may have another address now, or have forgotten the endpoint's session.
        """

    def unrecorded(self, source: int, server: str) -> None:
        """Record that a message of a server, or a link that opened, could not be recorded by the receiver.

        Over UDP and DTLS the server repeats its message. Over a connection nobody does (RFC 8323 §3.1): the connection
        is closed, by which the server knows that the message may be lost, and opened again after a pause if it is
        wanted.
        """

    def counters(self) -> Counters:
        """Return the current counters. Not for the data path."""
