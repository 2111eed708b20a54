"""Operations on messages of the ledger."""

from bridge.delivery.downlinks import Downlink, OpaqueDownlink, ServerRequest
from bridge.delivery.uplinks import CoapUplink, Response, Uplink, Verdict
from bridge.errors import NotFound, RequestError
from bridge.operations.bridge import Bridge
from bridge.operations.endpoints import existing
from bridge.operations.operation import Operation
from bridge.operations.types.messages import (
    CancelDownlink,
    CountMessages,
    DownlinkCount,
    DownlinkPage,
    DownlinkView,
    ListDownlinks,
    ListUplinks,
    MessageCounts,
    ShowDownlink,
    ShowUplink,
    UplinkCount,
    UplinkPage,
    UplinkView,
)
from bridge.relay.hops import PLAIN, north_size

LONGEST_CURSOR = 18  # decimal digits that certainly fit the 64 bits of a ledger's id


async def list_downlinks(bridge: Bridge, asked: ListDownlinks) -> DownlinkPage:
    endpoint, before = await _endpoint_id(bridge, asked.endpoint), _before(asked.after)
    rows = await bridge.reads.downlinks(
        endpoint=endpoint, state=asked.state, over=asked.over, before=before, limit=asked.limit + 1
    )
    items = tuple([await _downlink(bridge, row) for row in rows[: asked.limit]])
    return DownlinkPage(items=items, next=str(items[-1].id) if len(rows) > asked.limit else None)


async def show_downlink(bridge: Bridge, asked: ShowDownlink) -> DownlinkView:
    return await _downlink(bridge, await _existing_downlink(bridge, asked.id))


async def cancel_downlink(bridge: Bridge, asked: CancelDownlink) -> DownlinkView:
    await bridge.cancel(await _existing_downlink(bridge, asked.id))
    return await _downlink(bridge, await _existing_downlink(bridge, asked.id))


async def list_uplinks(bridge: Bridge, asked: ListUplinks) -> UplinkPage:
    endpoint, before = await _endpoint_id(bridge, asked.endpoint), _before(asked.after)
    rows = await bridge.reads.uplinks(endpoint=endpoint, state=asked.state, before=before, limit=asked.limit + 1)
    items = tuple([await _uplink(bridge, row) for row in rows[: asked.limit]])
    return UplinkPage(items=items, next=str(items[-1].id) if len(rows) > asked.limit else None)


async def show_uplink(bridge: Bridge, asked: ShowUplink) -> UplinkView:
    row = await bridge.reads.uplink(asked.id)
    if row is None:
        raise NotFound(f"no uplink {asked.id}")
    return await _uplink(bridge, row)


async def count_messages(bridge: Bridge, asked: CountMessages) -> MessageCounts:
    endpoint = await _endpoint_id(bridge, asked.endpoint)
    down = await bridge.reads.downlink_counts(endpoint)
    up = await bridge.reads.uplink_counts(endpoint)
    return MessageCounts(
        downlinks=tuple(DownlinkCount(state=s, over=over, messages=n) for (s, over), n in sorted(down.items())),
        uplinks=tuple(UplinkCount(state=s, messages=n) for s, n in sorted(up.items())),
    )


async def _endpoint_id(bridge: Bridge, name: str | None) -> int | None:
    return None if name is None else (await existing(bridge, name)).id


def _before(cursor: str) -> int | None:
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > LONGEST_CURSOR:
        raise RequestError(f"after {cursor[:40]!r} is no cursor that an earlier page gave")
    return int(cursor)


async def _existing_downlink(bridge: Bridge, id_: int) -> Downlink:
    row = await bridge.reads.downlink(id_)
    if row is None:
        raise NotFound(f"no downlink {id_}")
    return row


async def _name(bridge: Bridge, endpoint: int) -> str:
    record = await bridge.directory.by_id(endpoint)
    return "" if record is None else record.name


async def _downlink(bridge: Bridge, row: Downlink) -> DownlinkView:
    request = row if type(row) is ServerRequest else None
    return DownlinkView(
        id=row.id,
        endpoint=await _name(bridge, row.endpoint),
        endpoint_id=row.endpoint,
        kind=row.KIND,
        operation=row.operation,
        server=row.server if isinstance(row, ServerRequest | OpaqueDownlink) else "",
        state=row.state,
        over=row.over,
        cancel_asked=row.cancel_asked,
        late=request is not None and request.late,
        reason=row.reason,
        attempts=row.attempts[-1].number if row.attempts else 0,
        sent=sum(one.left_at is not None for one in row.attempts),
        bytes=PLAIN.size(row),
        accepted_at=row.accepted_at,
        deliver_by=row.deliver_by,
        answer_by=None if request is None else request.answer_by,
        not_before=row.not_before,
        finished_at=row.finished_at,
    )


async def _uplink(bridge: Bridge, row: Uplink) -> UplinkView:
    return UplinkView(
        id=row.id,
        endpoint=await _name(bridge, row.endpoint),
        endpoint_id=row.endpoint,
        kind=row.KIND,
        operation=row.operation,
        server=row.server,
        state=row.state,
        acknowledged=isinstance(row, CoapUplink) and row.acknowledged,
        reason=row.reason,
        bytes=north_size(row),
        downlink=row.downlink if isinstance(row, Response | Verdict) else None,
        received_at=row.received_at,
        expires_at=row.expires_at,
        finished_at=row.finished_at,
    )


OPERATIONS = (
    Operation(ListDownlinks, list_downlinks),
    Operation(ShowDownlink, show_downlink),
    Operation(CancelDownlink, cancel_downlink),
    Operation(ListUplinks, list_uplinks),
    Operation(ShowUplink, show_uplink),
    Operation(CountMessages, count_messages),
)
