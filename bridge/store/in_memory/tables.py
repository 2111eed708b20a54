"""Rows of the core in dictionaries, with the changes that a commit makes to them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from bridge.delivery.downlinks import Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import FOREVER, Change, Delete, Insert, Row, inserted, updated
from bridge.delivery.uplinks import Uplink
from bridge.quota.usage import Usage, needed_since
from bridge.relay.model import EndpointRows, Observation, RelayState
from bridge.store.outbox import EventRow

Key = tuple[Any, ...]
Undo = Callable[[], object]


class Tables:
    """All rows, by table and key. Rows are copied when stored and when loaded: the core changes its own in place."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Key, Row]] = {}
        self._of_endpoint: dict[tuple[str, int], dict[Key, Row]] = {}
        self.largest_id = 0
        self.events = 0  # so far

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply changes in order. Raises LookupError if one cannot be applied; then none is."""
        undo: list[Undo] = []
        try:
            undo.extend(map(self._apply, changes))
        except BaseException:
            for one in reversed(undo):
                one()
            raise

    def snapshot(self) -> Undo:
        """Return a function that restores all rows as they are now."""
        rows = {table: dict(rows) for table, rows in self._rows.items()}
        of_endpoint = {key: dict(rows) for key, rows in self._of_endpoint.items()}

        def undo() -> None:
            self._rows, self._of_endpoint = rows, of_endpoint

        return undo

    def kept(self, endpoint: int, now: float) -> EndpointRows:
        """Return the rows of an endpoint that are needed at wall time `now`, each kind in the order of ids."""
        relay = next(self.of(RelayState, endpoint), None)
        since = needed_since(now)
        return EndpointRows(
            downlinks=self._needed(Downlink, endpoint, now),
            uplinks=self._needed(Uplink, endpoint, now),
            observations=[*self.of(Observation, endpoint)],
            reports=sorted(self.of(UnattributedReport, endpoint), key=_id),
            relay=relay,
            usage=[row for row in self.of(Usage, endpoint) if row.day >= since],
            usage_since=since,
        )

    def of(self, kind: type[Any], endpoint: int | None = None) -> Iterator[Any]:
        """Yield copies of a table's rows, of one endpoint or of all, as new objects."""
        if endpoint is None:
            found = self._rows.get(kind.TABLE, {})
        else:
            found = self._of_endpoint.get((kind.TABLE, endpoint), {})
        return (_copied(row) for row in list(found.values()))

    def those(self, kind: type[Any], wanted: Callable[[Any], bool]) -> Iterator[Any]:
        """Yield copies of the rows of a table for which `wanted` is true, as new objects; it may change no row."""
        return (_copied(row) for row in list(self._rows.get(kind.TABLE, {}).values()) if wanted(row))

    def _needed(self, kind: type[Any], endpoint: int, now: float) -> list[Any]:
        rows = cast("dict[Key, Any]", self._of_endpoint.get((kind.TABLE, endpoint), {})).values()
        return sorted((_copied(row) for row in rows if row.keep_until == FOREVER or row.keep_until > now), key=_id)

    def put(self, row: Row) -> Undo:
        """Insert or replace a row; return a function that undoes it."""
        key = _key(row)
        before = self._rows.get(row.TABLE, {}).get(key)
        self._set(row.TABLE, key, row, before)
        return lambda: self._set(row.TABLE, key, before, row)

    def drop(self, row: Row) -> Undo:
        """Remove the row of this key; return a function that undoes it."""
        key = _key(row)
        before = self._rows.get(row.TABLE, {}).get(key)
        self._set(row.TABLE, key, None, before)
        return lambda: self._set(row.TABLE, key, before, None)

    def _apply(self, change: Change) -> Undo:
        kind = change.row
        if isinstance(change, Insert):
            made = inserted(change)
            if not isinstance(made, EventRow) and _key(made) in self._rows.get(kind.TABLE, {}):
                raise LookupError(f"{kind.TABLE} {_key(made)} is there already")
            if isinstance(made, EventRow):
                self.events += 1
                made.id = self.events
            else:
                self.largest_id = max(self.largest_id, getattr(made, "id", 0))
            return self.put(made)
        key = change.values if isinstance(change, Delete) else change.values[len(kind.mutable()) :]
        there = self._rows.get(kind.TABLE, {}).get(key)
        if there is None and (kind.REMOVED_ONCE or not isinstance(change, Delete)):
            raise LookupError(f"{kind.TABLE} {key} to change is not there")
        if isinstance(change, Delete):
            return (lambda: None) if there is None else self.drop(there)
        assert there is not None  # noqa: S101  # an Update
        return self.put(updated(there, change))

    def _set(self, table: str, key: Key, row: Row | None, before: Row | None) -> None:
        rows = self._rows.setdefault(table, {})
        if before is not None:
            self._of_endpoint[table, _endpoint(before)].pop(key, None)
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = row
            self._of_endpoint.setdefault((table, _endpoint(row)), {})[key] = row


def _key(row: Row) -> Key:
    return tuple(getattr(row, name) for name in row.KEY)


def _endpoint(row: Row) -> int:
    return cast("int", getattr(row, "endpoint", 0))  # a post in the inbox has none


def _id(row: Any) -> int:
    return cast("int", row.id)


def _copied(row: Row) -> Row:
    return inserted(Insert.of(row))


def newest(rows: Sequence[Any], limit: int) -> list[Any]:
    """Return at most `limit` messages, newest first."""
    return sorted(rows, key=_id, reverse=True)[:limit]
