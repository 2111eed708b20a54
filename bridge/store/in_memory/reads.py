"""`bridge.store.contract.Reads` over tables in memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bridge.delivery.downlinks import Downlink
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.delivery.uplinks import DeviceUplink, OpaqueUplink, Response, Uplink, Verdict
from bridge.quota.report import UsageSum
from bridge.quota.usage import Amount, Usage
from bridge.store.in_memory.tables import Tables, newest


class InMemoryReads:
    """`check` is awaited before every answer: it raises StoreUnavailable, or lets the query wait."""

    def __init__(self, tables: Tables, check: Callable[[], Any]) -> None:
        self._tables = tables
        self._check = check

    async def downlinks(
        self,
        *,
        endpoint: int | None = None,
        state: DownlinkState | None = None,
        over: bool | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Downlink]:
        await self._check()
        found = [
            row
            for row in self._tables.of(Downlink, endpoint)
            if _is(row.state, state) and _is(row.over, over) and (before is None or row.id < before)
        ]
        return newest(found, limit)

    async def uplinks(
        self,
        *,
        endpoint: int | None = None,
        state: UplinkState | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Uplink]:
        await self._check()
        found = [
            row
            for row in self._tables.of(Uplink, endpoint)
            if _is(row.state, state) and (before is None or row.id < before)
        ]
        return newest(found, limit)

    async def downlink(self, id_: int) -> Downlink | None:
        await self._check()
        return next((row for row in self._tables.of(Downlink) if row.id == id_), None)

    async def uplink(self, id_: int) -> Uplink | None:
        await self._check()
        return next((row for row in self._tables.of(Uplink) if row.id == id_), None)

    async def answers(self, downlinks: Sequence[Downlink]) -> list[Response | Verdict]:
        await self._check()
        wanted = {row.id for row in downlinks}
        rows = self._tables.of(Uplink)
        found = [row for row in rows if isinstance(row, Response | Verdict) and row.downlink in wanted]
        return sorted(found, key=lambda row: row.id)

    async def usage(
        self,
        first: int,
        last: int,
        *,
        by_endpoint: bool = True,
        endpoint: int | None = None,
        network: str | None = None,
        after: tuple[int, str, int] | None = None,
        limit: int = 100,
    ) -> list[UsageSum]:
        await self._check()
        found: dict[tuple[int, str, int], Amount] = {}
        for row in self._tables.of(Usage, endpoint):
            if first <= row.day <= last and _is(row.network, network):
                key = row.day, row.network, row.endpoint if by_endpoint else 0
                amount = Amount(row.down_messages, row.down_bytes, row.up_messages, row.up_bytes)
                found.setdefault(key, Amount()).add(amount)
        wanted = sorted(key for key in found if after is None or key > after)[:limit]
        return [UsageSum(*key, *msgspec.structs.astuple(found[key])) for key in wanted]

    async def usage_since(self, day: int) -> list[Usage]:
        await self._check()
        return usage_since(self._tables, day)

    async def downlink_counts(self, endpoint: int | None = None) -> Counter[tuple[DownlinkState, bool]]:
        await self._check()
        return Counter((row.state, row.over) for row in self._tables.of(Downlink, endpoint))

    async def uplink_counts(self, endpoint: int | None = None) -> Counter[UplinkState]:
        await self._check()
        return Counter(row.state for row in self._tables.of(Uplink, endpoint))

    async def has_uplink(
        self, endpoint: int, duplicate_key: str | None, digest: bytes, after: float, before: float
    ) -> bool:
        await self._check()
        return any(
            (duplicate_key is not None and row.duplicate_key == duplicate_key)
            or (row.digest == digest and after <= row.received_at <= before)
            for row in self._tables.of(Uplink, endpoint)
            if isinstance(row, DeviceUplink | OpaqueUplink)
        )


def usage_since(tables: Tables, day: int) -> list[Usage]:
    """Return the rows of usage since a day, without their endpoints."""
    return [msgspec.structs.replace(row, endpoint=0, shard=0) for row in tables.of(Usage) if row.day >= day]


def _is(value: object, wanted: object) -> bool:
    return wanted is None or value == wanted
