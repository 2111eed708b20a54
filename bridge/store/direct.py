"""Requests that came by the API, by the keys that their callers gave them. Part of `bridge.store.contract`.

A note is a row of the same commit as its downlink. The note is kept at least as long as that.
"""

from collections.abc import Sequence
from typing import Protocol

from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import ServerRequest


class DirectTable(Protocol):
    """All raise StoreUnavailable."""

    async def note(self, downlink: int) -> DirectNote | None:
        """Return the note of the request that began with a downlink."""

    async def known(self, endpoint: int, idempotency_key: str) -> DirectNote | None:
        """Return the request to an endpoint that has this idempotency key."""

    async def waiting(self, endpoint: int, supersede_key: str) -> list[int]:
        """Return the downlinks of requests to an endpoint with this key whose first message has no outcome yet."""

    async def parts(self, endpoint: int, north_token: bytes) -> Sequence[ServerRequest]:
        """Return all messages of one exchange, oldest first."""

    async def forget(self, before: float) -> int:
        """Remove notes from before wall time `before` of whose exchange no message is left; return how many."""
