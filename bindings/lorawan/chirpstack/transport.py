"""Ways to speak ChirpStack's gRPC API: what each gives, and what the failure of a call proves (R9)."""

from typing import Any, Protocol

import grpc

from bindings.http.client import Origin, split
from bindings.lorawan.settings import Api
from bridge.errors import ConfigurationError

_DETAIL = 200  # characters of a peer's text kept in rows and logs
PROVES_NOTHING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Codes after which the call may have taken effect all the same."""


class CallFailed(Exception):
    """A call had no result. `unsure`: nobody knows whether ChirpStack acted on it; else it did not.

    `tried` False: limits of our own kept it back, which says nothing about ChirpStack.
    """

    def __init__(self, code: grpc.StatusCode, detail: str, *, unsure: bool, tried: bool = True) -> None:
        super().__init__(f"{code.name}: {detail}"[:_DETAIL])
        self.code = code
        self.unsure = unsure
        self.tried = tried
        self.for_users_only = code is grpc.StatusCode.UNAUTHENTICATED and not detail

    @property
    def out_of_reach(self) -> bool:
        """Whether ChirpStack, or what stands before it, could not be reached or did not answer."""
        return self.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def origin_of(settings: Api) -> Origin:
    """Read host:port of api.server. Raises ConfigurationError."""
    server = settings.server
    try:
        origin, target = split(f"{'https' if settings.tls else 'http'}://{server}")
    except ValueError:
        origin, target = None, ""
    if origin is None or target != "/" or "://" in server or "@" in server:
        raise ConfigurationError(f"api.server {server!r} must be host:port; whether it is TLS says api.tls")
    return origin


class Stream(Protocol):
    """Messages that ChirpStack sends as long as it likes."""

    async def read(self) -> Any | None:
        """Give the next message, or None after the last. Raises CallFailed."""

    def cancel(self) -> None:
        """Want no more of them."""


class Transport(Protocol):
    """One way. A generated stub made with `channel` has the methods that `call` and `stream` take."""

    channel: Any

    async def open(self) -> None:
        """Get ready; it connects with the first call."""

    async def close(self) -> None:
        """Close all connections; calls under way fail."""

    async def call(self, method: Any, request: Any) -> Any:
        """Make one unary call. Raises CallFailed."""

    def stream(self, method: Any, request: Any) -> Stream:
        """Begin a call whose answer is a stream. Raises CallFailed."""
