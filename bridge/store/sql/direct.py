"""`bridge.store.direct.DirectTable` over the store."""

from typing import Any

from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import DIRECT, Downlink, ServerRequest
from bridge.store.sql.connection import Connection
from bridge.store.sql.engine import Engine
from bridge.store.sql.reader import SqlReader
from bridge.store.sql.statements import ENDPOINT, columns_sql, decoder

_SELECT = f"SELECT {columns_sql(DirectNote)} FROM direct"  # noqa: S608  # names of our own
_WITHOUT_FIRST = _SELECT + " WHERE at < ? AND NOT EXISTS (SELECT 1 FROM downlink WHERE downlink.id = direct.id)"  # noqa: S608
_TOKENS = f"SELECT DISTINCT north_token FROM downlink WHERE {ENDPOINT} AND server = ?"  # noqa: S608  # names of our own


class SqlDirect:
    def __init__(self, store: Engine) -> None:
        self._store = store

    async def note(self, downlink: int) -> DirectNote | None:
        return await self._one(f"{_SELECT} WHERE id = ?", (downlink,))

    async def known(self, endpoint: int, idempotency_key: str) -> DirectNote | None:
        return await self._one(f"{_SELECT} WHERE endpoint = ? AND idempotency_key = ?", (endpoint, idempotency_key))

    async def waiting(self, endpoint: int, supersede_key: str) -> list[int]:
        sql = (
            "SELECT d.id FROM direct d JOIN downlink r ON r.id = d.id"
            " WHERE d.endpoint = ? AND d.supersede_key = ? AND r.over = 0 ORDER BY d.id"
        )
        values = endpoint, supersede_key
        return await self._store.reads.ask(lambda reader: [id_ for (id_,) in reader.connection.execute(sql, values)])

    async def parts(self, endpoint: int, north_token: bytes) -> list[ServerRequest]:
        sql = (
            f"SELECT {columns_sql(Downlink)} FROM downlink"  # noqa: S608  # names of our own
            f" WHERE {ENDPOINT} AND server = ? AND north_token = ? ORDER BY id"
        )

        def ask(reader: SqlReader) -> list[ServerRequest]:
            rows = map(decoder(Downlink), reader.connection.execute(sql, (endpoint, DIRECT, north_token)))
            return [reader.bodies.opened(row) for row in rows if type(row) is ServerRequest]

        return await self._store.reads.ask(ask)

    async def forget(self, before: float) -> int:
        def work(connection: Connection) -> int:
            of_endpoint: dict[int, list[DirectNote]] = {}
            for note in map(decoder(DirectNote), connection.execute(_WITHOUT_FIRST, (before,)).fetchall()):
                of_endpoint.setdefault(note.endpoint, []).append(note)
            gone: list[tuple[int]] = []
            for endpoint, notes in of_endpoint.items():  # a later message of the exchange may still be there
                there = {token for (token,) in connection.execute(_TOKENS, (endpoint, DIRECT))}
                gone += [(note.id,) for note in notes if note.north_token not in there]
            if gone:
                connection.executemany("DELETE FROM direct WHERE id = ?", gone)
            return len(gone)

        return await self._store.run(work)

    async def _one(self, sql: str, values: tuple[Any, ...]) -> DirectNote | None:
        row = await self._store.reads.ask(lambda reader: reader.connection.execute(sql, values).fetchone())
        return None if row is None else decoder(DirectNote)(row)
