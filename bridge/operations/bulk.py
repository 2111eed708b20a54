"""Operations on many endpoints. Each endpoint is changed by itself: a failure of one does not prevent the others."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from bridge.directory import EndpointRecord
from bridge.errors import BridgeError, NotFound, NotServedHere, RequestError
from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.owners import at_owner
from bridge.operations.standings import conditions_of
from bridge.operations.types.bulk import (
    MOST,
    Action,
    ActOnEndpoints,
    BulkOutcome,
    BulkReport,
    BulkRow,
    MoveEndpoints,
    RemoveEndpoints,
    Selected,
)
from bridge.store.fleet import page_end_of
from bridge.store.order import Order

PAGE = 1000

Change = Callable[[EndpointRecord], Awaitable[str]]
"""Changes one endpoint and returns a remark."""


async def act_on_endpoints(bridge: Bridge, asked: ActOnEndpoints) -> BulkReport:
    changes: dict[Action, Change] = {
        Action.ENABLE: partial(_update, bridge, enabled=True),
        Action.DISABLE: partial(_update, bridge, enabled=False),
        Action.PROVISION: partial(_provision, bridge),
        Action.CANCEL: partial(_cancel, bridge),
    }
    return await _each(bridge, asked, changes[asked.action])


async def move_endpoints(bridge: Bridge, asked: MoveEndpoints) -> BulkReport:
    moved: dict[str, Any] = {}
    if asked.servers:
        moved["servers"] = asked.servers
    if asked.network:
        moved["network"] = asked.network
    if not moved:
        raise RequestError("name the servers, the network or both to which the endpoints change")
    return await _each(bridge, asked, partial(_update, bridge, **moved))


async def remove_endpoints(bridge: Bridge, asked: RemoveEndpoints) -> BulkReport:
    return await _each(bridge, asked, partial(_remove, bridge))


async def _each(bridge: Bridge, asked: Selected, change: Change) -> BulkReport:
    rows: dict[str, BulkRow] = {}
    elsewhere: dict[int, list[str]] = {}  # shards of other nodes → names
    for name in await _names(bridge, asked):
        try:
            rows[name] = await _one(bridge, name, change, dry_run=asked.dry_run)
        except NotServedHere as error:
            elsewhere.setdefault(error.shard, []).append(name)
            rows[name] = BulkRow(name=name, outcome=BulkOutcome.FAILED, detail=str(error))
    for part in await asyncio.gather(*(_at_owner(bridge, asked, shard, names) for shard, names in elsewhere.items())):
        rows.update({row.name: row for row in part})
    failed = sum(row.outcome is BulkOutcome.FAILED for row in rows.values())
    return BulkReport(items=tuple(rows.values()), done=0 if asked.dry_run else len(rows) - failed, failed=failed)


async def _at_owner(bridge: Bridge, asked: Any, shard: int, names: list[str]) -> list[BulkRow]:
    """Return the rows of endpoints that another node serves, which changes them."""
    part = msgspec.structs.replace(asked, names=tuple(names), filter=None)
    try:
        report: BulkReport = await at_owner(bridge, shard, part)
    except BridgeError as error:
        return [BulkRow(name=name, outcome=BulkOutcome.FAILED, detail=str(error)) for name in names]
    return list(report.items)


async def _one(bridge: Bridge, name: str, change: Change, *, dry_run: bool) -> BulkRow:
    try:
        record = await bridge.directory.by_name(name)
        if record is None:
            raise NotFound(f"no endpoint {name!r}")
        if dry_run:
            return BulkRow(name=name, outcome=BulkOutcome.WOULD_BE_DONE, detail="")
        return BulkRow(name=name, outcome=BulkOutcome.DONE, detail=await change(record))
    except NotServedHere:
        raise
    except BridgeError as error:
        return BulkRow(name=name, outcome=BulkOutcome.FAILED, detail=str(error))


async def _names(bridge: Bridge, asked: Selected) -> list[str]:
    """Return the names of the selected endpoints. Raises RequestError, StoreUnavailable."""
    if bool(asked.names) == (asked.filter is not None):
        raise RequestError("select endpoints by names or by a filter; the filter {} selects every endpoint")
    if asked.filter is None:
        return list(dict.fromkeys(asked.names))
    meant = conditions_of(asked.filter, bridge.now())
    number = await bridge.fleet.count(meant)
    if number > MOST:
        raise RequestError(f"the filter selects {number} endpoints, and one request may change {MOST}; narrow it")
    names: list[str] = []
    after = None
    while page := await bridge.fleet.page(meant, after=after, limit=PAGE):
        names += [one.record.name for one in page]
        after = page_end_of(page[-1], Order.NAME)
    return names


async def _update(bridge: Bridge, record: EndpointRecord, **changes: Any) -> str:
    await bridge.directory.update(record.name, **changes)
    return ""


async def _provision(bridge: Bridge, record: EndpointRecord) -> str:
    await bridge.provision(record)
    return ""


async def _remove(bridge: Bridge, record: EndpointRecord) -> str:
    await bridge.remove_endpoint(record.name)
    return ""


async def _cancel(bridge: Bridge, record: EndpointRecord) -> str:
    asked = 0
    before = None
    while rows := await bridge.reads.downlinks(endpoint=record.id, over=False, before=before, limit=PAGE):
        for row in rows:
            await bridge.cancel(row)
        asked, before = asked + len(rows), rows[-1].id
    return f"{asked} {'message' if asked == 1 else 'messages'}"


OPERATIONS = (
    Operation(ActOnEndpoints, act_on_endpoints),
    Operation(MoveEndpoints, move_endpoints),
    Operation(RemoveEndpoints, remove_endpoints),
)
