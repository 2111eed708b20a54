"""The rows of several endpoints that the core still needs, table by table."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

import apsw
import msgspec

from bridge.delivery.downlinks import Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Row
from bridge.delivery.uplinks import Uplink
from bridge.relay.model import Kept, Observation, RelayState
from bridge.store.sqlite.statements import FINISHED, LIVE, columns_sql, decoder

R = TypeVar("R", bound=Row)

# The sub-query keeps the columns of json_each out of sight: it has one named id, as the rows have.
_WANTED = "(SELECT value AS wanted FROM json_each(?)) CROSS JOIN"


def _needed(row: type[R]) -> tuple[str, Callable[[tuple[Any, ...]], R]]:
    """Return the statement for messages, through both indexes of their table: values are the ids twice, and now."""
    live = f"SELECT {columns_sql(row)} FROM {_WANTED} {row.TABLE} INDEXED BY {row.TABLE}_live"  # noqa: S608  # names of our own
    finished = f"SELECT {columns_sql(row)} FROM {_WANTED} {row.TABLE} INDEXED BY {row.TABLE}_finished"  # noqa: S608  # as above
    statement = (
        f"{live} ON endpoint = wanted AND {LIVE}"
        f" UNION ALL {finished} ON endpoint = wanted AND {FINISHED} AND keep_until > ?"
    )
    return statement, decoder(row)


def _all(row: type[R]) -> tuple[str, Callable[[tuple[Any, ...]], R]]:
    return (
        f"SELECT {columns_sql(row)} FROM {_WANTED} {row.TABLE} ON endpoint = wanted",  # noqa: S608  # as above
        decoder(row),
    )


_DOWNLINKS, _downlink = _needed(Downlink)
_UPLINKS, _uplink = _needed(Uplink)
_OBSERVATIONS, _observation = _all(Observation)
_REPORTS, _report = _all(UnattributedReport)
_RELAYS, _relay = _all(RelayState)


def rows_of(connection: apsw.Connection, endpoints: Collection[int], now: float) -> dict[int, Kept]:
    """Return the rows of each of these endpoints that are needed at wall time `now`, each kind in the order of ids.

    An endpoint without rows has an empty Kept.
    """
    found = {endpoint: Kept() for endpoint in endpoints}
    ids = msgspec.json.encode(list(endpoints)).decode()
    execute = connection.execute

    def rows(statement: str, values: tuple[Any, ...], decode: Callable[[tuple[Any, ...]], R]) -> Iterator[R]:
        return map(decode, execute(statement, values).fetchall())

    for downlink in sorted(rows(_DOWNLINKS, (ids, ids, now), _downlink), key=_id):
        found[downlink.endpoint].downlinks.append(downlink)
    for uplink in sorted(rows(_UPLINKS, (ids, ids, now), _uplink), key=_id):
        found[uplink.endpoint].uplinks.append(uplink)
    for observation in rows(_OBSERVATIONS, (ids,), _observation):
        found[observation.endpoint].observations.append(observation)
    for report in sorted(rows(_REPORTS, (ids,), _report), key=_id):
        found[report.endpoint].reports.append(report)
    for relay in rows(_RELAYS, (ids,), _relay):
        found[relay.endpoint].relay = relay
    return found


def _id(row: Downlink | Uplink | UnattributedReport) -> int:
    return row.id
