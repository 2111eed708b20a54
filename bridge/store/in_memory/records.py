"""The records of the directory in dictionaries, and their sources."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bridge.delivery.downlinks import Downlink
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import FOREVER
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Uplink
from bridge.directory.allocation import Allocator, shard_of_new
from bridge.directory.keys import ByDevice, ByName, Key, keys_of
from bridge.directory.record import DirectoryChange, Draft, EndpointRecord
from bridge.directory.sources import Sources
from bridge.errors import DirectoryError
from bridge.quota.usage import Usage
from bridge.relay.model import Observation, RelayState
from bridge.store.fleet import LatestMessage, Provisioning
from bridge.store.in_memory.latest import latest_downlink, latest_uplink
from bridge.store.in_memory.tables import Tables, Undo

_REMOVED = "the endpoint was removed"


@dataclass(frozen=True, slots=True)
class _Given:
    endpoint: int
    released_at: float | None = None


class RecordTable:
    """All records and sources. Each changing method returns a function that undoes it; a refusal changes nothing."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.records: dict[int, EndpointRecord] = {}
        self.provisioning: dict[int, Provisioning] = {}
        self.uplinks: dict[int, LatestMessage] = {}  # the latest messages whose rows are gone
        self.downlinks: dict[int, LatestMessage] = {}
        self._keys: dict[Key, int] = {}
        self._sources: dict[str, dict[int, _Given]] = {}
        self._next_id = 1

    def find(self, key: Key) -> EndpointRecord | None:
        id_ = self._keys.get(key)
        return None if id_ is None else self.records[id_]

    def snapshot(self) -> Undo:
        """Return a function that restores the current state, except ids that were used meanwhile."""
        before = dict(self.records), dict(self._keys), {name: dict(given) for name, given in self._sources.items()}
        provisioning = dict(self.provisioning)
        tables = self._tables.snapshot()

        def undo() -> None:
            self.records, self._keys, self._sources = before
            self.provisioning = provisioning
            tables()

        return undo

    def remember(self, gone: Sequence[Downlink | Uplink]) -> None:
        """Remember the latest messages of endpoints whose rows are about to be removed."""
        for endpoint in {row.endpoint for row in gone}:
            up = latest_uplink(row for row in gone if isinstance(row, Uplink) and row.endpoint == endpoint)
            down = latest_downlink(row for row in gone if isinstance(row, Downlink) and row.endpoint == endpoint)
            self.uplinks.update({} if up is None else {endpoint: up})
            self.downlinks.update({} if down is None else {endpoint: down})

    def add(self, drafts: Sequence[Draft], sources: Sources | None, now: float) -> list[EndpointRecord]:
        return [self._add(draft, sources, now) for draft in drafts]

    def change(self, wanted: Sequence[tuple[EndpointRecord, Draft]], now: float) -> list[EndpointRecord]:
        return [self._change(before, draft, now) for before, draft in wanted]

    def remove(self, id_: int, now: float) -> int:
        record = self.records.pop(id_, None)
        if record is None:
            return 0
        for key in keys_of(record):
            del self._keys[key]
        for of_endpoint in (self.provisioning, self.uplinks, self.downlinks):
            of_endpoint.pop(id_, None)
        self._end_messages(id_, now)
        self._release(record, now)
        return 1

    def renew(
        self, ids: Iterable[int], sources: Sources, now: float
    ) -> list[tuple[EndpointRecord, EndpointRecord | DirectoryError]]:
        return [
            (before, self._renew(before, sources, now))
            for before in [self.records[id_] for id_ in ids if id_ in self.records]
        ]

    # Internals

    def _add(self, draft: Draft, sources: Sources | None, now: float) -> EndpointRecord:
        self._check_free(draft, None)
        id_, self._next_id = self._next_id, self._next_id + 1
        record = _record(id_, shard_of_new(id_), draft, now)
        if sources is not None:
            record = self._with_source(record, sources, now)
        self._put(record)
        return record

    def _change(self, before: EndpointRecord, draft: Draft, now: float) -> EndpointRecord:
        self._check_free(draft, before.id)
        after = replace(
            _record(before.id, before.shard, draft, now),
            created_at=before.created_at, scheme=before.scheme, source=before.source, locals=before.locals,
        )  # fmt: skip
        self._put(after, before)
        if (before.network, before.device) != (after.network, after.device):
            self.provisioning.pop(after.id, None)  # it belonged to another device
        self._note_move(before, after)
        return after

    def _check_free(self, draft: Draft, but: int | None) -> None:
        holder = self.find(ByDevice(draft.network, draft.device))
        if holder is not None and holder.id != but and holder.name != draft.name:
            what = f"device {draft.device!r} of network {draft.network!r}"
            raise DirectoryError(f"{what} is endpoint {holder.name!r} already")
        same = self.find(ByName(draft.name))
        if same is not None and same.id != but:
            raise DirectoryError(f"there is an endpoint {draft.name!r} already")

    def _put(self, record: EndpointRecord, before: EndpointRecord | None = None) -> None:
        if before is not None:
            for key in keys_of(before):
                self._keys.pop(key, None)
        self.records[record.id] = record
        self._keys.update(dict.fromkeys(keys_of(record), record.id))

    def _with_source(self, record: EndpointRecord, sources: Sources, now: float) -> EndpointRecord:
        used = self._sources.setdefault(sources.scheme, {})
        number, shard = Allocator(_Used(used), sources, now).free(record.shard)
        self._release(record, now)
        used[number] = _Given(record.id)
        return replace(record, shard=shard, scheme=sources.scheme, source=number, locals=sources.seen(number))

    def _release(self, record: EndpointRecord, now: float) -> None:
        if record.source is not None:
            self._sources[record.scheme][record.source] = _Given(record.id, now)

    def _renew(self, before: EndpointRecord, sources: Sources, now: float) -> EndpointRecord | DirectoryError:
        if before.source is None or before.scheme != sources.scheme or before.source not in sources.numbers:
            try:
                after = self._with_source(before, sources, now)
            except DirectoryError as error:
                return error
        else:
            shard = sources.shard_of(before.source)
            seen = sources.seen(before.source)
            after = replace(before, shard=before.shard if shard is None else shard, locals=seen)
        self._put(after, before)
        if after.shard != before.shard:
            for kind in (Downlink, Uplink, UnattributedReport, Observation, RelayState, Usage):
                for row in self._tables.of(kind, after.id):
                    self._tables.put(msgspec.structs.replace(row, shard=after.shard))
        self._note_move(before, after)
        return after

    def _note_move(self, before: EndpointRecord, after: EndpointRecord) -> None:
        """Make an endpoint register anew if servers know it by another address (R24)."""
        if DirectoryChange(before, after).server_knew:
            relay = next(self._tables.of(RelayState, after.id), None) or RelayState(after.id, after.shard)
            self._tables.put(msgspec.structs.replace(relay, refuse_update=True))

    def _end_messages(self, id_: int, now: float) -> None:
        """End the endpoint's messages, and remove its other rows."""
        ended: dict[str, Any] = {"finished_at": now, "keep_until": now, "reason": _REMOVED, "due": None}
        for row in self._tables.of(Downlink, id_):
            if row.keep_until == FOREVER and not row.over:
                state = _ENDS.get(row.state, DownlinkState.UNKNOWN)
                self._tables.put(msgspec.structs.replace(row, state=state, over=True, **ended))
        for row in self._tables.of(Uplink, id_):
            if row.keep_until == FOREVER and row.state is UplinkState.RECEIVED:
                self._tables.put(msgspec.structs.replace(row, state=UplinkState.EXPIRED, **ended))
            elif row.keep_until == FOREVER:
                self._tables.put(msgspec.structs.replace(row, due=None))
        for kind in (Observation, UnattributedReport, RelayState):
            for row in self._tables.of(kind, id_):
                self._tables.drop(row)


_ENDS = {
    DownlinkState.QUEUED: DownlinkState.CANCELLED,
    DownlinkState.SENT: DownlinkState.UNANSWERED,
    DownlinkState.DELIVERED: DownlinkState.UNANSWERED,
}


@dataclass(frozen=True, slots=True)
class _Used:
    given: dict[int, _Given]

    def largest(self, numbers: range) -> int | None:
        return max((one for one in self.given if one in numbers), default=None)

    def smallest(self, numbers: range) -> int | None:
        return min((one for one in self.given if one in numbers), default=None)

    def rested(self, numbers: range, before: float) -> int | None:
        free = [
            (given.released_at, number)
            for number, given in self.given.items()
            if number in numbers and given.released_at is not None and given.released_at < before
        ]
        return min(free)[1] if free else None


def _record(id_: int, shard: int, draft: Draft, now: float) -> EndpointRecord:
    return EndpointRecord(
        id_, shard, draft.name, draft.network, draft.device, draft.servers, draft.profile, draft.default_ttl,
        draft.object_list, draft.confirmed, draft.options, draft.enabled, now, now,
    )  # fmt: skip
