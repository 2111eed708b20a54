"""Operations on messages of the ledger."""

from bridge.operations.bridge import Bridge
from bridge.operations.cursors import id_before
from bridge.operations.endpoints import existing
from bridge.operations.message_views import downlink_views, uplink_views
from bridge.operations.operation import Operation
from bridge.operations.stories import existing_downlink
from bridge.operations.types.messages import (
    CancelDownlink,
    CountMessages,
    DownlinkCount,
    DownlinkPage,
    DownlinkView,
    ListDownlinks,
    ListUplinks,
    MessageCounts,
    UplinkCount,
    UplinkPage,
)


async def list_downlinks(bridge: Bridge, asked: ListDownlinks) -> DownlinkPage:
    endpoint, before = await _endpoint_id(bridge, asked.endpoint), id_before(asked.after)
    rows = await bridge.reads.downlinks(
        endpoint=endpoint, state=asked.state, over=asked.over, before=before, limit=asked.limit + 1
    )
    items = await downlink_views(bridge, rows[: asked.limit])
    return DownlinkPage(items=items, next=str(items[-1].id) if len(rows) > asked.limit else None)


async def cancel_downlink(bridge: Bridge, asked: CancelDownlink) -> DownlinkView:
    await bridge.cancel(await existing_downlink(bridge, asked.id))
    (view,) = await downlink_views(bridge, [await existing_downlink(bridge, asked.id)])
    return view


async def list_uplinks(bridge: Bridge, asked: ListUplinks) -> UplinkPage:
    endpoint, before = await _endpoint_id(bridge, asked.endpoint), id_before(asked.after)
    rows = await bridge.reads.uplinks(endpoint=endpoint, state=asked.state, before=before, limit=asked.limit + 1)
    items = await uplink_views(bridge, rows[: asked.limit])
    return UplinkPage(items=items, next=str(items[-1].id) if len(rows) > asked.limit else None)


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


OPERATIONS = (
    Operation(ListDownlinks, list_downlinks),
    Operation(CancelDownlink, cancel_downlink),
    Operation(ListUplinks, list_uplinks),
    Operation(CountMessages, count_messages),
)
