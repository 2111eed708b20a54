"""The interface of transports for ChirpStack's gRPC API, and what the failure of a call proves (R9: ambiguity)."""

from typing import Any, Protocol

import grpc

from bindings.http.client import Origin, split
from bindings.lorawan.settings import Api
from bridge.errors import CallFailed, CallTrouble, ConfigurationError

_DETAIL = 200  # characters of a peer's text kept in rows and logs
_PROVES_NOTHING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes after which the call may nevertheless have taken effect."""
_NOT_DONE = ("database is locked", "violates", "constraint")
"""Parts of error texts of a database that certainly did nothing: ChirpStack passes them on as INTERNAL."""


_TROUBLES = {
    grpc.StatusCode.UNAVAILABLE: CallTrouble.OUT_OF_REACH,
    grpc.StatusCode.DEADLINE_EXCEEDED: CallTrouble.OUT_OF_REACH,
    grpc.StatusCode.UNAUTHENTICATED: CallTrouble.DENIED,
    grpc.StatusCode.PERMISSION_DENIED: CallTrouble.DENIED,
    grpc.StatusCode.NOT_FOUND: CallTrouble.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: CallTrouble.INVALID,
    grpc.StatusCode.RESOURCE_EXHAUSTED: CallTrouble.LIMITED,
    grpc.StatusCode.UNIMPLEMENTED: CallTrouble.UNSUPPORTED,
}


def may_have_acted(code: grpc.StatusCode, detail: str) -> bool:
    """Return whether ChirpStack may have carried out the call, although it answers with this status.

    INTERNAL is its status for any error of its database, also after a commit, and a library's status for a
    broken stream. RESOURCE_EXHAUSTED is a library's status for an answer that is too large.
    """
    if code is grpc.StatusCode.INTERNAL:
        return not any(part in detail for part in _NOT_DONE)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return "larger than max" in detail
    return code in _PROVES_NOTHING


class GrpcFailed(CallFailed):
    """A call of ChirpStack's API had no result; `code` is gRPC's status."""

    def __init__(self, code: grpc.StatusCode, detail: str, *, unsure: bool, tried: bool = True) -> None:
        text = f"{code.name}: {detail}"[:_DETAIL]
        super().__init__(_TROUBLES.get(code, CallTrouble.FAILED), text, unsure=unsure, tried=tried)
        self.code = code
        self.for_users_only = code is grpc.StatusCode.UNAUTHENTICATED and not detail


def origin_of(settings: Api) -> Origin:
    """Read host:port of api.server. Raises ConfigurationError."""
    server = settings.server
    try:
        origin, target = split(f"{'https' if settings.tls else 'http'}://{server}")
    except ValueError:
        origin, target = None, ""
    if origin is None or target != "/" or "://" in server or "@" in server:
        raise ConfigurationError(f"api.server {server!r} must be host:port; set api.tls for TLS")
    return origin


class Stream(Protocol):
    """A stream of messages of ChirpStack."""

    async def read(self) -> Any | None:
        """Return the next message, or None after the last. Raises GrpcFailed."""

    def cancel(self) -> None:
        """End the stream."""


class Transport(Protocol):
    """One transport. A generated stub made with `channel` has the methods for `call` and `stream`."""

    channel: Any

    async def open(self) -> None:
        """Prepare; it connects with the first call."""

    async def close(self) -> None:
        """Close all connections; calls under way fail."""

    async def call(self, method: Any, request: Any) -> Any:
        """Make one unary call. Raises GrpcFailed."""

    def stream(self, method: Any, request: Any) -> Stream:
        """Begin a call whose answer is a stream. Raises GrpcFailed."""
