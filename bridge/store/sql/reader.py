"""Queries of the ledger for operations. Read only."""

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from bridge.delivery.downlinks import Downlink
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Response, Uplink, Verdict
from bridge.store.sealing import NO_BODIES
from bridge.store.sql.connection import Connection
from bridge.store.sql.statements import ENDPOINT, columns_sql, decoder


class SqlReader:
    """A read connection of its own; `close` closes it."""

    def __init__(self, connection: Connection, close: Callable[[], None] = lambda: None) -> None:
        self.connection = connection
        self.close = close
        self.bodies = NO_BODIES

    def downlinks(
        self,
        *,
        endpoint: int | None = None,
        state: DownlinkState | None = None,
        over: bool | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Downlink]:
        """Return downlinks, newest first; with `before` only those with a smaller id."""
        where, values = _where(endpoint=endpoint, state=state, over=over, before=before)
        rows = self.connection.execute(
            f"SELECT {columns_sql(Downlink)} FROM downlink{where} ORDER BY id DESC LIMIT ?",  # noqa: S608  # names of our own
            (*values, limit),
        )
        return [*map(self.bodies.opened, map(decoder(Downlink), rows))]

    def uplinks(
        self,
        *,
        endpoint: int | None = None,
        state: UplinkState | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Uplink]:
        """Return uplinks, newest first; with `before` only those with a smaller id."""
        where, values = _where(endpoint=endpoint, state=state, before=before)
        rows = self.connection.execute(
            f"SELECT {columns_sql(Uplink)} FROM uplink{where} ORDER BY id DESC LIMIT ?",  # noqa: S608  # names of our own
            (*values, limit),
        )
        return [*map(self.bodies.opened, map(decoder(Uplink), rows))]

    def downlink(self, id_: int) -> Downlink | None:
        """Return one downlink, or None."""
        sql = f"SELECT {columns_sql(Downlink)} FROM downlink WHERE id = ?"  # noqa: S608  # names of our own
        row = self.connection.execute(sql, (id_,)).fetchone()
        return None if row is None else self.bodies.opened(decoder(Downlink)(row))

    def uplink(self, id_: int) -> Uplink | None:
        """Return one uplink, or None."""
        sql = f"SELECT {columns_sql(Uplink)} FROM uplink WHERE id = ?"  # noqa: S608  # names of our own
        row = self.connection.execute(sql, (id_,)).fetchone()
        return None if row is None else self.bodies.opened(decoder(Uplink)(row))

    def answers(self, downlinks: Sequence[Downlink]) -> list[Response | Verdict]:
        """Return the device's responses to these requests and the bridge's own answers to them, oldest first."""
        sql = (
            f"SELECT {columns_sql(Uplink)} FROM uplink WHERE {ENDPOINT}"  # noqa: S608  # names of our own
            " AND downlink IN (SELECT CAST(v.value AS BIGINT) FROM json_each(?) v) ORDER BY id"
        )
        wanted: dict[int, list[int]] = {}
        for row in downlinks:
            wanted.setdefault(row.endpoint, []).append(row.id)
        rows = [
            row
            for endpoint, ids in wanted.items()
            for row in map(decoder(Uplink), self.connection.execute(sql, (endpoint, msgspec.json.encode(ids).decode())))
        ]
        return [self.bodies.opened(row) for row in rows if isinstance(row, Response | Verdict)]

    def has_uplink(self, endpoint: int, duplicate_key: str | None, digest: bytes, after: float, before: float) -> bool:
        """Return whether an endpoint has an uplink with this key, or with these bytes from between two times."""
        sql = (
            f"SELECT 1 FROM uplink WHERE {ENDPOINT}"  # noqa: S608  # names of our own
            " AND (duplicate_key = ? OR (digest = ? AND received_at BETWEEN ? AND ?)) LIMIT 1"
        )
        return self.connection.execute(sql, (endpoint, duplicate_key, digest, after, before)).fetchone() is not None

    def downlink_counts(self, endpoint: int | None = None) -> Counter[tuple[DownlinkState, bool]]:
        """Count downlinks by state and whether it is the outcome; reads the whole table if no endpoint is given."""
        where, values = _where(endpoint=endpoint)
        rows = self.connection.execute(
            f"SELECT state, over, count(*) FROM downlink{where} GROUP BY state, over",  # noqa: S608  # names of our own
            values,
        )
        return Counter({(DownlinkState(state), over == 1): count for state, over, count in rows})

    def uplink_counts(self, endpoint: int | None = None) -> Counter[UplinkState]:
        """Count uplinks by state; reads the whole table if no endpoint is given."""
        where, values = _where(endpoint=endpoint)
        rows = self.connection.execute(
            f"SELECT state, count(*) FROM uplink{where} GROUP BY state",  # noqa: S608  # names of our own
            values,
        )
        return Counter({UplinkState(state): count for state, count in rows})


_CONDITIONS = {"endpoint": ENDPOINT, "before": "id < ?"}


def _where(**wanted: int | str | None) -> tuple[str, tuple[int | str, ...]]:
    given = {name: value for name, value in wanted.items() if value is not None}
    if not given:
        return "", ()
    conditions = (_CONDITIONS.get(name, f"{name} = ?") for name in given)
    return " WHERE " + " AND ".join(conditions), tuple(given.values())
