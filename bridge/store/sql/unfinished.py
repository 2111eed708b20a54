"""Finds the endpoints with unfinished work, in parts, for a start (R32)."""

from bridge.delivery.states import DownlinkState
from bridge.store.sql.reader import SqlReader
from bridge.store.sql.statements import LIVE

PART = 1000  # endpoints in one answer

_UNCERTAIN = (
    "SELECT DISTINCT endpoint FROM downlink INDEXED BY downlink_live"  # noqa: S608  # names of our own
    f" WHERE {LIVE} AND endpoint > ? AND over = 0 AND state IN (?, ?) ORDER BY endpoint LIMIT ?"
)
_LIVE = (
    "SELECT endpoint FROM downlink INDEXED BY downlink_live"  # noqa: S608  # names of our own
    f" WHERE {LIVE} AND endpoint > ? AND (over = 0 OR due IS NOT NULL)"
    " UNION SELECT endpoint FROM uplink INDEXED BY uplink_live"
    f" WHERE {LIVE} AND endpoint > ? AND (state = 'RECEIVED' OR due IS NOT NULL)"
    " ORDER BY endpoint LIMIT ?"
)


def uncertain(reader: SqlReader, after: int) -> list[int]:
    """Return endpoints, by rising id, with a downlink that the network may or may not have (R7, R9)."""
    states = (DownlinkState.SUBMITTING, DownlinkState.UNKNOWN)
    return [endpoint for (endpoint,) in reader.connection.execute(_UNCERTAIN, (after, *states, PART))]


def live(reader: SqlReader, after: int) -> list[int]:
    """Return endpoints with a message that is unfinished or has a due time, by rising id."""
    return [endpoint for (endpoint,) in reader.connection.execute(_LIVE, (after, after, PART))]
