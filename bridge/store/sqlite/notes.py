"""The table of bindings' notes for `bridge.store.notes`."""

from typing import Any

import apsw

from bridge.store.contract import Done
from bridge.store.notes import FoundNote
from bridge.store.sqlite.asked import AskedNote
from bridge.store.sqlite.engine import Engine
from bridge.store.sqlite.reader import Reader


class SqliteNotes:
    """`bridge.store.notes.NoteTable` over the store."""

    def __init__(self, store: Engine) -> None:
        self._store = store

    def find(self, network: str, key: str, done: FoundNote) -> None:
        self._store.loads.ask(AskedNote(network, key, done))

    async def page(self, network: str, prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        comparison = ">=" if after is None else ">"
        sql = (
            f"SELECT key, value FROM note WHERE network = ? AND key {comparison} ? AND substr(key, 1, ?) = ?"  # noqa: S608  # our own sign
            " ORDER BY key LIMIT ?"
        )
        values = (network, prefix if after is None else after, len(prefix), prefix, limit)

        def page(reader: Reader) -> list[Any]:
            return reader.connection.execute(sql, values).fetchall()

        return await self._store.reads.ask(page)

    def put(self, network: str, key: str, value: bytes | None, device: str, done: Done) -> None:
        def work(connection: apsw.Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM note WHERE network = ? AND key = ?", (network, key))
            else:
                connection.execute(
                    "INSERT INTO note VALUES (?1, ?2, ?3,"
                    " coalesce((SELECT shard FROM endpoint WHERE network = ?1 AND device = ?3), 0), ?4)"
                    " ON CONFLICT DO UPDATE"
                    " SET device = excluded.device, shard = excluded.shard, value = excluded.value",
                    (network, key, device, value),
                )

        self._store.write(work, done, touches=((network, key), (network, "", device)))
