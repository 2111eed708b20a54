"""`bridge.store.contract.AccessTable` over the store."""

from dataclasses import astuple, replace
from typing import Any

from bridge.store.access import ApiKey, AuditEntry, Role
from bridge.store.sql.connection import Connection, latest_id, lock_ids, note_id
from bridge.store.sql.engine import Engine

_KEY = "SELECT id, name, role, digest, created_at, expires_at, revoked_at FROM api_key"


class SqlAccess:
    """Keys are few and needed with every request, so they stay in memory after they were read.

    `is_shared`: other nodes change keys, too. Then one is read each time: one that was revoked there ends here.
    """

    def __init__(self, store: Engine) -> None:
        self._store = store
        self.is_shared = False
        self._keys: dict[int, ApiKey] | None = None
        self._changes = 0  # how often a key was changed here

    async def add_key(self, key: ApiKey) -> ApiKey:
        def work(connection: Connection) -> int:
            lock_ids(connection, "api_key")
            id_ = latest_id(connection, "api_key") + 1
            connection.execute(
                "INSERT INTO api_key (id, name, role, digest, created_at, expires_at, revoked_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id_, *astuple(key)[1:]),
            )
            note_id(connection, "api_key", id_)
            return id_

        id_ = await self._store.run(work)
        self._changed()
        return replace(key, id=id_)

    async def keys(self) -> list[ApiKey]:
        return [*(await self._known()).values()]

    async def key(self, id_: int) -> ApiKey | None:
        if self.is_shared:
            return next(iter(await self._read(" WHERE id = ?", (id_,))), None)
        return (await self._known()).get(id_)

    async def revoke(self, id_: int, now: float) -> ApiKey | None:
        def work(connection: Connection) -> None:
            connection.execute("UPDATE api_key SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (now, id_))

        await self._store.run(work)
        self._changed()
        return await self.key(id_)

    async def note(self, entry: AuditEntry) -> None:
        def work(connection: Connection) -> None:
            lock_ids(connection, "audit")
            id_ = latest_id(connection, "audit") + 1
            connection.execute(
                "INSERT INTO audit (id, at, who, operation, subject, outcome) VALUES (?, ?, ?, ?, ?, ?)",
                (id_, *astuple(entry)[1:]),
            )
            note_id(connection, "audit", id_)

        await self._store.run(work)

    async def entries(self, *, before: int | None = None, limit: int) -> list[AuditEntry]:
        sql = "SELECT id, at, who, operation, subject, outcome FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"
        values = 2**63 - 1 if before is None else before, limit
        return await self._store.reads.ask(
            lambda reader: [AuditEntry(*row) for row in reader.connection.execute(sql, values)]
        )

    async def forget_entries(self, before: float) -> int:
        def work(connection: Connection) -> int:
            connection.execute("DELETE FROM audit WHERE at < ?", (before,))
            return int(connection.changes())

        return await self._store.run(work)

    def _changed(self) -> None:
        self._keys = None
        self._changes += 1

    async def _known(self) -> dict[int, ApiKey]:
        if self._keys is not None:
            return self._keys
        changes = self._changes
        known = {key.id: key for key in await self._read(" ORDER BY id")}
        if not self.is_shared and changes == self._changes:  # else it may have been read before a change
            self._keys = known
        return known

    async def _read(self, which: str, values: tuple[int, ...] = ()) -> list[ApiKey]:
        rows: list[Any] = await self._store.reads.ask(
            lambda reader: reader.connection.execute(f"{_KEY}{which}", values).fetchall()
        )
        return [ApiKey(row[0], row[1], Role(row[2]), *row[3:]) for row in rows]
