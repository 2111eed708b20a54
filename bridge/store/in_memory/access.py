"""`bridge.store.contract.AccessTable` over lists in memory."""

from dataclasses import replace

from bridge.store.access import ApiKey, AuditEntry
from bridge.store.in_memory.engine import Engine


class InMemoryAccess:
    def __init__(self, store: Engine) -> None:
        self._store = store
        self._disk = store.disk

    async def add_key(self, key: ApiKey) -> ApiKey:
        def work() -> ApiKey:
            added = replace(key, id=len(self._disk.keys) + 1)
            self._disk.keys.append(added)
            return added

        added: ApiKey = await self._store.run(work)
        return added

    async def keys(self) -> list[ApiKey]:
        await self._store.readable()
        return [*self._disk.keys]

    async def key(self, id_: int) -> ApiKey | None:
        return next((key for key in await self.keys() if key.id == id_), None)

    async def revoke(self, id_: int, now: float) -> ApiKey | None:
        def work() -> None:
            self._disk.keys[:] = [
                replace(key, revoked_at=now) if key.id == id_ and key.revoked_at is None else key
                for key in self._disk.keys
            ]

        await self._store.run(work)
        return await self.key(id_)

    async def note(self, entry: AuditEntry) -> None:
        def work() -> None:
            self._disk.audited += 1
            self._disk.audit.append(replace(entry, id=self._disk.audited))

        await self._store.run(work)

    async def entries(self, *, before: int | None = None, limit: int) -> list[AuditEntry]:
        await self._store.readable()
        return [one for one in reversed(self._disk.audit) if before is None or one.id < before][:limit]

    async def forget_entries(self, before: float) -> int:
        def work() -> int:
            kept = [entry for entry in self._disk.audit if entry.at >= before]
            number = len(self._disk.audit) - len(kept)
            self._disk.audit[:] = kept
            return number

        gone: int = await self._store.run(work)
        return gone
