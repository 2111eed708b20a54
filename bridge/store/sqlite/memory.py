"""Durable notes of bindings: `bindings.contract.Memory` over the store."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import apsw

if TYPE_CHECKING:
    from bridge.store.sqlite.store import SqliteStore

PAGE = 500  # keys read at a time, so that no read stays open while a binding works through them


class NetworkMemory:
    """The notes of one network instance."""

    def __init__(self, store: "SqliteStore", network: str) -> None:
        self._store = store
        self._network = network

    def get(self, key: str) -> bytes | None:
        """Give what was last committed under `key`. Raises `bridge.errors.StoreUnavailable`."""
        row = self._store.first("SELECT value FROM binding_memory WHERE network = ? AND key = ?", (self._network, key))
        return None if row is None else row[0]

    def items(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """Give all notes whose key starts with `prefix`, in the order of their keys."""
        after = prefix
        comparison = ">="
        while True:
            page: list[tuple[Any, ...]] = self._store.connection.execute(
                f"SELECT key, value FROM binding_memory WHERE network = ? AND key {comparison} ?"  # noqa: S608  # our own sign
                " ORDER BY key LIMIT ?",
                (self._network, after, PAGE),
            ).fetchall()
            for key, value in page:
                if not key.startswith(prefix):
                    return
                yield key, value
            if len(page) < PAGE:
                return
            after = page[-1][0]
            comparison = ">"

    async def put(self, key: str, value: bytes | None) -> None:
        """Return when committed; None removes the key. Raises `bridge.errors.StoreUnavailable`."""

        def work(connection: apsw.Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM binding_memory WHERE network = ? AND key = ?", (self._network, key))
            else:
                connection.execute(
                    "INSERT INTO binding_memory VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                    (self._network, key, value),
                )

        await self._store.run(work)
