"""The rows of the directory's table: reading them, and changing them in the writer's thread."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from bridge.delivery.states import DownlinkState, UplinkState
from bridge.directory.allocation import shard_of_new
from bridge.directory.keys import ByDevice, ById, ByName, BySource, Key, keys_of
from bridge.directory.record import DirectoryChange, Draft, EndpointRecord
from bridge.directory.sources import Sources
from bridge.errors import DirectoryError
from bridge.store.sql.connection import Connection, latest_id, lock_ids, note_id, value_of
from bridge.store.sql.sources import Giver, release
from bridge.store.sql.statements import ENDPOINT, LIVE

COLUMNS = (
    "SELECT e.id, e.shard, e.name, e.network, e.device, e.servers, e.profile, e.default_ttl, e.object_list,"
    " e.confirmed, e.options, e.enabled, e.created_at, e.changed_at, n.scheme, n.source, n.locals"
)
SOURCE = "LEFT JOIN north_source n ON n.endpoint = e.id AND n.released_at IS NULL"
SELECT = f"{COLUMNS} FROM endpoint e {SOURCE}"

# CROSS JOIN: SQLite begins with the given keys, and never scans the table. `v` are plain values, `j` arrays.
_WITH_ID = f"{COLUMNS} FROM json_each(?) v CROSS JOIN endpoint e ON e.id = CAST(v.value AS BIGINT) {SOURCE}"
_WITH_NAME = f"{COLUMNS} FROM json_each(?) v CROSS JOIN endpoint e ON e.name = v.value {SOURCE}"
_WITH_DEVICE = (
    f"{COLUMNS} FROM json_each(?) j CROSS JOIN endpoint e"
    f" ON e.network = j.value ->> 0 AND e.device = j.value ->> 1 {SOURCE}"
)
_WITH_SOURCE = (
    f"{COLUMNS} FROM json_each(?) j CROSS JOIN north_source n"
    " ON n.scheme = j.value ->> 0 AND n.source = CAST(j.value ->> 1 AS BIGINT) AND n.released_at IS NULL"
    " CROSS JOIN endpoint e ON e.id = n.endpoint"
)


def records_of(connection: Connection, keys: Iterable[Key]) -> dict[Key, EndpointRecord]:
    """Return the records under these keys."""
    ids = [key.endpoint for key in keys if isinstance(key, ById)]
    names = [key.name for key in keys if isinstance(key, ByName)]
    devices = [(key.network, key.device) for key in keys if isinstance(key, ByDevice)]
    sources = [(key.scheme, key.source) for key in keys if isinstance(key, BySource)]
    found: dict[Key, EndpointRecord] = {}
    for wanted, statement in ((ids, _WITH_ID), (names, _WITH_NAME), (devices, _WITH_DEVICE), (sources, _WITH_SOURCE)):
        if wanted:
            values = (msgspec.json.encode(wanted).decode(),)
            for record in map(record_of, connection.execute(statement, values).fetchall()):
                found.update(dict.fromkeys(keys_of(record), record))
    return found


def record_of(row: tuple[Any, ...]) -> EndpointRecord:
    """Make a record from a row of SELECT."""
    (id_, shard, name, network, device, servers, profile, ttl, links, confirmed, options, enabled, *rest) = row
    created_at, changed_at, scheme, source, locals_ = rest
    return EndpointRecord(
        id_,
        shard,
        name,
        network,
        device,
        _servers(servers),
        profile,
        ttl,
        links,
        confirmed == 1,
        json.loads(options) if options != "{}" else {},
        enabled == 1,
        created_at,
        changed_at,
        scheme or "",
        source,
        tuple(locals_.split()) if locals_ else (),
    )


@lru_cache(1024)  # thousands of endpoints share a few lists
def _servers(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _columns(draft: Draft) -> tuple[Any, ...]:
    return (
        draft.name,
        draft.network,
        draft.device,
        json.dumps(draft.servers),
        draft.profile,
        draft.default_ttl,
        draft.object_list,
        draft.confirmed,
        json.dumps(draft.options) if draft.options else "{}",
        draft.enabled,
    )


def add(connection: Connection, drafts: Sequence[Draft], sources: Sources | None, now: float) -> list[EndpointRecord]:
    """Insert checked drafts, each with a source of its own. Raises DirectoryError; then none of them is added."""
    lock_ids(connection, "endpoint")  # and thereby sources
    giver = None if sources is None else Giver(connection, sources, now)
    next_id = latest_id(connection, "endpoint") + 1
    made = []
    for id_, draft in enumerate(drafts, next_id):
        shard = shard_of_new(id_)
        record = _made(id_, shard, draft, now)
        if giver is not None and sources is not None:
            source, shard = giver.give(id_, shard)
            record = replace(record, shard=shard, scheme=sources.scheme, source=source, locals=sources.seen(source))
        connection.execute(
            "INSERT INTO endpoint (id, shard, name, network, device, servers, profile, default_ttl, object_list,"
            " confirmed, options, enabled, created_at, changed_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (id_, shard, *_columns(draft), now, now),
        )
        if not connection.changes():
            raise collision_of(connection, draft)
        _shard_notes(connection, record)
        made.append(record)
    note_id(connection, "endpoint", next_id + len(made) - 1)
    return made


def change_all(
    connection: Connection, wanted: Iterable[tuple[EndpointRecord, Draft]], now: float
) -> list[EndpointRecord]:
    """Replace records by checked drafts. Raises DirectoryError; then none is changed."""
    return [_change(connection, before, draft, now) for before, draft in wanted]


def _change(connection: Connection, before: EndpointRecord, draft: Draft, now: float) -> EndpointRecord:
    others = value_of(
        connection,
        "SELECT count(*) FROM endpoint WHERE id <> ? AND (name = ? OR (network = ? AND device = ?))",
        (before.id, draft.name, draft.network, draft.device),
    )
    if others:
        raise collision_of(connection, draft)
    connection.execute(
        "UPDATE endpoint SET name = ?, network = ?, device = ?, servers = ?, profile = ?, default_ttl = ?,"
        " object_list = ?, confirmed = ?, options = ?, enabled = ?, changed_at = ? WHERE id = ?",
        (*_columns(draft), now, before.id),
    )
    after = replace(
        _made(before.id, before.shard, draft, now),
        created_at=before.created_at,
        scheme=before.scheme,
        source=before.source,
        locals=before.locals,
    )
    _note_move(connection, before, after)
    if (before.network, before.device) != (after.network, after.device):
        connection.execute("DELETE FROM provisioning WHERE endpoint = ?", (after.id,))  # it belonged to another device
    _shard_notes(connection, after)
    return after


def _shard_notes(connection: Connection, record: EndpointRecord) -> None:
    """Set the endpoint's shard in the notes of its device."""
    connection.execute(
        "UPDATE note SET shard = ? WHERE network = ? AND device = ? AND device <> '' AND shard <> ?",
        (record.shard, record.network, record.device, record.shard),
    )


def _move(connection: Connection, record: EndpointRecord, shard: int) -> None:
    """Move an endpoint and all its rows to another shard."""
    connection.execute("UPDATE endpoint SET shard = ? WHERE id = ?", (shard, record.id))
    for table in ("downlink", "uplink"):
        connection.execute(f"UPDATE {table} SET shard = ? WHERE {ENDPOINT}", (shard, record.id))  # noqa: S608  # names of our own
    for table in ("observation", "report", "relay", "provisioning", "activity", "usage"):
        connection.execute(f"UPDATE {table} SET shard = ? WHERE endpoint = ?", (shard, record.id))  # noqa: S608  # as above
    _shard_notes(connection, replace(record, shard=shard))


def _note_move(connection: Connection, before: EndpointRecord, after: EndpointRecord) -> None:
    """Record that an endpoint must register anew if servers know it by another address (R24)."""
    if DirectoryChange(before, after).server_knew:
        connection.execute(
            "INSERT INTO relay (endpoint, shard, refuse_update, north_mid, joined_at)"
            " VALUES (?, ?, 1, NULL, 0) ON CONFLICT (endpoint) DO UPDATE SET refuse_update = 1",
            (after.id, after.shard),
        )


def remove(connection: Connection, id_: int, now: float) -> int:
    """Delete an endpoint, and return how many there were: 1 or 0.

    Its messages stay as history, so unfinished ones get an outcome.
    """
    down = DownlinkState
    connection.execute(
        "UPDATE downlink SET state = CASE WHEN state = ? THEN ? WHEN state IN (?, ?) THEN ? ELSE ? END,"  # noqa: S608  # words of our own
        " over = 1, due = NULL, finished_at = ?, keep_until = ?, reason = 'the endpoint was removed'"
        f" WHERE endpoint = ? AND {LIVE} AND over = 0",
        (down.QUEUED, down.CANCELLED, down.SENT, down.DELIVERED, down.UNANSWERED, down.UNKNOWN, now, now, id_),
    )
    connection.execute(
        "UPDATE uplink SET state = ?, finished_at = ?, keep_until = ?, reason = 'the endpoint was removed'"  # noqa: S608  # as above
        f" WHERE endpoint = ? AND {LIVE} AND state = ?",
        (UplinkState.EXPIRED, now, now, id_, UplinkState.RECEIVED),
    )
    connection.execute(f"UPDATE uplink SET due = NULL WHERE endpoint = ? AND {LIVE} AND due IS NOT NULL", (id_,))  # noqa: S608  # as above
    for table in ("observation", "report", "relay", "provisioning", "activity"):
        connection.execute(f"DELETE FROM {table} WHERE endpoint = ?", (id_,))  # noqa: S608  # names of our own
    release(connection, id_, now)
    connection.execute("DELETE FROM endpoint WHERE id = ?", (id_,))
    return connection.changes()


def renew(
    connection: Connection, ids: Iterable[int], sources: Sources, now: float
) -> list[tuple[EndpointRecord, EndpointRecord | DirectoryError]]:
    """Assign each endpoint a source of the current range; return each record before, and after or the reason."""
    lock_ids(connection, "endpoint")  # and thereby sources
    giver = Giver(connection, sources, now)
    found: list[tuple[EndpointRecord, EndpointRecord | DirectoryError]] = []
    for id_ in ids:
        row = connection.execute(f"{SELECT} WHERE e.id = ?", (id_,)).fetchone()
        if row is None:
            continue
        before = record_of(row)
        try:
            shard = giver.renew(id_, before.shard)
        except DirectoryError as error:
            found.append((before, error))
        else:
            if shard != before.shard:
                _move(connection, before, shard)
            after = record_of(_row(connection, id_))
            _note_move(connection, before, after)
            found.append((before, after))
    return found


def _row(connection: Connection, id_: int) -> tuple[Any, ...]:
    (row,) = connection.execute(f"{SELECT} WHERE e.id = ?", (id_,)).fetchall()
    return row


def collision_of(connection: Connection, draft: Draft) -> DirectoryError:
    """Return an error that names the endpoint with which a draft collides."""
    row = connection.execute(
        "SELECT name FROM endpoint WHERE network = ? AND device = ?", (draft.network, draft.device)
    ).fetchone()
    if row is not None and row[0] != draft.name:
        return DirectoryError(f"device {draft.device!r} of network {draft.network!r} is endpoint {row[0]!r} already")
    return DirectoryError(f"there is an endpoint {draft.name!r} already")


def _made(id_: int, shard: int, draft: Draft, now: float) -> EndpointRecord:
    return EndpointRecord(
        id_,
        shard,
        draft.name,
        draft.network,
        draft.device,
        draft.servers,
        draft.profile,
        draft.default_ttl,
        draft.object_list,
        draft.confirmed,
        draft.options,
        draft.enabled,
        now,
        now,
    )
