"""`bridge.store.contract.Fleet` over the tables in memory; every answer is computed."""

from collections import Counter
from collections.abc import Iterable, Sequence

from bindings.provisioning import ProvisioningState
from bridge.delivery.downlinks import Downlink
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import Uplink
from bridge.directory.keys import ByDevice
from bridge.directory.record import EndpointRecord
from bridge.relay.model import RelayState
from bridge.store.fleet import (
    UNKNOWN_PROVISIONING,
    Also,
    EndpointConditions,
    FleetCounts,
    FleetEntry,
    PageEnd,
    Provisioning,
    ProvisioningChange,
    ProvisioningNote,
    lapses_at,
    nothing_else,
    page_end_of,
)
from bridge.store.in_memory.engine import Engine
from bridge.store.in_memory.latest import latest_downlink, latest_uplink
from bridge.store.order import Order
from bridge.store.searching import folded, may_be_found


class InMemoryFleet:
    def __init__(self, store: Engine) -> None:
        self._store = store
        self._disk = store.disk

    async def page(
        self,
        conditions: EndpointConditions,
        *,
        order: Order = Order.NAME,
        descending: bool = False,
        after: PageEnd | None = None,
        limit: int,
    ) -> list[FleetEntry]:
        def key(one: FleetEntry) -> tuple[str | float, int]:
            page_end = page_end_of(one, order)
            return page_end.value, page_end.id

        found = sorted(await self._fulfilling(conditions), key=key, reverse=descending)
        if after is not None:
            end = after.value, after.id
            found = [one for one in found if (key(one) < end if descending else key(one) > end)]
        return found[:limit]

    async def count(self, conditions: EndpointConditions) -> int:
        return len(await self._fulfilling(conditions))

    async def counts(self, now: float) -> FleetCounts:
        await self._store.readable()
        endpoints: Counter[tuple[str, bool, ProvisioningState]] = Counter()
        shards: Counter[int] = Counter()
        registered = 0
        for one in self._standings():
            shards[one.record.shard] += 1
            endpoints[one.record.network, one.record.enabled, one.provisioning.state] += 1
            registered += _is_registered(one, now)
        downlinks = Counter[DownlinkState](row.state for row in self._disk.tables.of(Downlink) if not row.over)
        uplinks = sum(row.state is UplinkState.RECEIVED for row in self._disk.tables.of(Uplink))
        return FleetCounts(endpoints, registered, downlinks, uplinks, shards)

    async def note(self, notes: Sequence[ProvisioningNote], also: Also = nothing_else) -> list[ProvisioningChange]:
        def work() -> list[ProvisioningChange]:
            told = [change for note in notes if (change := self._note(note)) is not None]
            self._disk.tables.apply(also(told))
            return told

        changes: list[ProvisioningChange] = await self._store.run(work)
        return changes

    def _note(self, note: ProvisioningNote) -> ProvisioningChange | None:
        record = self._disk.records.find(ByDevice(note.network, note.device))
        if record is None:
            return None
        before, after = self._disk.records.provisioning.get(record.id), note.provisioning
        if before is not None:
            same = (before.state, before.reason, before.retry_at) == (after.state, after.reason, after.retry_at)
            if note.unless_known or same:
                return None
            if before.state is after.state:
                after = Provisioning(after.state, after.reason, before.since, after.retry_at)
        self._disk.records.provisioning[record.id] = after
        was = ProvisioningState.WANTED if before is None else before.state
        changed = was is not after.state or after.reason
        return ProvisioningChange(record.id, record.name, was, after) if changed else None

    async def _fulfilling(self, conditions: EndpointConditions) -> list[FleetEntry]:
        await self._store.readable()
        return [one for one in self._standings() if all(_conditions(one, conditions))]

    def _standings(self) -> Iterable[FleetEntry]:
        return [*map(self._standing, self._disk.records.records.values())]

    def _standing(self, record: EndpointRecord) -> FleetEntry:
        tables = self._disk.tables
        uplinks, downlinks = [*tables.of(Uplink, record.id)], [*tables.of(Downlink, record.id)]
        return FleetEntry(
            record,
            self._disk.records.provisioning.get(record.id, UNKNOWN_PROVISIONING),
            tuple(one for relay in tables.of(RelayState, record.id) for one in relay.registrations),
            latest_uplink(uplinks) or self._disk.records.uplinks.get(record.id),
            latest_downlink(downlinks) or self._disk.records.downlinks.get(record.id),
            sum(not row.over for row in downlinks),
        )


def _is_registered(one: FleetEntry, now: float) -> bool:
    return any(lapses_at(registration) > now for registration in one.registrations)


def _conditions(one: FleetEntry, conditions: EndpointConditions) -> Iterable[bool]:
    record, text = one.record, folded(conditions.text)
    yield conditions.network in (None, record.network)
    yield conditions.server is None or conditions.server in record.servers
    yield conditions.enabled in (None, record.enabled)
    yield record.name.startswith(conditions.prefix)
    yield may_be_found(text) and (text in folded(record.name) or text in folded(record.device))
    yield conditions.provisioning is None or one.provisioning.state in conditions.provisioning
    yield conditions.registered in (None, _is_registered(one, conditions.now))
    yield conditions.waiting in (None, one.waiting > 0)
    yield conditions.silent_since is None or (0 if one.uplink is None else one.uplink.at) <= conditions.silent_since
    yield conditions.names is None or record.name in conditions.names
