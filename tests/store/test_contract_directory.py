"""New endpoints are found by their ids, in every kind of store."""

import time
from typing import Any

from bridge.directory import Draft


async def test_endpoints_are_found_by_rising_ids(store: Any) -> None:
    """The store has endpoints 1 to 9; names fall while ids rise."""
    table = store.directory
    assert (await table.newest(), await table.newer(9, 10)) == (9, [])
    made = await table.add([Draft("net", f"new {n}", f"new {9 - n}", ("s",)) for n in range(3)], None, time.time)
    assert await table.newest() == made[-1].id
    assert [record.id for record in await table.newer(7, 3)] == [8, 9, made[0].id]
    assert await table.newer(made[0].id, 10) == made[1:]


async def test_the_endpoints_of_a_shard_are_read_by_rising_ids(store: Any) -> None:
    table = store.directory
    made = await table.add([Draft("net", f"new {n}", f"new {99 - n}", ("s",)) for n in range(90)], None, time.time)
    there = await table.newer(0, 1000)
    shards = {record.shard for record in there}
    assert len(shards) > 1, "the test shows nothing"
    for shard in shards:
        its = [record for record in there if record.shard == shard]
        assert await table.of_shard(shard, 0, 1000) == its
        assert await table.of_shard(shard, 0, 1) == its[:1]
        assert await table.of_shard(shard, its[0].id, 1000) == its[1:]
    assert await table.of_shard(made[0].shard, made[-1].id, 10) == []
