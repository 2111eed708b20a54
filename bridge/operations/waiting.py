"""The operation on everything that waits for devices, and why."""

import asyncio
import contextlib

import msgspec

from bindings.contract import DeviceState, KnowsDevices
from bridge.coap.words import target
from bridge.delivery.downlinks import Downlink, OpaqueDownlink, ServerRequest
from bridge.delivery.explain import Explanation
from bridge.delivery.states import DownlinkState
from bridge.directory import EndpointRecord
from bridge.errors import BridgeError
from bridge.operations.bridge import Bridge
from bridge.operations.cursors import cursor_of, page_end_at
from bridge.operations.message_views import message_of
from bridge.operations.operation import Operation
from bridge.operations.owners import at_owner
from bridge.operations.types.endpoints import (
    EndpointExplanation,
    ExplainEndpoint,
    ListWaiting,
    Waiting,
    WaitingEndpoint,
    WaitingPage,
)
from bridge.quota.periods import spelled
from bridge.store.fleet import EndpointConditions, page_end_of
from bridge.store.order import Order

OWNER_ANSWERS = 3.0  # seconds for which a page waits for what other nodes say of their endpoints
ASKED = 50  # endpoints of a page about which other nodes are asked: each is a row in the ledger

_NOBODY = "no node serves the endpoint at the moment; another one is about to take it"


async def list_waiting(bridge: Bridge, asked: ListWaiting) -> WaitingPage:
    now = bridge.now()
    conditions = EndpointConditions(network=asked.network, waiting=True, now=now)
    after = page_end_at(asked.after, Order.NAME)
    found = await bridge.fleet.page(conditions, after=after, limit=asked.limit + 1)
    page = found[: asked.limit]
    elsewhere = [one.record.id for one in page if _other_node(bridge, one.record) is not None]
    asked_of = {*elsewhere[:ASKED]}
    waiting = await asyncio.gather(
        *(_at_its_node(bridge, one.record, may_ask=one.record.id in asked_of) for one in page)
    )
    items = tuple(
        WaitingEndpoint(endpoint=one.record.name, network=one.record.network, messages=messages)
        for one, messages in zip(page, waiting, strict=True)
        if messages
    )
    following = cursor_of(page_end_of(page[-1], Order.NAME), Order.NAME) if len(found) > asked.limit else None
    return WaitingPage(time=now, items=items, next=following)


def _other_node(bridge: Bridge, record: EndpointRecord) -> str | None:
    """Return which other node serves an endpoint, "" if none does; None: this one does, or there is no cluster."""
    holder = bridge.holder(record.shard)
    return None if holder == bridge.node else holder


async def _at_its_node(bridge: Bridge, record: EndpointRecord, *, may_ask: bool) -> tuple[Waiting, ...]:
    """Return what waits for a device, as the node says that serves it: only there is it known why.

    If that node does not answer in time, or may not be asked, that is said instead of the reasons.
    """
    other = _other_node(bridge, record)
    if other is None:
        return await explained(bridge, record)
    if other and may_ask:
        with contextlib.suppress(BridgeError, TimeoutError):
            async with asyncio.timeout(OWNER_ANSWERS):
                found: EndpointExplanation = await at_owner(bridge, record.shard, ExplainEndpoint(record.name))
                return found.waiting
    why = f"node {other} serves the endpoint and knows why: `endpoint explain` asks it" if other else _NOBODY
    ours = await explained(bridge, record)
    return tuple(msgspec.structs.replace(one, why=why, next_at=None, blocked_by=None) for one in ours)


async def explained(bridge: Bridge, record: EndpointRecord) -> tuple[Waiting, ...]:
    """Return what waits for a device, in the order in which it may go. Raises NotRunning, StoreUnavailable."""
    explanations = await bridge.explain(record.id)
    if not explanations:
        return ()
    rows = await bridge.reads.downlinks(endpoint=record.id, over=False, limit=len(explanations))
    by_id = {row.id: row for row in rows}
    reported = reported_state(bridge, record)
    return tuple(_waiting(one, by_id.get(one.downlink), reported) for one in explanations)


def reported_state(bridge: Bridge, record: EndpointRecord) -> DeviceState | None:
    """Return what its network reported of a device that cannot be reached; None: nothing, or it was heard since."""
    network = bridge.networks.get(record.network)
    return network.device_state(record.device) if isinstance(network, KnowsDevices) else None


def _waiting(one: Explanation, row: Downlink | None, reported: DeviceState | None) -> Waiting:
    message = message_of(row) if type(row) is ServerRequest else None
    return Waiting(
        downlink=one.downlink,
        operation=one.operation,
        kind=one.kind,
        target="" if message is None else target(message),
        server=row.server if isinstance(row, ServerRequest | OpaqueDownlink) else "",
        state=DownlinkState(one.state),
        since=one.since,
        why=one.why if reported is None or one.blocked_by is not None else f"{one.why}; {_words(reported)}",
        next_at=one.next_at,
        deliver_by=one.deliver_by,
        answer_by=one.answer_by,
        attempts=one.attempts,
        blocked_by=one.blocked_by,
    )


def _words(reported: DeviceState) -> str:
    text = f"of the device, {reported.detail} at {spelled(reported.since)}"
    return text if reported.until is None else f"{text}; it listens again at {spelled(reported.until)}"


OPERATIONS = (Operation(ListWaiting, list_waiting),)
