"""The rows of several endpoints that the core still needs, table by table."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

import apsw
import msgspec

from bridge.delivery.downlinks import Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Row
from bridge.delivery.uplinks import Uplink
from bridge.quota.usage import Usage, needed_since
from bridge.relay.model import Kept, Observation, RelayState
from bridge.store.sqlite.statements import FINISHED, LIVE, columns_sql, decoder

R = TypeVar("R", bound=Row)

# The sub-query keeps the columns of json_each out of sight: it has one named id, as the rows have.
_WANTED = "(SELECT value AS wanted FROM json_each(?)) CROSS JOIN"


def _needed(row: type[R]) -> tuple[str, Callable[[tuple[Any, ...]], R]]:
    """Return the statement for messages, which uses both indexes of their table: values are the ids twice, and now."""
    live = f"SELECT {columns_sql(row)} FROM {_WANTED} {row.TABLE} INDEXED BY {row.TABLE}_live"  # noqa: S608  # names of our own
    finished = f"SELECT {columns_sql(row)} FROM {_WANTED} {row.TABLE} INDEXED BY {row.TABLE}_finished"  # noqa: S608  # as above
    statement = (
        f"{live} ON endpoint = wanted AND {LIVE}"
        f" UNION ALL {finished} ON endpoint = wanted AND {FINISHED} AND keep_until > ?"
    )
    return statement, decoder(row)


def _all(*kinds: type[Row]) -> str:
    """Return one statement for several small tables: each row begins with its table and ends with NULLs.

    A statement costs more than the row or two that it finds.
    """
    widest = max(len(kind.columns()) for kind in kinds)
    return " UNION ALL ".join(
        f"SELECT '{kind.TABLE}', {columns_sql(kind)}{', NULL' * (widest - len(kind.columns()))}"  # noqa: S608  # names of our own
        f" FROM {_WANTED} {kind.TABLE} ON endpoint = wanted"
        for kind in kinds
    )


_DOWNLINKS, _downlink = _needed(Downlink)
_UPLINKS, _uplink = _needed(Uplink)
_OTHERS = _all(Observation, UnattributedReport, RelayState, Usage) + " AND day >= ?"
_observation, _report, _relay = decoder(Observation), decoder(UnattributedReport), decoder(RelayState)
_usage = decoder(Usage)


def rows_of(connection: apsw.Connection, endpoints: Collection[int], now: float) -> dict[int, Kept]:
    """Return the rows of each of these endpoints that are needed at wall time `now`, each kind in the order of ids.

    An endpoint without rows has an empty Kept.
    """
    since = needed_since(now)
    found = {endpoint: Kept(usage_since=since) for endpoint in endpoints}
    ids = msgspec.json.encode(list(endpoints)).decode()
    execute = connection.execute

    def rows(statement: str, values: tuple[Any, ...], decode: Callable[[tuple[Any, ...]], R]) -> Iterator[R]:
        return map(decode, execute(statement, values).fetchall())

    for downlink in sorted(rows(_DOWNLINKS, (ids, ids, now), _downlink), key=_id):
        found[downlink.endpoint].downlinks.append(downlink)
    for uplink in sorted(rows(_UPLINKS, (ids, ids, now), _uplink), key=_id):
        found[uplink.endpoint].uplinks.append(uplink)
    others: list[tuple[Any, ...]] = execute(_OTHERS, (ids, ids, ids, ids, since)).fetchall()
    for table, *columns in others:
        values = tuple(columns)
        if table == Observation.TABLE:
            observation = _observation(values)
            found[observation.endpoint].observations.append(observation)
        elif table == UnattributedReport.TABLE:
            report = _report(values)
            found[report.endpoint].reports.append(report)
        elif table == Usage.TABLE:
            usage = _usage(values)
            found[usage.endpoint].usage.append(usage)
        else:
            relay = _relay(values)
            found[relay.endpoint].relay = relay
    for kept in found.values():
        kept.reports.sort(key=_id)
    return found


def _id(row: Downlink | Uplink | UnattributedReport) -> int:
    return row.id
