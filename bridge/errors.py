"""All errors of the bridge, in one tree.

    BridgeError
     ├─ LocalError                 the configuration, the caller or this machine
     │   ├─ ConfigurationError     a setting is wrong; the text says which and the cure
     │   ├─ DirectoryError         an endpoint cannot be added or changed as asked
     │   ├─ StoreUnavailable       a commit failed (disk full, file locked); nothing was accepted
     │   │   └─ NotServedHere      another node of the cluster serves the endpoint
     │   ├─ RequestError           a caller's request is not valid
     │   ├─ NotFound               there is no such endpoint, message or network
     │   ├─ NotPossible            this network or object cannot do this; the text says what can
     │   ├─ LimitReached           as much waits as may: later there is room again
     │   ├─ KeyReused              an idempotency key was used for another request
     │   ├─ UnknownCaller          the key of a request is missing, unknown, expired or revoked
     │   ├─ AccessDenied           the caller's role may not do this
     │   ├─ TooManyGuesses         too many requests with a wrong key came from this address
     │   ├─ Outdated               the object to change has changed meanwhile
     │   ├─ NotRunning             only a running service can do this; it is down, starts or stops
     │   ├─ ServiceFailed          the service failed because of a bug; its log says more
     │   ├─ KeyUnavailable         a key that a message needs is not configured, or not known yet
     │   ├─ NorthUnavailable       an endpoint's own address or port cannot be used
     │   └─ BindingError           a binding cannot be found or started, or cannot do this
     └─ RemoteError                a peer sent something that cannot be used, or nothing
         ├─ CallFailed             a call of a network's API had no result
         ├─ MessageFormatError     not a CoAP message (RFC 7252 §3)
         ├─ NotificationError      a network's notification cannot be used
         └─ UnknownDevice          a network names a device that the directory does not know

For any invalid input, a parser raises MessageFormatError or NotificationError, and nothing else.
"""

from enum import Enum
from typing import ClassVar


class BridgeError(Exception):
    """Base of all errors; not raised itself. `http_status` is the status that an HTTP caller gets."""

    http_status: ClassVar[int] = 500

    @property
    def text(self) -> str:
        """Return what is wrong, in valid UTF-8: a byte of a header or path that is no UTF-8 is shown as `\\udcff`."""
        return str(self).encode("utf-8", "backslashreplace").decode()


class LocalError(BridgeError):
    """Something on this side is wrong; not raised itself."""


class ConfigurationError(LocalError):
    """A setting is wrong; the text names it and says the cure."""

    http_status = 400


class LedgerInUse(ConfigurationError):
    """Another bridge serves the ledger; the text says the cure."""


class DirectoryError(LocalError):
    """An endpoint cannot be added or changed as asked; the text says why."""

    http_status = 409


class StoreUnavailable(LocalError):
    """A commit failed; nothing of it was accepted, and the caller may try again later."""

    http_status = 503


class NotServedHere(StoreUnavailable):
    """Another node of the cluster serves the endpoint, or none does at this moment. `shard`: its own; -1: unknown."""

    def __init__(self, text: str, shard: int = -1) -> None:
        super().__init__(text)
        self.shard = shard


class RequestError(LocalError):
    """A caller's request is not valid; the text says what would be."""

    http_status = 400


class NotFound(LocalError):
    """There is no endpoint, message or network of this name or number."""

    http_status = 404


class NotPossible(LocalError):
    """The network or object cannot do what was requested; the text says what can."""

    http_status = 409


class LimitReached(LocalError):
    """As much waits for an endpoint as may, or a quota is used up; the text says which. Try again later."""

    http_status = 429


class KeyReused(LocalError):
    """An idempotency key was used before, for another request."""

    http_status = 422


class UnknownCaller(LocalError):
    """The key of a request is missing, unknown, expired or revoked."""

    http_status = 401


class AccessDenied(LocalError):
    """The caller's role may not do this, or the request comes from a page of another origin."""

    http_status = 403


class TooManyGuesses(LocalError):
    """Too many requests with a wrong key came from this address; the text says when the next one is checked."""

    http_status = 429


class Outdated(LocalError):
    """The object to change is not as the caller last read it; it must be read again."""

    http_status = 412


class NotRunning(LocalError):
    """Only a running service can do this, and it is down, still starts or already stops."""

    http_status = 503


class ServiceFailed(LocalError):
    """The service failed to carry out an operation because of a bug; its log says more."""


class KeyUnavailable(LocalError):
    """A key that a message needs is not configured, or not known yet; the text says which, and the cure."""

    http_status = 503


class NorthUnavailable(LocalError):
    """An endpoint's own address or port toward its server cannot be used; the endpoint is down until that changes."""

    http_status = 503


class BindingError(LocalError):
    """A binding cannot be found or started, or cannot do this."""

    http_status = 502


class RemoteError(BridgeError):
    """A peer sent something that cannot be used; not raised itself."""

    http_status = 400


class CallTrouble(Enum):
    """Why a call of a network's API had no result."""

    OUT_OF_REACH = "out of reach"  # no connection, no answer in time, or a proxy answered instead
    DENIED = "denied"  # the key is not accepted, or may not do this
    NOT_FOUND = "not found"  # the network does not know the object of the call
    INVALID = "invalid"  # the network will never accept this
    LIMITED = "limited"  # too many calls, or too much in one answer
    UNSUPPORTED = "unsupported"  # the network does not know the method
    FAILED = "failed"  # the network failed


class CallFailed(RemoteError):
    """A call of a network's API had no result.

    `unsure`: it is unknown whether the network acted on the call; else it certainly did not. `tried` is False if a
    limit of the bridge prevented the call, which says nothing about the network.
    """

    http_status = 502

    def __init__(self, trouble: CallTrouble, detail: str, *, unsure: bool, tried: bool = True) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.unsure = unsure
        self.tried = tried

    @property
    def out_of_reach(self) -> bool:
        """Return whether the network, or a proxy in front of it, could not be reached or did not answer."""
        return self.trouble is CallTrouble.OUT_OF_REACH


class MessageFormatError(RemoteError):
    """The bytes are not a CoAP message (RFC 7252 §3); the text says where the format is wrong."""


class NotificationError(RemoteError):
    """A network's notification cannot be used; `http_status` is the answer it gets."""

    def __init__(self, text: str, http_status: int = 400) -> None:
        super().__init__(text)
        self.http_status = http_status  # type: ignore[misc]  # a notification's answer differs by its fault


class UnknownDevice(RemoteError):
    """A network names a device that the directory does not know."""

    http_status = 404
