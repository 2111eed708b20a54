"""The rows of several endpoints that the core still needs, table by table."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

import msgspec

from bridge.delivery.downlinks import Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Row
from bridge.delivery.uplinks import Uplink
from bridge.quota.usage import Usage, needed_since
from bridge.relay.model import EndpointRows, Observation, RelayState
from bridge.store.sealing import NO_BODIES, Bodies
from bridge.store.sql.connection import Connection
from bridge.store.sql.statements import FINISHED, LIVE, columns_sql, decoder, decoder_of, sql_type

R = TypeVar("R", bound=Row)

# The sub-query hides the columns of json_each, one of which is named id, as in the rows.
_WANTED = "(SELECT CAST(v.value AS BIGINT) AS wanted FROM json_each(?) v) w CROSS JOIN"


def _needed(row: type[R]) -> tuple[str, Callable[[tuple[Any, ...]], R]]:
    """Return the statement for messages, which uses both indexes of their table: values are the ids twice, and now."""
    live = f"SELECT {columns_sql(row)} FROM {_WANTED} {row.TABLE} INDEXED BY {row.TABLE}_live"  # noqa: S608  # names of our own
    finished = f"SELECT {columns_sql(row)} FROM {_WANTED} {row.TABLE} INDEXED BY {row.TABLE}_finished"  # noqa: S608  # as above
    statement = (
        f"{live} ON endpoint = wanted AND {LIVE}"
        f" UNION ALL {finished} ON endpoint = wanted AND {FINISHED} AND keep_until > ?"
    )
    return statement, decoder(row)


def _all(*kinds: type[Row]) -> tuple[str, list[Callable[[tuple[Any, ...]], Row]]]:
    """Return one statement for several small tables, and a decoder for each: a row begins with its table's number.

    A statement costs more than the row or two that it finds. Columns of one type share a place, as a UNION wants it.
    """
    places: dict[tuple[str, int], None] = {}  # type, and the how many-th of that type
    columns: list[dict[tuple[str, int], str]] = []
    for kind in kinds:
        count: Counter[str] = Counter()
        own: dict[tuple[str, int], str] = {}
        for name in kind.columns():
            type_ = sql_type(kind, name)
            own[type_, count[type_]] = name
            count[type_] += 1
        columns.append(own)
        places.update(dict.fromkeys(own))
    parts = []
    for number, (kind, own) in enumerate(zip(kinds, columns, strict=True)):
        shown = (f'"{own[place]}"' if place in own else f"CAST(NULL AS {place[0]})" for place in places)
        parts.append(f"SELECT {number}, {', '.join(shown)} FROM {_WANTED} {kind.TABLE} ON endpoint = wanted")  # noqa: S608  # names of our own
    decoders = [
        decoder_of(kind, [own.get(place, "") for place in places]) for kind, own in zip(kinds, columns, strict=True)
    ]
    return " UNION ALL ".join(parts), decoders


_DOWNLINKS, _downlink = _needed(Downlink)
_UPLINKS, _uplink = _needed(Uplink)
_OTHERS, _other = _all(Observation, UnattributedReport, RelayState, Usage)
_OTHERS += " AND day >= ?"


def rows_of(
    connection: Connection, endpoints: Collection[int], now: float, bodies: Bodies = NO_BODIES
) -> dict[int, EndpointRows]:
    """Return the rows of each of these endpoints that are needed at wall time `now`, each kind in the order of ids.

    An endpoint without rows has an empty Kept. Raises ConfigurationError if a body is sealed under another key.
    """
    since = needed_since(now)
    found = {endpoint: EndpointRows(usage_since=since) for endpoint in endpoints}
    ids = msgspec.json.encode(list(endpoints)).decode()
    execute = connection.execute

    def rows(statement: str, values: tuple[Any, ...], decode: Callable[[tuple[Any, ...]], R]) -> Iterator[R]:
        return map(decode, execute(statement, values).fetchall())

    for downlink in sorted(rows(_DOWNLINKS, (ids, ids, now), _downlink), key=_id):
        found[downlink.endpoint].downlinks.append(bodies.opened(downlink))
    for uplink in sorted(rows(_UPLINKS, (ids, ids, now), _uplink), key=_id):
        found[uplink.endpoint].uplinks.append(bodies.opened(uplink))
    for kind, *columns in execute(_OTHERS, (ids, ids, ids, ids, since)).fetchall():
        row = _other[kind](tuple(columns))
        if isinstance(row, Observation):
            found[row.endpoint].observations.append(row)
        elif isinstance(row, UnattributedReport):
            found[row.endpoint].reports.append(row)
        elif isinstance(row, Usage):
            found[row.endpoint].usage.append(row)
        elif isinstance(row, RelayState):
            found[row.endpoint].relay = row
    for kept in found.values():
        kept.reports.sort(key=_id)
    return found


def _id(row: Downlink | Uplink | UnattributedReport) -> int:
    return row.id
