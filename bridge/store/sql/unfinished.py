"""Finds the endpoints with unfinished work, in parts, for a start (R32)."""

from collections.abc import Collection

from bridge.delivery.states import DownlinkState
from bridge.store.sql.reader import SqlReader
from bridge.store.sql.statements import LIVE

PART = 1000  # endpoints in one answer

_UNCERTAIN = (
    "SELECT DISTINCT endpoint FROM downlink INDEXED BY downlink_live"  # noqa: S608  # names of our own
    f" WHERE {LIVE} AND endpoint > ? AND over = 0 AND state IN (?, ?){{}} ORDER BY endpoint LIMIT ?"
)
_LIVE = (
    "SELECT endpoint FROM downlink INDEXED BY downlink_live"  # noqa: S608  # names of our own
    f" WHERE {LIVE} AND endpoint > ? AND (over = 0 OR due IS NOT NULL){{0}}"
    " UNION SELECT endpoint FROM uplink INDEXED BY uplink_live"
    f" WHERE {LIVE} AND endpoint > ? AND (state = 'RECEIVED' OR due IS NOT NULL){{0}}"
    " ORDER BY endpoint LIMIT ?"
)


def uncertain(reader: SqlReader, after: int, shards: Collection[int] | None = None) -> list[int]:
    """Return endpoints, by rising id, with a downlink that the network may or may not have (R7, R9).

    `shards`: only those of these shards.
    """
    states = (DownlinkState.SUBMITTING, DownlinkState.UNKNOWN)
    question = _UNCERTAIN.format(_only(shards))
    return [endpoint for (endpoint,) in reader.connection.execute(question, (after, *states, PART))]


def live(reader: SqlReader, after: int, shards: Collection[int] | None = None) -> list[int]:
    """Return endpoints with a message that is unfinished or has a due time, by rising id."""
    question = _LIVE.format(_only(shards))
    return [endpoint for (endpoint,) in reader.connection.execute(question, (after, after, PART))]


def _only(shards: Collection[int] | None) -> str:
    return "" if shards is None else f" AND shard IN ({', '.join(map(str, map(int, shards))) or '-1'})"
