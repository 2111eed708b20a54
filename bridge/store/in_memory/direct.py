"""`bridge.store.direct.DirectTable` over tables in memory."""

from collections.abc import Iterator

from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import Downlink, ServerRequest
from bridge.store.in_memory.engine import Engine


class InMemoryDirect:
    def __init__(self, store: Engine) -> None:
        self._store = store
        self._tables = store.disk.tables

    async def note(self, downlink: int) -> DirectNote | None:
        await self._store.readable()
        return next((note for note in self._notes() if note.id == downlink), None)

    async def known(self, endpoint: int, idempotency_key: str) -> DirectNote | None:
        await self._store.readable()
        return next((one for one in self._notes(endpoint) if one.idempotency_key == idempotency_key), None)

    async def waiting(self, endpoint: int, supersede_key: str) -> list[int]:
        await self._store.readable()
        live = {row.id for row in self._tables.of(Downlink, endpoint) if not row.over}
        found = {note.id for note in self._notes(endpoint) if note.supersede_key == supersede_key}
        return sorted(live & found)

    async def parts(self, endpoint: int, north_token: bytes) -> list[ServerRequest]:
        await self._store.readable()
        rows = (row for row in self._tables.of(Downlink, endpoint) if type(row) is ServerRequest and row.is_direct)
        return sorted((row for row in rows if row.north_token == north_token), key=lambda row: row.id)

    async def forget(self, before: float) -> int:
        def work() -> int:
            rows = self._tables.those(Downlink, lambda row: type(row) is ServerRequest and row.is_direct)
            there = {(row.endpoint, row.north_token) for row in rows}
            gone = [one for one in self._notes() if one.at < before and (one.endpoint, one.north_token) not in there]
            for note in gone:
                self._tables.drop(note)
            return len(gone)

        number: int = await self._store.run(work)
        return number

    def _notes(self, endpoint: int | None = None) -> Iterator[DirectNote]:
        return self._tables.of(DirectNote, endpoint)
