"""`bridge.store.contract.Fleet` over the store."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from bindings.provisioning import ProvisioningState
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import UplinkKind
from bridge.relay.registrations import decode
from bridge.store.fleet import (
    Also,
    EndpointConditions,
    FleetCounts,
    FleetEntry,
    LatestMessage,
    PageEnd,
    Provisioning,
    ProvisioningChange,
    ProvisioningNote,
    nothing_else,
)
from bridge.store.order import Order
from bridge.store.searching import glob_of, may_be_found, regex_of
from bridge.store.sql import directory_rows as rows
from bridge.store.sql.changes import apply, runs
from bridge.store.sql.connection import Connection, value_of
from bridge.store.sql.engine import Engine
from bridge.store.sql.statements import LIVE

PART = 20_000  # messages that are added to `activity` at a time
MANY = 1000  # messages not in `activity` yet; beyond this number a query first adds them
NOTED = 500  # reports about provisioning in one transaction: a few ms

_IS_REGISTERED = "is_registered(r.registrations, :now) = 1"  # a function that each kind of database adds
_FROM_DEVICE = f"kind <> '{UplinkKind.VERDICT}'"
_YOUNG = f"""
WITH
young_uplink AS MATERIALIZED (
    SELECT endpoint, max(id) AS id, max(received_at) AS at FROM uplink
    WHERE id > (SELECT uplink FROM activity_mark) AND {_FROM_DEVICE} GROUP BY endpoint
),
young_downlink AS MATERIALIZED (
    SELECT endpoint, max(id) AS id, max(accepted_at) AS at FROM downlink
    WHERE id > (SELECT downlink FROM activity_mark) GROUP BY endpoint
)
"""  # noqa: S608  # names of our own
_JOINED = """
LEFT JOIN provisioning p ON p.endpoint = e.id
LEFT JOIN activity a ON a.endpoint = e.id
LEFT JOIN relay r ON r.endpoint = e.id
LEFT JOIN young_uplink yu ON yu.endpoint = e.id
LEFT JOIN young_downlink yd ON yd.endpoint = e.id
"""
_UPLINK_AT = "coalesce(yu.at, a.uplink_at, 0)"
_DOWNLINK_AT = "coalesce(yd.at, a.downlink_at, 0)"
_WAITING = f"(SELECT count(*) FROM downlink d WHERE d.endpoint = e.id AND {LIVE} AND d.over = 0)"  # noqa: S608  # as above
_STATE = f"coalesce(p.state, '{ProvisioningState.WANTED}')"
_MORE = (
    f", {_STATE}, p.reason, p.since, p.retry_at, r.registrations, coalesce(yu.id, a.uplink), {_UPLINK_AT},"
    f" coalesce(yd.id, a.downlink), {_DOWNLINK_AT}, {_WAITING}"
)
_ADDED = 10  # columns

_ORDERS = {
    Order.NAME: "e.name",
    Order.ADDRESS: "e.device",
    Order.CREATED: "e.created_at",
    Order.UPLINK: _UPLINK_AT,
    Order.DOWNLINK: _DOWNLINK_AT,
    Order.WAITING: _WAITING,
}


class SqlFleet:
    def __init__(self, store: Engine, *, writable: bool = True) -> None:
        self._store = store
        self._writable = writable
        self._folding = asyncio.Lock()
        self.settled = ""  # a condition: no message with a smaller id can be committed any more. SQLite needs none

    async def page(
        self,
        conditions: EndpointConditions,
        *,
        order: Order = Order.NAME,
        descending: bool = False,
        after: PageEnd | None = None,
        limit: int,
    ) -> list[FleetEntry]:
        await self._fold_if_many()
        condition, values = _condition(conditions)
        key, way, beyond = _ORDERS[order], "DESC" if descending else "ASC", "<" if descending else ">"
        if after is not None:
            condition += f" AND ({key}, e.id) {beyond} (:value, :id)"
            values |= {"value": after.value, "id": after.id}
        sql = (
            f"{_YOUNG} {rows.COLUMNS} {_MORE} FROM endpoint e {rows.SOURCE} {_JOINED} WHERE {condition}"
            f" ORDER BY {key} {way}, e.id {way} LIMIT :limit"
        )
        return await self._store.reads.ask(
            lambda reader: [*map(_standing, reader.connection.execute(sql, {**values, "limit": limit}))]
        )

    async def count(self, conditions: EndpointConditions) -> int:
        await self._fold_if_many()
        condition, values = _condition(conditions)
        sql = f"{_YOUNG} SELECT count(*) FROM endpoint e {_JOINED} WHERE {condition}"  # noqa: S608  # our own text
        return await self._store.reads.ask(lambda reader: int(value_of(reader.connection, sql, values)))

    async def counts(self, now: float) -> FleetCounts:
        return await self._store.reads.ask(lambda reader: _counts(reader.connection, now))

    async def note(self, notes: Sequence[ProvisioningNote], also: Also = nothing_else) -> list[ProvisioningChange]:
        changes: list[ProvisioningChange] = []
        for start in range(0, len(notes), NOTED):
            some = notes[start : start + NOTED]
            changes += await self._store.run(partial(_note, notes=some, also=also))
        return changes

    async def fold(self) -> None:
        """Add all committed messages to `activity`."""
        async with self._folding:
            for table, at, condition in (("uplink", "received_at", _FROM_DEVICE), ("downlink", "accepted_at", "TRUE")):
                while await self._fold(table, at, condition) >= PART:
                    pass

    async def _fold_if_many(self) -> None:
        if self._writable and await self._store.reads.ask(lambda reader: _young(reader.connection)) > MANY:
            await self.fold()

    async def _fold(self, table: str, at: str, condition: str) -> int:
        """Add the next messages to `activity`; return how many there were."""
        sql = (
            f"SELECT id, endpoint, {at}, {condition} FROM {table}"  # noqa: S608  # names of our own
            f" WHERE id > (SELECT {table} FROM activity_mark){self.settled} ORDER BY id LIMIT ?"
        )

        def latest(connection: Connection) -> tuple[int, int, dict[int, tuple[int, float]]]:
            number = last = 0
            found: dict[int, tuple[int, float]] = {}
            for id_, endpoint, time, counts in connection.execute(sql, (PART,)):
                number, last = number + 1, id_
                if counts:
                    found[endpoint] = id_, time
            return number, last, found

        number, last, found = await self._store.reads.ask(lambda reader: latest(reader.connection))
        if number:
            await self._store.run(lambda connection: _keep(connection, table, last, found))
        return number


def _young(connection: Connection) -> int:
    """Return the number of messages that are not in `activity`, or MANY and one."""
    sql = "SELECT count(*) FROM (SELECT 1 FROM {0} WHERE id > (SELECT {0} FROM activity_mark) LIMIT ?) AS young"
    return sum(int(value_of(connection, sql.format(table), (MANY + 1,))) for table in ("uplink", "downlink"))


def _keep(connection: Connection, table: str, last: int, found: dict[int, tuple[int, float]]) -> None:
    connection.executemany(
        f"INSERT INTO activity (endpoint, shard, {table}, {table}_at)"  # noqa: S608  # names of our own
        f" SELECT id, shard, ?, ? FROM endpoint WHERE id = ?"
        f" ON CONFLICT (endpoint) DO UPDATE SET {table} = excluded.{table}, {table}_at = excluded.{table}_at",
        [(id_, at, endpoint) for endpoint, (id_, at) in found.items()],
    )
    connection.execute(f"UPDATE activity_mark SET {table} = ? WHERE {table} < ?", (last, last))  # noqa: S608  # as above


def _condition(conditions: EndpointConditions) -> tuple[str, dict[str, Any]]:
    where = ["TRUE"]
    values: dict[str, Any] = {}

    def also(condition: str, **bound: Any) -> None:
        where.append(condition)
        values.update(bound)

    if conditions.network is not None:
        also("e.network = :network", network=conditions.network)
    if conditions.server is not None:
        also("EXISTS (SELECT 1 FROM json_each(e.servers) v WHERE v.value = :server)", server=conditions.server)
    if conditions.enabled is not None:
        also("e.enabled = :enabled", enabled=conditions.enabled)
    if conditions.prefix:
        also("substr(e.name, 1, length(:prefix)) = :prefix", prefix=conditions.prefix)
    if not may_be_found(conditions.text):
        also("FALSE")
    elif conditions.text:
        patterns = {"glob": glob_of(conditions.text), "regex": regex_of(conditions.text)}  # each database has its own
        also("(e.name GLOB :glob OR e.device GLOB :glob)", **patterns)
    if conditions.provisioning is not None:
        states = msgspec.json.encode(sorted(conditions.provisioning)).decode()
        also(f"{_STATE} IN (SELECT v.value FROM json_each(:states) v)", states=states)  # noqa: S608  # our own text
    if conditions.registered is not None:
        also(f"{'' if conditions.registered else 'NOT '}coalesce({_IS_REGISTERED}, FALSE)", now=conditions.now)
    if conditions.waiting is not None:
        also(f"{_WAITING} {'>' if conditions.waiting else '='} 0")
    if conditions.silent_since is not None:
        also(f"{_UPLINK_AT} <= :silent", silent=conditions.silent_since)
    if conditions.names is not None:
        names = msgspec.json.encode(sorted(conditions.names)).decode()
        also("e.name IN (SELECT v.value FROM json_each(:names) v)", names=names)
    return " AND ".join(where), values


def _standing(row: tuple[Any, ...]) -> FleetEntry:
    state, reason, since, retry_at, registrations, uplink, uplink_at, downlink, downlink_at, waiting = row[-_ADDED:]
    return FleetEntry(
        rows.record_of(row[:-_ADDED]),
        Provisioning(ProvisioningState(state), reason or "", since, retry_at),
        tuple(decode(registrations)),
        None if uplink is None else LatestMessage(uplink, uplink_at),
        None if downlink is None else LatestMessage(downlink, downlink_at),
        waiting,
    )


def _counts(connection: Connection, now: float) -> FleetCounts:
    endpoints: Counter[tuple[str, bool, ProvisioningState]] = Counter()
    shards: Counter[int] = Counter()
    for shard, network, enabled, state, number in connection.execute(
        f"SELECT e.shard, e.network, e.enabled, {_STATE}, count(*) FROM endpoint e"  # noqa: S608  # names of our own
        " LEFT JOIN provisioning p ON p.endpoint = e.id GROUP BY 1, 2, 3, 4"
    ):
        endpoints[network, enabled == 1, ProvisioningState(state)] += number
        shards[shard] += number
    registered = value_of(connection, f"SELECT count(*) FROM relay r WHERE {_IS_REGISTERED}", {"now": now})  # noqa: S608  # as above
    downlinks = connection.execute(f"SELECT state, count(*) FROM downlink WHERE {LIVE} AND over = 0 GROUP BY state")  # noqa: S608  # as above
    waiting = f"SELECT count(*) FROM uplink WHERE {LIVE} AND state = '{UplinkState.RECEIVED}'"  # noqa: S608  # as above
    uplinks = value_of(connection, waiting)
    return FleetCounts(endpoints, registered, {DownlinkState(state): n for state, n in downlinks}, uplinks, shards)


def _note(connection: Connection, notes: Sequence[ProvisioningNote], also: Also) -> list[ProvisioningChange]:
    asked = msgspec.json.encode([(note.network, note.device) for note in notes]).decode()
    known = {
        (network, device): (id_, shard, name, None if state is None else Provisioning(ProvisioningState(state), *rest))
        for network, device, id_, shard, name, state, *rest in connection.execute(
            "SELECT e.network, e.device, e.id, e.shard, e.name, p.state, p.reason, p.since, p.retry_at"
            " FROM json_each(?) j CROSS JOIN endpoint e ON e.network = j.value ->> 0 AND e.device = j.value ->> 1"
            " LEFT JOIN provisioning p ON p.endpoint = e.id",
            (asked,),
        )
    }
    changes: list[ProvisioningChange] = []
    written: list[tuple[Any, ...]] = []
    for note in notes:
        there = known.get((note.network, note.device))
        if there is None:
            continue
        id_, shard, name, before = there
        after = note.provisioning
        if before is not None and (note.unless_known or _says_the_same(before, after)):
            continue
        if before is not None and before.state is after.state:
            after = Provisioning(after.state, after.reason, before.since, after.retry_at)
        known[note.network, note.device] = id_, shard, name, after
        written.append((id_, shard, after.state, after.reason, after.since, after.retry_at))
        changes.append(
            ProvisioningChange(id_, name, ProvisioningState.WANTED if before is None else before.state, after)
        )
    connection.executemany(
        "INSERT INTO provisioning (endpoint, shard, state, reason, since, retry_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (endpoint) DO UPDATE SET state = excluded.state, reason = excluded.reason,"
        " since = excluded.since, retry_at = excluded.retry_at",
        written,
    )
    told = [one for one in changes if one.before is not one.after.state or one.after.reason]
    apply(connection, runs(also(told)))
    return told


def _says_the_same(before: Provisioning, after: Provisioning) -> bool:
    return (before.state, before.reason, before.retry_at) == (after.state, after.reason, after.retry_at)
