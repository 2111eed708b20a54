"""`bridge.store.contract.Outbox` in SQLite."""

from dataclasses import astuple, replace
from typing import Any

import apsw
import msgspec

from bridge.store.outbox import DeadLetter, EventRow, Webhook
from bridge.store.sqlite.engine import Engine

_COLUMNS = "url, secret, types, prefix, created_at, told, failures, retry_at, trouble, disabled"


class SqliteOutbox:
    def __init__(self, store: Engine) -> None:
        self._store = store

    async def events(self, *, after: int, limit: int, types: tuple[str, ...] = (), prefix: str = "") -> list[EventRow]:
        sql = (
            "SELECT id, endpoint, at, type, name, data FROM event WHERE id > :after"
            " AND (:types = '[]' OR type IN (SELECT value FROM json_each(:types)))"
            " AND substr(name, 1, length(:prefix)) = :prefix"
            " ORDER BY id LIMIT :limit"
        )
        values = {"after": after, "types": msgspec.json.encode(types).decode(), "prefix": prefix, "limit": limit}
        rows: list[Any] = await self._store.reads.ask(lambda reader: reader.connection.execute(sql, values).fetchall())
        return [EventRow(*row) for row in rows]

    async def bounds(self) -> tuple[int, int]:
        def ask(connection: apsw.Connection) -> tuple[int, int]:
            newest = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'").get
            return connection.execute("SELECT coalesce(min(id), ?) FROM event", (newest + 1,)).get, newest

        return await self._store.reads.ask(lambda reader: ask(reader.connection))

    async def forget_events(self, before: float) -> int:
        def work(connection: apsw.Connection) -> int:
            connection.execute("DELETE FROM dead_letter WHERE at < ?", (before,))
            connection.execute("DELETE FROM event WHERE at < ?", (before,))
            return int(connection.changes())

        return await self._store.run(work)

    async def add_webhook(self, webhook: Webhook) -> Webhook:
        def work(connection: apsw.Connection) -> Webhook:
            newest = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'").get
            added = replace(webhook, told=newest)
            connection.execute(
                f"INSERT INTO webhook ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # as above
                _values(added),
            )
            return replace(added, id=connection.last_insert_rowid())

        return await self._store.run(work)

    async def webhooks(self) -> list[Webhook]:
        rows: list[Any] = await self._store.reads.ask(
            lambda reader: reader.connection.execute(
                f"SELECT id, {_COLUMNS} FROM webhook ORDER BY id"  # noqa: S608  # as above
            ).fetchall()
        )
        return [*map(_webhook, rows)]

    async def keep_webhook(self, webhook: Webhook, dead: DeadLetter | None = None) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE webhook SET told = ?, failures = ?, retry_at = ?, trouble = ?, disabled = ? WHERE id = ?",
                (webhook.told, webhook.failures, webhook.retry_at, webhook.trouble, webhook.disabled, webhook.id),
            )
            if dead is not None and connection.changes():
                connection.execute("INSERT OR REPLACE INTO dead_letter VALUES (?, ?, ?, ?)", astuple(dead))

        await self._store.run(work)

    async def remove_webhook(self, id_: int) -> bool:
        def work(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM dead_letter WHERE webhook = ?", (id_,))
            connection.execute("DELETE FROM webhook WHERE id = ?", (id_,))
            return connection.changes() > 0

        return await self._store.run(work)

    async def dead_letters(self, *, webhook: int | None, limit: int) -> list[DeadLetter]:
        sql = (
            "SELECT webhook, event, at, trouble FROM dead_letter WHERE ?1 IS NULL OR webhook = ?1"
            " ORDER BY event DESC LIMIT ?2"
        )
        rows: list[Any] = await self._store.reads.ask(
            lambda reader: reader.connection.execute(sql, (webhook, limit)).fetchall()
        )
        return [DeadLetter(*row) for row in rows]


def _webhook(row: Any) -> Webhook:
    id_, url, secret, types, *rest, disabled = row
    known = msgspec.json.decode(types, type=tuple[str, ...])
    prefix, created_at, told, failures, retry_at, trouble = rest
    return Webhook(
        id_, url, secret, known, prefix, created_at, told, failures, retry_at, trouble, disabled=disabled == 1
    )


def _values(webhook: Webhook) -> tuple[Any, ...]:
    types = msgspec.json.encode(webhook.types).decode()
    return (
        webhook.url, webhook.secret, types, webhook.prefix, webhook.created_at, webhook.told, webhook.failures,
        webhook.retry_at, webhook.trouble, webhook.disabled,
    )  # fmt: skip
