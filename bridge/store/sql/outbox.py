"""`bridge.store.contract.Outbox` over the store."""

from dataclasses import astuple, replace
from typing import Any

import msgspec

from bridge.store.outbox import OUTCOME, DeadLetter, EventRow, Webhook
from bridge.store.sql.connection import Connection, latest_id, lock_ids, note_id, value_of
from bridge.store.sql.engine import Engine
from bridge.store.sql.prune import PART

_COLUMNS = "id, url, secret, types, prefix, created_at, told, failures, retry_at, trouble, disabled"


class SqlOutbox:
    def __init__(self, store: Engine) -> None:
        self._store = store

    async def events(self, *, after: int, limit: int, types: tuple[str, ...] = (), prefix: str = "") -> list[EventRow]:
        sql = (
            "SELECT id, endpoint, at, type, name, data FROM event WHERE id > :after"
            " AND (:types = '[]' OR type IN (SELECT v.value FROM json_each(:types) v))"
            " AND substr(name, 1, length(:prefix)) = :prefix"
            " ORDER BY id LIMIT :limit"
        )
        values = {"after": after, "types": msgspec.json.encode(types).decode(), "prefix": prefix, "limit": limit}
        rows: list[Any] = await self._store.reads.ask(lambda reader: reader.connection.execute(sql, values).fetchall())
        return [EventRow(*row) for row in rows]

    async def events_of(
        self, endpoint: int, *, before: int | None = None, limit: int, types: tuple[str, ...] = ()
    ) -> list[EventRow]:
        until = "" if before is None else " AND id < :before"
        sql = (
            f"SELECT id, endpoint, at, type, name, data FROM event WHERE endpoint = :endpoint{until}"  # noqa: S608  # our own text
            f" AND type <> '{OUTCOME}'"  # said in the words of the index
            " AND (:types = '[]' OR type IN (SELECT v.value FROM json_each(:types) v))"
            " ORDER BY id DESC LIMIT :limit"
        )
        known = msgspec.json.encode(types).decode()
        values = {"endpoint": endpoint, "before": before, "types": known, "limit": limit}
        rows: list[Any] = await self._store.reads.ask(lambda reader: reader.connection.execute(sql, values).fetchall())
        return [EventRow(*row) for row in rows]

    async def bounds(self) -> tuple[int, int]:
        def ask(connection: Connection) -> tuple[int, int]:
            newest = latest_id(connection, "event")
            return value_of(connection, "SELECT coalesce(min(id), ?) FROM event", (newest + 1,)), newest

        return await self._store.reads.ask(lambda reader: ask(reader.connection))

    async def forget_events(self, before: float) -> int:
        def letters(connection: Connection) -> None:
            connection.execute("DELETE FROM dead_letter WHERE at < ?", (before,))

        def find(connection: Connection) -> list[Any]:
            # Not only until a younger one: the clock by which an event got its time may have been ahead.
            sql = "SELECT id FROM event WHERE id > ? AND at < ? ORDER BY id LIMIT ?"
            return [id_ for (id_,) in connection.execute(sql, (after, before, PART)).fetchall()]

        def remove(connection: Connection) -> int:
            sql = "DELETE FROM event WHERE id >= ? AND id <= ? AND at < ?"
            connection.execute(sql, (found[0], found[-1], before))
            return int(connection.changes())

        await self._store.run(letters)
        removed = after = 0
        # No index finds events by time, so they are looked for where no commit waits, and are removed in parts.
        while found := await self._store.reads.ask(lambda reader: find(reader.connection)):
            removed += await self._store.run(remove)
            after = found[-1]
        return removed

    async def add_webhook(self, webhook: Webhook) -> Webhook:
        def work(connection: Connection) -> Webhook:
            lock_ids(connection, "webhook")
            id_ = latest_id(connection, "webhook") + 1
            added = replace(webhook, id=id_, told=latest_id(connection, "event"))
            connection.execute(
                f"INSERT INTO webhook ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # as above
                _values(added),
            )
            note_id(connection, "webhook", id_)
            return added

        return await self._store.run(work)

    async def webhooks(self) -> list[Webhook]:
        rows: list[Any] = await self._store.reads.ask(
            lambda reader: reader.connection.execute(
                f"SELECT {_COLUMNS} FROM webhook ORDER BY id"  # noqa: S608  # as above
            ).fetchall()
        )
        return [*map(_webhook, rows)]

    async def keep_webhook(self, webhook: Webhook, dead: DeadLetter | None = None) -> None:
        def work(connection: Connection) -> None:
            connection.execute(
                "UPDATE webhook SET told = ?, failures = ?, retry_at = ?, trouble = ?, disabled = ? WHERE id = ?",
                (webhook.told, webhook.failures, webhook.retry_at, webhook.trouble, webhook.disabled, webhook.id),
            )
            if dead is not None and connection.changes():
                connection.execute(
                    "INSERT INTO dead_letter (webhook, event, at, trouble) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (webhook, event) DO UPDATE SET at = excluded.at, trouble = excluded.trouble",
                    astuple(dead),
                )

        await self._store.run(work)

    async def set_secret(self, id_: int, secret: bytes) -> None:
        def work(connection: Connection) -> None:
            connection.execute("UPDATE webhook SET secret = ? WHERE id = ?", (secret, id_))

        await self._store.run(work)

    async def remove_webhook(self, id_: int) -> bool:
        def work(connection: Connection) -> bool:
            connection.execute("DELETE FROM dead_letter WHERE webhook = ?", (id_,))
            connection.execute("DELETE FROM webhook WHERE id = ?", (id_,))
            return connection.changes() > 0

        return await self._store.run(work)

    async def dead_letters(self, *, webhook: int | None, limit: int) -> list[DeadLetter]:
        where, values = ("", (limit,)) if webhook is None else (" WHERE webhook = ?", (webhook, limit))
        sql = f"SELECT webhook, event, at, trouble FROM dead_letter{where} ORDER BY event DESC, webhook LIMIT ?"  # noqa: S608  # our own text
        rows: list[Any] = await self._store.reads.ask(lambda reader: reader.connection.execute(sql, values).fetchall())
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
        webhook.id, webhook.url, webhook.secret, types, webhook.prefix, webhook.created_at, webhook.told,
        webhook.failures, webhook.retry_at, webhook.trouble, webhook.disabled,
    )  # fmt: skip
