"""Cursors of lists: each belongs to one list in one order, and anything else is refused with the cure."""

from contextlib import suppress
from itertools import permutations
from typing import Any

import msgspec
import pytest

from bridge.control.client import DirectClient
from bridge.errors import NotFound, NotPossible, RequestError
from bridge.operations.cursors import cursor_of, page_end_at
from bridge.operations.registry import OPERATIONS, call
from bridge.operations.types.endpoints import AddEndpoints, ListEndpoints, ListWaiting, NewEndpoint
from bridge.operations.types.request import Request
from bridge.service.at_rest import BridgeAtRest
from bridge.store.fleet import PageEnd
from bridge.store.order import Order

LISTS = [one.request for one in OPERATIONS.values() if "after" in one.request.__struct_fields__]
IDS = [one.NAME for one in LISTS]
FOREIGN = [
    *(cursor_of(PageEnd("e1", 1), order) for order in (Order.NAME, Order.ADDRESS)),
    *(cursor_of(PageEnd(5.0, 1), order) for order in (Order.CREATED, Order.UPLINK, Order.DOWNLINK, Order.WAITING)),
    "7",
    "9" * 18,
    7,  # of events
    2**63 - 1,
    "20000/1/nidd",
]


async def add(client: DirectClient, *names: str) -> None:
    wanted = tuple(NewEndpoint(network="nidd", address=f"{name}@iot.example", name=name) for name in names)
    await client.ask(AddEndpoints(wanted))


@pytest.mark.parametrize("order", Order)
async def test_the_cursor_of_a_page_leads_to_the_next_one(client: DirectClient, order: Order) -> None:
    await add(client, "e1", "e2", "e3")
    first = await client.ask(ListEndpoints(limit=2, sort=order))
    assert first.next is not None
    last = await client.ask(ListEndpoints(limit=2, sort=order, after=first.next))
    assert ([one.name for one in (*first.items, *last.items)], last.next) == (["e1", "e2", "e3"], None)


@pytest.mark.parametrize(("made", "asked"), list(permutations(Order, 2)))
async def test_a_cursor_of_another_order_is_refused_with_the_cure(
    client: DirectClient, made: Order, asked: Order
) -> None:
    await add(client, "e1", "e2", "e3")
    first = await client.ask(ListEndpoints(limit=2, sort=made))
    with pytest.raises(RequestError, match=f"sorted by {made}, and this list is sorted by {asked}: ask with the sort"):
        await client.ask(ListEndpoints(limit=2, sort=asked, after=first.next or ""))


async def test_the_list_of_what_waits_is_in_one_order(client: DirectClient) -> None:
    with pytest.raises(RequestError, match="sorted by last uplink, and this list is sorted by name"):
        await client.ask(ListWaiting(after=cursor_of(PageEnd(5.0, 1), Order.UPLINK)))


@pytest.mark.parametrize("value", ["5", 5.0])
@pytest.mark.parametrize("order", Order)
def test_a_value_is_of_the_kind_that_its_order_sorts(order: Order, value: str | float) -> None:
    cursor = cursor_of(PageEnd(value, 1), order)
    if isinstance(value, str) is (order in (Order.NAME, Order.ADDRESS)):
        assert page_end_at(cursor, order) == PageEnd(value, 1)
    else:
        with pytest.raises(RequestError, match="is not `next` of an earlier page"):
            page_end_at(cursor, order)


@pytest.mark.parametrize("cursor", FOREIGN)
@pytest.mark.parametrize("asked", LISTS, ids=IDS)
async def test_a_cursor_of_another_list_gives_a_page_or_is_refused(
    bridge: BridgeAtRest, client: DirectClient, asked: type[Request[Any]], cursor: str | int
) -> None:
    await add(client, "e1", "e2", "e3")
    body: dict[str, object] = {"after": cursor}
    body |= {"name": "e1"} if "name" in asked.__struct_fields__ else {}
    body |= {"id": 1} if "id" in asked.__struct_fields__ else {}
    with suppress(RequestError, NotFound, NotPossible):  # there is no trace, and this bridge stores no events
        await call(bridge, asked.NAME, msgspec.json.encode(body))
