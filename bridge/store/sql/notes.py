"""The table of bindings' notes for `bridge.store.notes`."""

from collections.abc import Callable
from typing import Any

from bridge.store.contract import Done
from bridge.store.notes import FoundNote
from bridge.store.sql.asked import NoteRequest
from bridge.store.sql.connection import Connection
from bridge.store.sql.engine import Engine
from bridge.store.sql.reader import SqlReader


class SqlNotes:
    """`bridge.store.notes.NoteTable` over the store."""

    def __init__(self, store: Engine) -> None:
        self._store = store
        self.only: Callable[[], str] = lambda: ""  # a further condition for notes that are read page by page

    def find(self, network: str, key: str, done: FoundNote) -> None:
        self._store.loads.ask(NoteRequest(network, key, done))

    async def page(self, network: str, prefix: str, after: str | None, limit: int) -> list[tuple[str, bytes]]:
        comparison = ">=" if after is None else ">"
        sql = (
            f"SELECT key, value FROM note WHERE network = ?{self.only()}"  # noqa: S608  # our own sign
            f" AND key {comparison} ? AND substr(key, 1, CAST(? AS INTEGER)) = ? ORDER BY key LIMIT ?"
        )
        values = (network, prefix if after is None else after, len(prefix), prefix, limit)

        def page(reader: SqlReader) -> list[Any]:
            return reader.connection.execute(sql, values).fetchall()

        return await self._store.reads.ask(page)

    def put(self, network: str, key: str, value: bytes | None, device: str, done: Done) -> None:
        def work(connection: Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM note WHERE network = ? AND key = ?", (network, key))
            else:
                connection.execute(
                    "INSERT INTO note (network, key, device, shard, value) VALUES (?, ?, ?,"
                    " coalesce((SELECT shard FROM endpoint WHERE network = ? AND device = ?), 0), ?)"
                    " ON CONFLICT (network, key) DO UPDATE"
                    " SET device = excluded.device, value = excluded.value, shard = coalesce("
                    "(SELECT shard FROM endpoint WHERE network = ? AND device = ?), note.shard)",  # it may be removed
                    (network, key, device, network, device, value, network, device),
                )

        of_device = (network, device) if device else None
        self._store.write(work, done, touches=((network, key), (network, "", device)), device=of_device)
