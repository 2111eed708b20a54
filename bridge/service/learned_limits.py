"""Keeps the limits that networks were seen to keep, so that a restart does not run into the same refusals again.

A record for each device, and one for the network, is written a few seconds after it changed: no message waits for that,
and a kill costs the lessons of these seconds. In a cluster each node keeps its own, and of a device that comes it takes
over what the other nodes have kept.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping

import msgspec

from bridge.delivery.paces import NETWORK, PacesRecord
from bridge.errors import StoreUnavailable
from bridge.service.clock import Clock, moment
from bridge.service.network_calls import NetworkCalls
from bridge.store.done import future_and_done
from bridge.store.notes import PAGE, NoteTable

EVERY = 10.0  # seconds between two writes
AT_ONCE = 500  # records of a network in one write

log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True):
    """A note. The note says nothing of a monotonic clock, which a restart of the machine sets to 0."""

    at: float  # wall seconds: the moment of the record
    record: PacesRecord


_decoder = msgspec.msgpack.Decoder(_Kept)


class LearnedLimits:
    """The learned limits of all networks, over the notes of a store."""

    def __init__(
        self,
        table: NoteTable,
        calls: Mapping[str, NetworkCalls],
        clock: Clock,
        try_again: Callable[[NetworkCalls], None],
        node: str = "",
    ) -> None:
        """`calls`: of the networks that are configured now. `try_again` sends messages that a limit delayed."""
        self._table = table
        self._calls = calls
        self._clock = clock
        self._try_again = try_again
        self._node = node
        self._restored: dict[str, NetworkCalls] = {}
        self._listed: set[str] = set()  # networks of which it is noted that this node has kept something
        self._lock = asyncio.Lock()  # no record is written or read while all are removed

    async def restore(self) -> None:
        """Take over what earlier runs learned of networks that have just been started. Raises StoreUnavailable."""
        async with self._lock:
            for name, calls in [*self._calls.items()]:
                if self._restored.get(name) is not calls:
                    await self._restore(name, calls)
                    self._restored[name] = calls

    async def run(self) -> None:
        """Write what was learned every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.restore()
                await self.keep()
            except StoreUnavailable as error:
                extra = {"sample": "learned limits"}
                log.warning("learned limits could not be stored; the bridge tries again: %s", error, extra=extra)

    async def keep(self) -> None:
        """Write what was learned since the last time. Raises StoreUnavailable; what was not written is kept later."""
        async with self._lock:
            for name, calls in self._restored.items():
                while await self._keep(name, calls) == AT_ONCE:
                    pass

    async def keep_last(self) -> None:
        """Write what was learned, at a stop: nothing is raised, since all of it can be learned again."""
        with contextlib.suppress(StoreUnavailable):
            await self.keep()

    async def came(self, endpoints: Mapping[str, Collection[int]], nodes: Iterable[str]) -> None:
        """Take over what other nodes have learned of devices that come to this one. Raises StoreUnavailable.

        `endpoints`: by network; `nodes`: the names of the nodes that are in the cluster. Those that have left it, such
        as the one that has just handed the devices over, are found by what they have kept.
        """
        async with self._lock:
            for name, ids in endpoints.items():
                calls = self._calls.get(name)
                if calls is None or self._restored.get(name) is not calls:
                    continue
                now = moment(self._clock)
                kept = [key async for key, _ in self._page_by_page(_nodes_of(name))]
                found = [
                    record
                    for node in dict.fromkeys([*nodes, *kept])
                    if node != self._node
                    async for record in self._records(name, node, now.wall)
                    if record[0] != NETWORK and record[0] in ids
                ]
                if found:
                    calls.restore_limits(found, now)
                    calls.limits_not_kept([endpoint for endpoint, _, _ in found])  # from now on they are this node's

    async def forget(self, network: str) -> str | None:
        """Forget all limits of a network, and let messages that they held go; return what was known of them.

        Raises StoreUnavailable: then some may come back with the next start.
        """
        calls = self._calls[network]
        known = calls.limits(moment(self._clock))
        async with self._lock:
            calls.forget_limits()
            self._try_again(calls)
            keys = [key async for key, _ in self._notes(network, self._node)]
            await asyncio.gather(*(self._put(network, key, None) for key in keys))
        return known

    async def _restore(self, name: str, calls: NetworkCalls) -> None:
        now = moment(self._clock)
        records = [record async for record in self._records(name, self._node, now.wall)]
        if records:
            calls.restore_limits(records, now)
            log.info("limits of network %s that were learned earlier: %s", name, calls.limits(now) or "all are over")

    async def _records(self, name: str, node: str, now: float) -> AsyncIterator[tuple[int, PacesRecord, float]]:
        """Yield what a node has kept of a network: endpoint, record, and the record's age in seconds.

        A note of this node that cannot be read is removed.
        """
        async for key, value in self._notes(name, node):
            try:
                kept = _decoder.decode(value)
                # A clock that was set back since leaves what is known as it was at the stop.
                yield int(key), kept.record, max(now - kept.at, 0.0)
            except ValueError as error:
                log.warning("a limit of network %s that was learned earlier cannot be read: %s", name, error)
                if node == self._node:
                    await self._put(name, key, None)

    async def _keep(self, name: str, calls: NetworkCalls) -> int:
        now = moment(self._clock)
        changed = calls.limits_changed(now, AT_ONCE)
        lists = changed and self._node and name not in self._listed
        writes = [self._put_at(_nodes_of(name), self._node, b"")] if lists else []
        writes += [
            self._put(name, str(endpoint), None if record is None else msgspec.msgpack.encode(_Kept(now.wall, record)))
            for endpoint, record in changed.items()
        ]
        failed = [one for one in await asyncio.gather(*writes, return_exceptions=True) if one is not None]
        if failed:
            calls.limits_not_kept(changed)
            raise failed[0]
        if lists:
            self._listed.add(name)
        return len(changed)

    def _notes(self, network: str, node: str) -> AsyncIterator[tuple[str, bytes]]:
        return self._page_by_page(_place(network, node))

    async def _page_by_page(self, place: str) -> AsyncIterator[tuple[str, bytes]]:
        after: str | None = None
        while page := await self._table.page(place, "", after, PAGE):
            for key, value in page:
                yield key, value
            after = page[-1][0]

    def _put(self, network: str, key: str, value: bytes | None) -> "asyncio.Future[None]":
        return self._put_at(_place(network, self._node), key, value)

    def _put_at(self, place: str, key: str, value: bytes | None) -> "asyncio.Future[None]":
        written, done = future_and_done()
        self._table.put(place, key, value, "", done)
        return written


def _place(network: str, node: str) -> str:
    """Return the name under which a node's notes are: that of no network, so that no binding meets them."""
    return f"limits of {network}" + (f" at {node}" if node else "")


def _nodes_of(network: str) -> str:
    """Return the name under which the nodes are listed that have kept something of a network."""
    return f"nodes with limits of {network}"
