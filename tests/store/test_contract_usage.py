"""Usage: loaded with its endpoint from the Monday on, added up for people, and kept longer than messages."""

import asyncio

import msgspec
import pytest

from bridge.delivery.rows import Insert, Update
from bridge.quota.periods import DAY
from bridge.quota.report import UsageSum
from bridge.quota.usage import Amount, Usage
from tests.store.asking import rows

MONDAY = 4  # 5 January 1970


def usage(endpoint, day, network="net", group="", messages=1):
    row = Usage(endpoint, day, network, group, 0)
    row.add(Amount(messages, 10 * messages, 2, 5), day * DAY + 3700)
    return row


async def test_a_row_comes_back_as_it_was_and_as_it_was_changed(store):
    row = usage(1, MONDAY, group="g")
    await store.committed([Insert.of(row)], endpoint=1)
    row.add(Amount(1, 3), MONDAY * DAY + 7300)
    await store.committed([Update.of(row)], endpoint=1)
    (found,) = (await rows(store, 1, now=MONDAY * DAY)).usage
    assert msgspec.structs.astuple(found) == msgspec.structs.astuple(row)


async def test_an_endpoint_is_loaded_with_its_rows_since_monday(store):
    given = [usage(1, MONDAY - 1), usage(1, MONDAY), usage(1, MONDAY + 2, "other"), usage(2, MONDAY + 1)]
    await store.committed([Insert.of(row) for row in given])
    kept = await rows(store, 1, now=(MONDAY + 6) * DAY + 5)
    assert sorted((row.day, row.network) for row in kept.usage) == [(MONDAY, "net"), (MONDAY + 2, "other")]
    assert kept.usage_since == MONDAY


@pytest.fixture
async def filled(store):
    given = [
        usage(1, 10), usage(1, 10, group="g"), usage(2, 10, messages=5), usage(1, 11), usage(1, 11, "other"),
        usage(3, 12),
    ]  # fmt: skip
    await store.committed([Insert.of(row) for row in given])
    return store


async def test_usage_is_added_up_by_day_network_and_endpoint(filled):
    found = await filled.reads.usage(10, 11)
    assert found == [
        UsageSum(10, "net", 1, 2, 20, 4, 10),
        UsageSum(10, "net", 2, 5, 50, 2, 5),
        UsageSum(11, "net", 1, 1, 10, 2, 5),
        UsageSum(11, "other", 1, 1, 10, 2, 5),
    ]
    assert await filled.reads.usage(10, 12, network="net", endpoint=1) == [found[0], found[2]]
    assert await filled.reads.usage(10, 11, limit=2) == found[:2]
    last = found[1]
    assert await filled.reads.usage(10, 11, after=(last.day, last.network, last.endpoint)) == found[2:]


async def test_usage_is_added_up_by_network_alone(filled):
    found = await filled.reads.usage(10, 12, by_endpoint=False)
    assert [(one.day, one.network, one.endpoint, one.down_messages) for one in found] == [
        (10, "net", 0, 7), (11, "net", 0, 1), (11, "other", 0, 1), (12, "net", 0, 1),
    ]  # fmt: skip


async def test_a_start_gets_the_sums_of_all_endpoints(filled):
    found = await filled.reads.usage_since(11)
    assert sorted((row.day, row.network, row.group, row.down_messages, row.endpoint) for row in found) == [
        (11, "net", "", 1, 0), (11, "other", "", 1, 0), (12, "net", "", 1, 0),
    ]  # fmt: skip
    hours = {row.hour for row in found}
    assert hours == {1}


async def test_usage_stays_400_days_longer_than_messages(filled):
    await filled.prune((10 + 400) * DAY)
    assert len(await filled.reads.usage(0, 100)) == 5
    await filled.prune((11 + 400) * DAY)
    assert [one.day for one in await filled.reads.usage(0, 100)] == [11, 11, 12]


async def test_usage_in_turn_has_what_was_committed_before_and_nothing_later(store):
    """Without waiting for either: a change of quotas counts by itself what is committed after its question."""
    before = store.committed([Insert.of(usage(1, 11))], endpoint=1)
    asked = asyncio.ensure_future(store.usage_in_turn(11))
    await asyncio.sleep(0)  # it is asked
    after = store.committed([Insert.of(usage(2, 11))], endpoint=2)
    found = await asked
    await asyncio.gather(before, after)
    assert [(row.day, row.down_messages, row.endpoint) for row in found] == [(11, 1, 0)]
