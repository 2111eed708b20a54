"""Operations on usage and quotas at a bridge whose service is down: what is counted is on the disk."""

from datetime import date

import pytest

from bridge.control.client import DirectClient
from bridge.delivery.rows import Insert
from bridge.errors import NotRunning, RequestError
from bridge.operations.types.endpoints import AddEndpoints, NewEndpoint
from bridge.operations.types.quotas import By, EstimateTransfer, ListQuotas, ListUsage
from bridge.quota.periods import DAY, number_of
from bridge.quota.usage import Amount, Usage
from bridge.service.at_rest import BridgeAtRest

FIRST = number_of(date(2026, 11, 29))


async def fill(bridge: BridgeAtRest, client: DirectClient) -> None:
    wanted = tuple(NewEndpoint(network="nidd", address=f"{name}@iot.example", name=name) for name in ("e1", "e2"))
    await client.ask(AddEndpoints(wanted))
    rows = [Usage(endpoint, FIRST + day, "nidd", "", 0) for endpoint in (1, 2, 3) for day in (0, 1)]
    for row in rows:
        row.add(Amount(row.endpoint, 100, 1, 7), row.day * DAY + 5.0)
    await bridge._store.committed([Insert.of(row) for row in rows])  # type: ignore[union-attr]


async def test_usage_is_listed_by_day_and_endpoint_page_by_page(bridge: BridgeAtRest, client: DirectClient) -> None:
    await fill(bridge, client)
    asked = {"first": "2026-11-29", "last": "2026-11-30"}
    page = await client.ask(ListUsage(**asked, limit=4))
    found = [(one.date, one.endpoint, one.endpoint_id, one.down_messages) for one in page.items]
    assert found == [
        ("2026-11-29", "e1", 1, 1), ("2026-11-29", "e2", 2, 2), ("2026-11-29", "", 3, 3), ("2026-11-30", "e1", 1, 1),
    ]  # fmt: skip
    last = await client.ask(ListUsage(**asked, limit=4, after=page.next or ""))
    assert [(one.date, one.endpoint_id) for one in last.items] == [("2026-11-30", 2), ("2026-11-30", 3)]
    assert last.next is None


async def test_usage_is_listed_by_network(bridge: BridgeAtRest, client: DirectClient) -> None:
    await fill(bridge, client)
    page = await client.ask(ListUsage(by=By.NETWORK, first="2026-11-29", last="2026-11-29"))
    (one,) = page.items
    assert (one.endpoint_id, one.down_messages, one.down_bytes, one.up_messages, one.up_bytes) == (None, 6, 300, 3, 21)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"first": "2026-02-30"}, "is not a day"),
        ({"after": "x"}, "is not `next` of an earlier page"),
        ({"after": "1/2"}, "is not `next` of an earlier page"),
    ],
)
async def test_what_cannot_be_asked_is_said(client: DirectClient, asked: dict[str, str], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        await client.ask(ListUsage(**asked))


async def test_how_quotas_stand_is_known_while_the_service_runs(bridge: BridgeAtRest, client: DirectClient) -> None:
    await fill(bridge, client)
    for request in (ListQuotas(), ListQuotas(endpoint="e1"), EstimateTransfer(endpoint="e1", content=1000)):
        with pytest.raises(NotRunning, match="only while the service runs"):
            await client.ask(request)
