"""The directory's table."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bridge.directory.contract import FoundRecord
from bridge.directory.keys import Key
from bridge.directory.record import Draft, EndpointRecord
from bridge.directory.sources import Sources
from bridge.errors import DirectoryError
from bridge.store.sql import directory_rows as rows
from bridge.store.sql.asked import RecordRequest
from bridge.store.sql.connection import value_of
from bridge.store.sql.engine import Engine


class SqlDirectory:
    """`bridge.directory.contract.DirectoryTable` over the store."""

    def __init__(self, store: Engine, size: int) -> None:
        self._store = store
        self.size = size

    def find(self, key: Key, done: FoundRecord) -> None:
        self._store.loads.ask(RecordRequest(key, done))

    async def page(
        self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str, after: str, limit: int
    ) -> list[EndpointRecord]:
        where, values = _filter(network, server, enabled, prefix)
        sql = f"{rows.SELECT} WHERE e.name > ?{where} ORDER BY e.name LIMIT ?"
        return await self._store.reads.ask(
            lambda reader: [*map(rows.record_of, reader.connection.execute(sql, (after, *values, limit)))]
        )

    async def newest(self) -> int:
        sql = "SELECT coalesce(max(id), 0) FROM endpoint"
        return await self._store.reads.ask(lambda reader: int(value_of(reader.connection, sql)))

    async def newer(self, than: int, limit: int) -> list[EndpointRecord]:
        sql = f"{rows.SELECT} WHERE e.id > ? ORDER BY e.id LIMIT ?"
        return await self._store.reads.ask(
            lambda reader: [*map(rows.record_of, reader.connection.execute(sql, (than, limit)))]
        )

    async def of_shard(self, shard: int, after: int, limit: int) -> list[EndpointRecord]:
        sql = f"{rows.SELECT} WHERE e.shard = ? AND e.id > ? ORDER BY e.id LIMIT ?"
        return await self._store.reads.ask(
            lambda reader: [*map(rows.record_of, reader.connection.execute(sql, (shard, after, limit)))]
        )

    async def count(self, *, network: str | None, server: str | None, enabled: bool | None, prefix: str) -> int:
        where, values = _filter(network, server, enabled, prefix)
        sql = f"SELECT count(*) FROM endpoint e WHERE TRUE{where}"  # noqa: S608  # our own text
        return await self._store.reads.ask(lambda reader: int(value_of(reader.connection, sql, values)))

    async def add(
        self, drafts: Sequence[Draft], sources: Sources | None, now: Callable[[], float]
    ) -> list[EndpointRecord]:
        made = await self._store.run(lambda c: rows.add(c, drafts, sources, now()), directory=True)
        self.size += len(made)
        return made

    async def change(
        self, wanted: Sequence[tuple[EndpointRecord, Draft]], now: Callable[[], float]
    ) -> list[EndpointRecord]:
        shards = [before.shard for before, _ in wanted]
        return await self._store.run(lambda c: rows.change_all(c, wanted, now()), directory=True, shards=shards)

    async def remove(self, id_: int, now: Callable[[], float], shard: int | None = None) -> None:
        shards = () if shard is None else (shard,)
        removed = await self._store.run(lambda c: rows.remove(c, id_, now()), directory=True, shards=shards)
        self.size -= removed

    async def renew(
        self, ids: Iterable[int], sources: Sources, now: Callable[[], float]
    ) -> list[tuple[EndpointRecord, EndpointRecord | DirectoryError]]:
        return await self._store.run(lambda c: rows.renew(c, ids, sources, now()), directory=True)


def _filter(network: str | None, server: str | None, enabled: bool | None, prefix: str) -> tuple[str, tuple[Any, ...]]:
    where = ""
    values: list[Any] = []
    if network is not None:
        where += " AND e.network = ?"
        values.append(network)
    if server is not None:
        where += " AND instr(e.servers, ?) > 0"  # within its quotes, which JSON escapes everywhere else
        values.append(json.dumps(server))
    if enabled is not None:
        where += " AND e.enabled = ?"
        values.append(enabled)
    if prefix:
        where += " AND substr(e.name, 1, CAST(? AS INTEGER)) = ?"
        values += [len(prefix), prefix]
    return where, tuple(values)
