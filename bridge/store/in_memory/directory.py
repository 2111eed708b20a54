"""The directory's table."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bridge.directory.contract import FoundRecord
from bridge.directory.keys import Key
from bridge.directory.record import Draft, EndpointRecord
from bridge.directory.sources import Sources
from bridge.errors import DirectoryError
from bridge.store.in_memory.engine import Engine


class InMemoryDirectory:
    """`bridge.directory.contract.DirectoryTable`."""

    def __init__(self, store: Engine) -> None:
        self._store = store
        self._records = store.disk.records

    @property
    def size(self) -> int:
        return len(self._records.records)

    def find(self, key: Key, done: FoundRecord) -> None:
        self._store.ask(lambda error: done(None if error else self._records.find(key), error))

    async def page(
        self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str, after: str, limit: int
    ) -> list[EndpointRecord]:
        found = await self._filtered(network, server, enabled, prefix)
        return sorted((one for one in found if one.name > after), key=lambda one: one.name)[:limit]

    async def newest(self) -> int:
        await self._store.readable()
        return max(self._records.records, default=0)

    async def newer(self, than: int, limit: int) -> list[EndpointRecord]:
        await self._store.readable()
        return sorted((one for one in self._records.records.values() if one.id > than), key=lambda one: one.id)[:limit]

    async def of_shard(self, shard: int, after: int, limit: int) -> list[EndpointRecord]:
        await self._store.readable()
        found = (one for one in self._records.records.values() if one.shard == shard and one.id > after)
        return sorted(found, key=lambda one: one.id)[:limit]

    async def count(self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str) -> int:
        return len(await self._filtered(network, server, enabled, prefix))

    async def add(
        self, drafts: Sequence[Draft], sources: Sources | None, now: Callable[[], float]
    ) -> list[EndpointRecord]:
        made: list[EndpointRecord] = await self._change(lambda: self._records.add(drafts, sources, now()))
        return made

    async def change(
        self, wanted: Sequence[tuple[EndpointRecord, Draft]], now: Callable[[], float]
    ) -> list[EndpointRecord]:
        changed: list[EndpointRecord] = await self._change(lambda: self._records.change(wanted, now()))
        return changed

    async def remove(self, id_: int, now: Callable[[], float], shard: int | None = None) -> None:  # noqa: ARG002  # its changes are not fenced
        await self._change(lambda: self._records.remove(id_, now()))

    async def renew(
        self, ids: Iterable[int], sources: Sources, now: Callable[[], float]
    ) -> list[tuple[EndpointRecord, EndpointRecord | DirectoryError]]:
        renewed: list[tuple[EndpointRecord, EndpointRecord | DirectoryError]] = await self._change(
            lambda: self._records.renew(ids, sources, now())
        )
        return renewed

    async def _change(self, change: Callable[[], Any]) -> Any:
        def work() -> Any:
            undo = self._records.snapshot()
            try:
                return change()
            except BaseException:
                undo()
                raise

        return await self._store.run(work)

    async def _filtered(
        self, network: str | None, server: str | None, enabled: bool | None, prefix: str
    ) -> list[EndpointRecord]:
        await self._store.readable()
        return [
            one
            for one in self._records.records.values()
            if network in (None, one.network)
            and (server is None or server in one.servers)
            and enabled in (None, one.enabled)
            and one.name.startswith(prefix)
        ]
