"""Lookups in the directory, and changes to it. The store has all records; memory only those used last."""

import asyncio
import logging
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from bindings.contract import MISS, Miss
from bridge.directory.catalogue import Catalogue
from bridge.directory.contract import DirectoryTable
from bridge.directory.keys import ByDevice, ById, ByName, BySource, Key, keys_of
from bridge.directory.record import DirectoryChange, Draft, EndpointRecord
from bridge.errors import BridgeError, DirectoryError
from bridge.lru import Lru
from bridge.relay.model import Endpoint

CACHED = 4096  # records in memory
RECORD_BYTES = 1500  # of memory that one record takes, about
KEYS = 4  # keys of one record
CHUNK = 500  # records changed in one transaction, so that other commits wait a few ms at most

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Seeded:
    """The result of `Directory.seed`. `different` ones exist with other settings, and were not changed."""

    added: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    refused: list[tuple[Draft, str]] = field(default_factory=list)


class Directory:
    """All endpoints. Those used last are in memory; the others are read from the table.

    `now` returns wall-clock seconds. Changes return when they are durable, and are made one after the other.
    """

    def __init__(
        self, table: DirectoryTable, catalogue: Catalogue, now: Callable[[], float], cached: int = CACHED
    ) -> None:
        """Make a directory that keeps at most `cached` records in memory."""
        self.table = table
        self.catalogue = catalogue
        self.now = now
        self.is_current: Callable[[EndpointRecord], bool] = lambda _record: True  # not where others may have changed it
        # Raises BridgeError if only others may.
        self.may_change: Callable[[EndpointRecord], None] = lambda _record: None
        self._cache: Lru[Key, EndpointRecord] = Lru(cached * KEYS)
        self._changing = asyncio.Lock()
        self._listeners: list[Callable[[DirectoryChange], None]] = []

    def subscribe(self, listener: Callable[[DirectoryChange], None]) -> None:
        """Call `listener` in the event loop after every change, when it is durable."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[DirectoryChange], None]) -> None:
        """Call `listener` no more."""
        self._listeners.remove(listener)

    def options(self, record: EndpointRecord) -> Mapping[str, str]:
        """Return the options in force for a record: its own, and what its network sets for it now."""
        return self.catalogue.options(record)

    # Lookups

    @property
    def size(self) -> int:
        """Return the number of endpoints."""
        return self.table.size

    def cached(self, key: Key) -> EndpointRecord | Miss:
        """Return the endpoint with this key if it is in memory, else MISS: it may be in the table."""
        return self._cache.get(key) or MISS

    def keep(self, found: EndpointRecord) -> None:
        """Keep a record in memory that was just read from the store."""
        for key in keys_of(found):
            self._cache.put(key, found)

    def forget_all(self) -> None:
        """Forget the records in memory: others may have changed them."""
        self._cache.clear()

    def find(self, key: Key) -> Future[EndpointRecord | None]:
        """Return a future of the endpoint with this key, or of None if there is none.

        The future raises StoreUnavailable.
        """
        future: Future[EndpointRecord | None] = asyncio.get_running_loop().create_future()

        def found(record: EndpointRecord | None, error: BridgeError | None) -> None:
            if record is not None:
                self.keep(record)
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(record)

        there = self.cached(key)
        if there is MISS or not self.is_current(there):
            self.table.find(key, found)
        else:
            future.set_result(there)
        return future

    async def by_id(self, id_: int) -> EndpointRecord | None:
        """Return the endpoint with this id, or None. Raises StoreUnavailable."""
        return await self.find(ById(id_))

    async def by_name(self, name: str) -> EndpointRecord | None:
        """Return the endpoint with this endpoint client name, or None. Raises StoreUnavailable."""
        return await self.find(ByName(name))

    async def by_device(self, network: str, device: str) -> EndpointRecord | None:
        """Return the endpoint with this canonical device address, or None. Raises StoreUnavailable."""
        return await self.find(ByDevice(network, device))

    async def by_source(self, source: int) -> EndpointRecord | None:
        """Return the endpoint with this source (bridge.north) of the current scheme, or None.

        Raises StoreUnavailable.
        """
        sources = self.catalogue.sources
        return None if sources is None else await self.find(BySource(sources.scheme, source))

    async def page(
        self,
        *,
        network: str | None = None,
        server: str | None = None,
        enabled: bool | None = None,
        prefix: str = "",
        after: str = "",
        limit: int = 100,
    ) -> list[EndpointRecord]:
        """Return endpoints in the order of their names, from the first one after the name `after`, a page at a time.

        Raises StoreUnavailable.
        """
        return await self.table.page(
            network=network, server=server, enabled=enabled, prefix=prefix, after=after, limit=limit
        )

    async def count(
        self, *, network: str | None = None, server: str | None = None, enabled: bool | None = None, prefix: str = ""
    ) -> int:
        """Return the number of endpoints that pass the filter. Raises StoreUnavailable."""
        return await self.table.count(network=network, server=server, enabled=enabled, prefix=prefix)

    async def all(self, *, network: str | None = None, enabled: bool | None = None) -> AsyncIterator[EndpointRecord]:
        """Yield every endpoint, page by page, so that other work can run in between."""
        after = ""
        while page := await self.page(network=network, enabled=enabled, after=after, limit=CHUNK):
            for found in page:
                yield found
            after = page[-1].name

    async def of_shards(self, shards: Iterable[int]) -> AsyncIterator[EndpointRecord]:
        """Yield every endpoint of some shards, page by page, so that other work can run in between."""
        for shard in shards:
            after = 0
            while page := await self.table.of_shard(shard, after, CHUNK):
                for found in page:
                    yield found
                after = page[-1].id

    def endpoint(self, record: EndpointRecord) -> Endpoint:
        """Return a record as an Endpoint of the core. Raises ConfigurationError if its profile is gone."""
        return self.catalogue.endpoint(record)

    # Changes

    async def add(self, draft: Draft) -> EndpointRecord:
        """Add an endpoint; it is durable when this returns. Raises DirectoryError or StoreUnavailable."""
        (made,) = await self.add_all([draft])
        return made

    async def add_all(self, drafts: Sequence[Draft]) -> Sequence[EndpointRecord]:
        """Add endpoints, all or none. Raises DirectoryError or StoreUnavailable."""
        checked = [self.catalogue.check(draft) for draft in drafts]
        async with self._changing:
            made = await self.table.add(checked, self.catalogue.sources, self.now)
        for record in made:
            self._tell(DirectoryChange(None, record))
        return made

    async def update(self, name: str, /, **changes: Any) -> EndpointRecord:
        """Change fields of `Draft` of an endpoint, its name too. Raises DirectoryError or StoreUnavailable."""
        (after,) = await self.update_all([(name, changes)])
        return after

    async def update_all(self, changes: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[EndpointRecord]:
        """Change endpoints, all or none: (name, fields of `Draft`). Raises DirectoryError or StoreUnavailable."""
        async with self._changing:
            found = [await self._existing(name) for name, _ in changes]
            wanted = [
                (before, self.catalogue.check(replace(before.draft(), **fields)))
                for before, (_, fields) in zip(found, changes, strict=True)
            ]
            real = [(before, draft) for before, draft in wanted if draft != before.draft()]
            changed = await self.table.change(real, self.now) if real else []
        after = {record.id: record for record in changed}
        for before, _ in real:
            self._tell(DirectoryChange(before, after[before.id]))
        return [after.get(before.id, before) for before in found]

    async def remove(self, name: str) -> EndpointRecord:
        """Remove an endpoint; unfinished messages get an outcome. Raises DirectoryError or StoreUnavailable.

        The service must have unloaded the endpoint before: later commits would belong to no endpoint.
        """
        async with self._changing:
            before = await self._existing(name)
            await self.table.remove(before.id, self.now, before.shard)
        self._tell(DirectoryChange(before, None))
        return before

    async def seed(self, drafts: Iterable[Draft], step: Callable[[], None] = lambda: None) -> Seeded:
        """Add endpoints that do not exist yet. Existing ones are neither changed nor removed.

        `step` is called for each draft.
        """
        seeded = Seeded()
        remaining = iter(drafts)
        while some := list(islice(remaining, CHUNK)):
            await self._seed(some, seeded)
            for _ in some:
                step()
        return seeded

    async def _seed(self, drafts: Sequence[Draft], seeded: Seeded) -> None:
        """Add some endpoints, the new ones in one transaction unless one of them is refused."""
        refused: dict[int, DirectoryError] = {}
        wanted: dict[int, Draft] = {}
        for number, draft in enumerate(drafts):
            try:
                wanted[number] = self.catalogue.check(draft)
            except DirectoryError as error:
                refused[number] = error
        there = await asyncio.gather(*(self.find(ByName(checked.name)) for checked in wanted.values()))
        new: dict[int, Draft] = {}
        for (number, checked), found in zip(wanted.items(), there, strict=True):
            if found is None:
                new[number] = checked
            elif found.draft() != checked:
                seeded.different.append(checked.name)
        try:
            await self.add_all([*new.values()])
        except DirectoryError:  # find the refused one
            for number, checked in list(new.items()):
                try:
                    await self.add(checked)
                except DirectoryError as error:
                    del new[number]
                    found = await self.by_name(checked.name)
                    if found is None or found.draft() != checked:  # else another node has just added it
                        refused[number] = error
        seeded.added += [checked.name for checked in new.values()]
        seeded.refused += [(drafts[number], str(refused[number])) for number in sorted(refused)]

    async def renew_sources(self, step: Callable[[int], None] = lambda _seen: None) -> int:
        """Assign a source to endpoints that have none of the current scheme and range; return how many changed.

        Listeners get the changes. An endpoint that cannot get one keeps its source, which is logged. `step` is
        called with the number of endpoints checked since the last call. Raises StoreUnavailable.
        """
        sources = self.catalogue.sources
        if sources is None:
            return 0
        changed = refused = 0
        after_name = ""
        while page := await self.page(after=after_name, limit=CHUNK):
            after_name = page[-1].name
            step(len(page))
            stale = [found.id for found in page if not sources.has(found)]
            if not stale:
                continue
            async with self._changing:
                pairs = await self.table.renew(stale, sources, self.now)
            for before, after in pairs:
                if isinstance(after, DirectoryError):
                    refused += 1
                    if refused == 1:
                        log.error("endpoint %s is down: %s", before.name, after)
                    continue
                changed += 1
                self._tell(DirectoryChange(before, after))
        if refused > 1:
            log.error("%d more endpoints are down for the same reason", refused - 1)
        return changed

    async def check_free(self, draft: Draft) -> None:
        """Refuse a checked draft whose name or device is taken. Raises DirectoryError or StoreUnavailable."""
        if await self.by_name(draft.name) is not None:
            raise DirectoryError(f"there is an endpoint {draft.name!r} already")
        holder = await self.by_device(draft.network, draft.device)
        if holder is not None:
            raise DirectoryError(
                f"device {draft.device!r} of network {draft.network!r} is endpoint {holder.name!r} already"
            )

    async def _existing(self, name: str) -> EndpointRecord:
        found = await self.by_name(name)
        if found is None:
            raise DirectoryError(f"there is no endpoint {name!r}")
        self.may_change(found)
        return found

    def _forget(self, gone: EndpointRecord | None) -> None:
        if gone is not None:
            for key in keys_of(gone):
                self._cache.drop(key)

    def _tell(self, change: DirectoryChange) -> None:
        self._forget(change.before)
        self._forget(change.after)
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                log.exception("work after a change of the directory failed")
