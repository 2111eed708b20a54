"""The interface to a library for DTLS or TLS: bytes of the network in; messages, and bytes for the network, out.

A session does no I/O. Its user sends what `outgoing` returns after every call, `start`, `receive`, `send`, `expire` and
`close` alike, and calls `expire` when `deadline` seconds have passed. A session never gives up a handshake for lack
of answers: its user must limit the time.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from cryptography import x509

from bridge.tls.credentials import Credentials
from bridge.tls.settings import SessionSettings


class Phase(Enum):
    """The phases of a session. A session goes through them in this order, or from the first to the last."""

    HANDSHAKE = "handshake"
    OPEN = "open"  # messages can be sent; the server is authenticated
    OVER = "over"  # ended by either side, or failed: `Session.failure` says which


class Cause(Enum):
    """What kind of failure ended a session."""

    CREDENTIALS = "credentials"  # the server does not accept the endpoint's credentials
    CERTIFICATE = "certificate"  # the server's certificate is not accepted
    AGREEMENT = "agreement"  # no cipher suite or protocol version in common
    PROTOCOL = "protocol"  # the server violated the protocol
    CUT_OFF = "cut off"  # the server ended the session by an alert, or the connection broke


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a session failed. `text` says it for people, with the cure where one is known."""

    cause: Cause
    text: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert (RFC 5246 §7.2). `received`: the server sent it, else the bridge did."""

    description: int
    received: bool


class Resumption(Protocol):
    """The data from which a later session can be resumed: opaque, secret, valid in one process."""


class Session(Protocol):
    """One session with a server."""

    @property
    def phase(self) -> Phase: ...

    @property
    def failure(self) -> Failure | None:
        """Return why the session is OVER; None while it is not, and if it ended by close_notify."""

    @property
    def alert(self) -> Alert | None:
        """Return the last alert but close_notify (LwM2M /1/x/11), or None."""

    @property
    def heard(self) -> bool:
        """Return whether the server has sent anything valid."""

    @property
    def proven(self) -> bool:
        """Return whether the whole handshake was sent: if nothing follows, the server could not read its Finished."""

    @property
    def suite(self) -> str:
        """Return the cipher suite by its IANA name once the session is OPEN, else an empty string."""

    @property
    def resumed(self) -> bool:
        """Return whether the OPEN session was resumed from an earlier one."""

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Return the verified chain of the OPEN session's server, its own certificate first; empty with PSK."""

    def receive(self, data: bytes) -> list[bytes]:
        """Take one datagram, or bytes of a stream, from the server; return the messages in it.

        Over a stream the "messages" are pieces of one. Never raises, whatever the bytes.
        """

    def send(self, message: bytes) -> None:
        """Encrypt one message, or a piece of a stream. Only in phase OPEN; at most 16 384 bytes."""

    def outgoing(self) -> list[bytes]:
        """Return what must be sent now: datagrams, each of at most the MTU if possible; or pieces of a stream."""

    def deadline(self) -> float | None:
        """Return seconds from now after which `expire` must be called, 0 or more; None: time changes nothing."""

    def expire(self) -> None:
        """Process the deadline: send a flight again. Harmless when called too early."""

    def close(self) -> None:
        """End the session with close_notify; harmless when it has ended."""

    def resumption(self) -> Resumption | None:
        """Return the data to resume this session; None if it cannot be resumed."""


class Backend(Protocol):
    """A library that makes sessions."""

    @property
    def name(self) -> str:
        """Return the name and version of the library."""

    def check(self, settings: SessionSettings) -> None:
        """Raise ConfigurationError that names the setting, if this library does not support it."""

    def client(self, settings: SessionSettings, credentials: Credentials, resume: Resumption | None = None) -> Session:
        """Return a session whose first flight is `outgoing`.

        Raises ConfigurationError for credentials that cannot be used.
        """
