"""`bridge.store.contract.AccessTable` in SQLite."""

from dataclasses import astuple, replace
from typing import Any

import apsw

from bridge.store.access import ApiKey, AuditEntry, Role
from bridge.store.sqlite.engine import Engine

_KEY = "SELECT id, name, role, digest, created_at, expires_at, revoked_at FROM api_key"


class SqliteAccess:
    """Keys are few and needed with every request, so they stay in memory after they were read."""

    def __init__(self, store: Engine) -> None:
        self._store = store
        self._keys: dict[int, ApiKey] | None = None

    async def add_key(self, key: ApiKey) -> ApiKey:
        def work(connection: apsw.Connection) -> int:
            connection.execute(
                "INSERT INTO api_key (name, role, digest, created_at, expires_at, revoked_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                astuple(key)[1:],
            )
            return connection.last_insert_rowid()

        id_ = await self._store.run(work)
        self._keys = None
        return replace(key, id=id_)

    async def keys(self) -> list[ApiKey]:
        return [*(await self._known()).values()]

    async def key(self, id_: int) -> ApiKey | None:
        return (await self._known()).get(id_)

    async def revoke(self, id_: int, now: float) -> ApiKey | None:
        def work(connection: apsw.Connection) -> None:
            connection.execute("UPDATE api_key SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (now, id_))

        await self._store.run(work)
        self._keys = None
        return await self.key(id_)

    async def note(self, entry: AuditEntry) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.execute(
                "INSERT INTO audit (at, who, operation, subject, outcome) VALUES (?, ?, ?, ?, ?)", astuple(entry)[1:]
            )

        await self._store.run(work)

    async def entries(self, *, before: int | None = None, limit: int) -> list[AuditEntry]:
        sql = "SELECT id, at, who, operation, subject, outcome FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
        values = 2**63 - 1 if before is None else before, limit
        return await self._store.reads.ask(
            lambda reader: [AuditEntry(*row) for row in reader.connection.execute(sql, values)]
        )

    async def forget_entries(self, before: float) -> int:
        def work(connection: apsw.Connection) -> int:
            connection.execute("DELETE FROM audit WHERE at < ?", (before,))
            return int(connection.changes())

        return await self._store.run(work)

    async def _known(self) -> dict[int, ApiKey]:
        known = self._keys
        if known is None:
            rows: list[Any] = await self._store.reads.ask(
                lambda reader: reader.connection.execute(f"{_KEY} ORDER BY id").fetchall()
            )
            known = {row[0]: ApiKey(row[0], row[1], Role(row[2]), *row[3:]) for row in rows}
            self._keys = known
        return known
