"""The latest message of an endpoint, by the ids of its rows."""

from collections.abc import Iterable

from bridge.delivery.downlinks import Downlink
from bridge.delivery.uplinks import Uplink, Verdict
from bridge.store.fleet import LatestMessage


def latest_uplink(rows: Iterable[Uplink]) -> LatestMessage | None:
    """Return the latest message from the device; a verdict is the bridge's own."""
    found = max((row for row in rows if not isinstance(row, Verdict)), key=lambda row: row.id, default=None)
    return None if found is None else LatestMessage(found.id, found.received_at)


def latest_downlink(rows: Iterable[Downlink]) -> LatestMessage | None:
    """Return the latest message to the device."""
    found = max(rows, key=lambda row: row.id, default=None)
    return None if found is None else LatestMessage(found.id, found.accepted_at)
