"""The interface of clients that call operations, wherever the bridge is."""

from typing import Protocol, TypeVar

from bridge.operations.types.request import Request

R = TypeVar("R")


class Client(Protocol):
    """A client that calls operations."""

    async def ask(self, request: Request[R]) -> R:
        """Return the result of an operation. Raises the BridgeError that it raised."""
