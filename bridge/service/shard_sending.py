"""Holds messages toward servers back while the addresses of their endpoint's shard are not on this node.

A shard's endpoints are processed before its addresses have moved, and for a moment after they have been withdrawn. The
system refuses to send from an address that is not here, so a link of such an endpoint counts as not open.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection

from bridge.errors import StoreUnavailable
from bridge.relay import events as ev

PATIENCE = 1.0  # seconds at most for which a release waits for commits, whose messages leave before the addresses do

EventFunction = Callable[[int, ev.Event], None]
"""`event(endpoint, event)` has an endpoint process an event."""


class AddressesHere:
    """The shards whose addresses are on this node, and the endpoints that wanted to send before theirs were."""

    def __init__(self) -> None:
        self._here: set[int] = set()
        self._leaving: set[int] = set()  # they are here still, for what was decided before
        self._held_back: dict[int, set[int]] = {}  # shard → endpoints

    def has(self, shard: int) -> bool:
        """Return whether a message of the shard that is decided now will leave."""
        return shard in self._here

    def lets(self, shard: int, endpoint: int) -> bool:
        """Return whether a message may be sent now; else `came` returns its endpoint."""
        if shard in self._here or shard in self._leaving:
            return True
        self._held_back.setdefault(shard, set()).add(endpoint)
        return False

    def came(self, shard: int) -> Collection[int]:
        """Record that the addresses of a shard are here; return the endpoints that have something to send."""
        self._leaving.discard(shard)
        self._here.add(shard)
        return self._held_back.pop(shard, ())

    def leave(self, shard: int) -> None:
        """Record that the addresses of a shard, if they are here, will be withdrawn soon: call `left` before that."""
        if shard in self._here:
            self._here.discard(shard)
            self._leaving.add(shard)

    def left(self, shard: int) -> None:
        """Record that the addresses of a shard are not here any more."""
        self._leaving.discard(shard)
        self._held_back.pop(shard, None)


class ShardSending:
    """`bridge.cluster.contract.ShardFollower`; right after the one that moves the addresses."""

    def __init__(
        self, addresses: AddressesHere, event: EventFunction, committed: Callable[[], Awaitable[None]]
    ) -> None:
        """`committed` returns when all commits that were begun before have ended."""
        self._addresses = addresses
        self._event = event
        self._committed = committed

    async def taken(self, shard: int, _epoch: int) -> None:
        """Send at once what was held back."""
        for endpoint in self._addresses.came(shard):
            self._event(endpoint, ev.AddressCame())

    async def released(self, shard: int) -> None:
        """Let leave what was decided while the addresses were here; from then on nothing is sent."""
        self._addresses.leave(shard)
        try:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._committed()
        finally:
            self._addresses.left(shard)
