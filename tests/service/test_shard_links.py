"""Links toward servers move with their shard: the former holder closes them quietly, the next one opens its own."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from bridge.directory import EndpointRecord
from bridge.errors import StoreUnavailable
from bridge.service import upkeep
from bridge.service.shard_links import ClosesLinks, OpensLinks

SHARD, OTHER = 7, 8


def record(id_: int, shard: int, *, source: int | None, enabled: bool = True) -> EndpointRecord:
    """Return an endpoint with one server."""
    more: tuple[Any, ...] = ("", None, None, False, {}, enabled, 0.0, 0.0, "prefix", source)
    return EndpointRecord(id_, shard, f"e{id_}", "net", f"d{id_}", ("srv",), *more)


RECORDS = [
    record(1, SHARD, source=11),
    record(2, SHARD, source=12),
    record(3, SHARD, source=13, enabled=False),
    record(4, SHARD, source=None),
    record(5, SHARD, source=15),  # an address of another scheme
    record(6, OTHER, source=16),
]


class Sources:
    def has(self, found: EndpointRecord) -> bool:
        return found.source != 15


@dataclass
class Directory:
    """`fails`: how many reads do."""

    fails: int = 0
    catalogue: Any = field(default_factory=lambda: SimpleNamespace(sources=Sources()))

    async def of_shards(self, shards: Iterable[int]) -> AsyncIterator[EndpointRecord]:
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("away")
        for found in RECORDS:
            await asyncio.sleep(0)
            if found.shard in shards:
                yield found


@dataclass
class North:
    opens_each: bool = True
    told: list[tuple[Any, ...]] = field(default_factory=list)
    fails: bool = False

    def open(self, source: int, servers: Iterable[str]) -> None:
        if self.fails:
            raise AssertionError
        self.told.append(("open", source, *servers))

    def leave(self, source: int) -> None:
        self.told.append(("leave", source))


class Node:
    def __init__(self, *, fails: int = 0, opens_each: bool = True) -> None:
        self.north = North(opens_each)
        self.tasks: list[asyncio.Task[None]] = []
        directory: Any = Directory(fails)
        north: Any = self.north
        self.closes = ClosesLinks(directory, north)
        self.opens = OpensLinks(directory, north, self.begin)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    async def done(self) -> list[tuple[Any, ...]]:
        await asyncio.gather(*self.tasks)
        return self.north.told


async def test_the_next_holder_opens_the_links_of_endpoints_that_can_have_some() -> None:
    node = Node()
    await node.opens.taken(SHARD, 1)
    assert await node.done() == [("open", 11, "srv"), ("open", 12, "srv")]


async def test_shards_that_are_taken_meanwhile_get_theirs_too() -> None:
    node = Node()
    await node.opens.taken(SHARD, 1)
    await asyncio.sleep(0)
    await node.opens.taken(OTHER, 1)
    assert {told[1] for told in await node.done()} == {11, 12, 16}
    await node.opens.taken(OTHER, 2)
    assert [told[1] for told in await node.done()].count(16) == 2


async def test_a_shard_that_is_released_at_once_gets_none() -> None:
    node = Node()
    await node.opens.taken(SHARD, 1)
    await node.opens.released(SHARD)
    assert await node.done() == []


async def test_a_shard_that_is_released_and_taken_again_meanwhile_gets_all_its_links() -> None:
    node = Node()
    await node.opens.taken(SHARD, 1)
    await node.opens.taken(OTHER, 1)
    while not node.north.told:
        await asyncio.sleep(0)
    await node.opens.released(SHARD)
    node.north.told.clear()  # `ClosesLinks` has closed them
    await node.opens.taken(SHARD, 3)
    assert {told[1] for told in await node.done()} == {11, 12, 16}


async def test_a_bug_costs_the_shards_that_come_later_no_link() -> None:
    node = Node()
    node.north.fails = True
    await node.opens.taken(SHARD, 1)
    await asyncio.gather(*node.tasks, return_exceptions=True)
    node.tasks.clear()
    node.north.fails = False
    await node.opens.taken(OTHER, 1)
    assert await node.done() == [("open", 16, "srv")]


async def test_a_directory_that_cannot_be_read_delays_it(monkeypatch: Any) -> None:
    monkeypatch.setattr(upkeep, "AGAIN_AFTER", 0.0)
    node = Node(fails=2)
    await node.opens.taken(SHARD, 1)
    assert len(await node.done()) == 2


async def test_the_former_holder_closes_all_links_of_the_shard_without_a_word() -> None:
    node = Node()
    await node.closes.taken(SHARD, 1)
    await node.closes.released(SHARD)
    assert await node.done() == [("leave", 11), ("leave", 12), ("leave", 13), ("leave", 15)]


async def test_where_servers_reach_endpoints_without_a_link_nothing_is_read() -> None:
    node = Node(fails=9, opens_each=False)
    await node.opens.taken(SHARD, 1)
    await node.closes.released(SHARD)
    assert await node.done() == []
