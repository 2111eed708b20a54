"""A node that takes shards reads the endpoints of those shards, and no others."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from bridge.cluster.shards import NodeShards
from bridge.directory import Catalogue, Directory, Draft, EndpointRecord, Sources
from bridge.errors import StoreUnavailable
from bridge.service import shard_endpoints
from bridge.service.progress import Progress
from bridge.service.shard_endpoints import ShardCaches, ShardEndpoints
from bridge.service.upkeep import provision_all
from bridge.store.in_memory import Disk, InMemoryStore
from bridge.store.in_memory.directory import InMemoryDirectory
from tests.waiting import until

ENDPOINTS = 20


class Table(InMemoryDirectory):
    """Counts the records that are read."""

    def __init__(self, store: InMemoryStore) -> None:
        super().__init__(store)
        self.read: list[str] = []
        self.fails = False

    async def page(self, **asked: Any) -> list[EndpointRecord]:
        return self._noted(await super().page(**asked))

    async def of_shard(self, shard: int, after: int, limit: int) -> list[EndpointRecord]:
        if self.fails:
            raise StoreUnavailable("the database does not answer")
        return self._noted(await super().of_shard(shard, after, limit))

    def _noted(self, found: list[EndpointRecord]) -> list[EndpointRecord]:
        self.read += [record.name for record in found]
        return found


class Provisioning:
    """Keeps what networks would be asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bug = ""  # the endpoint for which there is one
        self.bugs = 0

    async def begin(self, record: EndpointRecord) -> None:
        if record.name == self.bug:
            await asyncio.sleep(0.01)  # other shards may come meanwhile
            self.bugs += 1
            raise RuntimeError("a bug")
        self.asked.append(record.name)

    async def flush(self) -> None:
        self.asked.append("flush")


class NoEndpoints:
    """A runner in whose memory there are none."""

    def of_shard(self, _shard: int) -> list[int]:
        return []

    def forget_shard(self, _shard: int) -> None:
        pass


class Network:
    """A network instance that reads notes of its own when shards come."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def device_came(self, device: str) -> None:
        self.told.append(device)

    def shards_came(self) -> None:
        self.told.append("shards")


class Node:
    """The endpoints of a node over a store in memory; every second one of them is disabled."""

    def __init__(self) -> None:
        self.store = InMemoryStore(Disk())
        self.table = Table(self.store)
        self.sources = Sources("prefix", range(ENDPOINTS), lambda source: (f"10.64.0.{source}:5683",))
        self.directory = Directory(
            self.table, Catalogue({}, lambda _network, device: device, self.sources), lambda: 0.0
        )
        self.provisioning = Provisioning()
        self.progress = Progress(lambda: 0.0)
        self.network = Network()
        self.came: dict[str, set[int]] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.endpoints = ShardEndpoints(
            self.store,
            self.directory,
            cast("Any", None),
            cast("Any", self.provisioning),
            {"net": cast("Any", self.network)},
            self.progress,
            self._begin,
            self._note,
        )

    async def _note(self, came: Mapping[str, Collection[int]]) -> None:
        self.came |= {network: set(endpoints) for network, endpoints in came.items()}

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def add(self) -> list[EndpointRecord]:
        drafts = [Draft("net", f"e{n}", f"e{n}", ("s",), enabled=n % 2 == 0) for n in range(ENDPOINTS)]
        return await self.table.add(drafts, self.sources, lambda: 0.0)


async def test_endpoints_whose_address_is_of_other_settings_are_told_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No node assigns addresses: the numbers belong to shards, and those to other nodes."""
    monkeypatch.setattr(shard_endpoints, "GATHER", 0.0)
    node = Node()
    records = await node.add()
    shards = {record.shard for record in records}
    for seen, told in ((node.sources, ""), (replace(node.sources, seen=lambda one: (f"10.65.0.{one}:5683",)), "10")):
        node.directory.catalogue = Catalogue({}, lambda _network, device: device, seen)
        for shard in shards:
            await node.endpoints.taken(shard, 1)
        await asyncio.gather(*node.tasks)
        assert [one.getMessage().split()[0] for one in caplog.records] == ([told] if told else [])
    assert "a start without [cluster] assigns one" in caplog.text


async def test_taking_shards_reads_their_endpoints_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_endpoints, "GATHER", 0.0)
    node = Node()
    records = await node.add()
    taken = {records[0].shard, records[1].shard, records[2].shard}
    assert len({record.shard for record in records}) > len(taken), "the test shows nothing"
    for shard in taken:
        await node.endpoints.taken(shard, 1)
    await asyncio.gather(*node.tasks)
    its = [record for record in records if record.shard in taken]
    assert sorted(node.table.read) == sorted(record.name for record in its)
    assert node.came == {"net": {record.id for record in its}}, "what others know of them is asked for"
    assert sorted(node.provisioning.asked) == sorted(record.name for record in its if record.enabled)


async def test_a_changed_network_is_asked_for_a_nodes_endpoints_and_no_others_are_read() -> None:
    node = Node()
    records = await node.add()
    shards = NodeShards("a")
    await shards.take(records[0].shard, 1)
    its = [record for record in records if record.shard == records[0].shard]
    asked = cast("Any", node.provisioning)
    await provision_all(node.directory, asked, node.progress, network="other", shards=shards)
    assert node.provisioning.asked == []
    node.table.read.clear()
    await provision_all(node.directory, asked, node.progress, network="net", shards=shards)
    assert node.table.read == [record.name for record in its]
    assert node.provisioning.asked == [record.name for record in its if record.enabled]


class Keeping:
    """A network instance that keeps state of devices: those that it was told to let go."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.late = False

    async def devices_left(self, devices: Collection[str], *, late: bool = False) -> None:
        self.left += devices
        self.late = late


async def test_a_network_lets_the_devices_of_a_released_shard_go_before_the_shard_is_taken_again() -> None:
    """Else it would go on with what it knew, or write it, which the other node has changed."""
    node, network = Node(), Keeping()
    records = await node.add()
    caches = ShardCaches(node.directory, node.store.memories, {"net": cast("Any", network), "other": cast("Any", None)})
    shard = records[0].shard
    await caches.taken(shard, 1)
    assert network.left == []
    await caches.released(shard)
    its = [record.device for record in records if record.shard == shard]
    assert network.left == its
    assert not network.late

    node.table.fails = True
    with pytest.raises(StoreUnavailable):
        await caches.released(shard)
    with pytest.raises(StoreUnavailable):
        await caches.taken(shard, 2)
    node.table.fails = False
    await caches.taken(shard, 2)
    assert network.left == 2 * its
    assert network.late


async def test_a_network_is_told_of_shards_after_their_devices_also_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The endpoint of a device whose configuration is still to be deleted may have been removed."""
    monkeypatch.setattr(shard_endpoints, "GATHER", 0.0)
    node = Node()
    records = await node.add()
    empty = next(shard for shard in range(256) if shard not in {record.shard for record in records})
    await node.endpoints.taken(empty, 1)
    await asyncio.gather(*node.tasks)
    assert node.network.told == ["shards"]
    await node.endpoints.taken(records[0].shard, 1)
    await asyncio.gather(*node.tasks)
    assert node.network.told[1:] == ["e0", "shards"]


async def test_what_networks_reported_is_stored_before_another_node_has_the_shard() -> None:
    """Else an old state would be noted after a newer one of the next holder."""
    node = Node()
    node.endpoints._runner = cast("Any", NoEndpoints())
    await node.endpoints.released(7)
    assert node.provisioning.asked == ["flush"]


async def test_a_bug_with_one_shard_keeps_no_other_from_being_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_endpoints, "GATHER", 0.0)
    monkeypatch.setattr(shard_endpoints, "AFTER_BUG", 0.01)
    node = Node()
    records = await node.add()
    bad, beside, meanwhile, later = records[0], records[2], records[4], records[6]
    assert len({bad.shard, beside.shard, meanwhile.shard, later.shard}) == 4, "the test shows nothing"
    node.provisioning.bug = bad.name
    await node.endpoints.taken(bad.shard, 1)
    await node.endpoints.taken(beside.shard, 1)
    while not node.tasks[0].done() and bad.name not in node.table.read:
        await asyncio.sleep(0)
    assert node.provisioning.bugs == 0
    await node.endpoints.taken(meanwhile.shard, 1)
    await until(lambda: {beside.name, meanwhile.name} <= {*node.provisioning.asked}, 10)
    await node.endpoints.taken(later.shard, 1)
    await until(lambda: later.name in node.provisioning.asked, 10)
    assert bad.name not in node.provisioning.asked
    node.provisioning.bug = ""
    await until(lambda: bad.name in node.provisioning.asked, 10)
    ended = await asyncio.gather(*node.tasks, return_exceptions=True)
    assert any(isinstance(error, RuntimeError) for error in ended), "the bug is seen"
    assert len(node.tasks) < 100, "attempts end when all is taken up"


async def test_a_shard_that_comes_back_while_it_is_taken_up_is_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_endpoints, "GATHER", 0.0)
    node = Node()
    node.endpoints._runner = cast("Any", NoEndpoints())
    records = await node.add()
    times = 0

    async def came(_came: Mapping[str, Collection[int]]) -> None:
        nonlocal times
        times += 1
        if times == 1:
            await node.endpoints.released(records[0].shard)
            await node.endpoints.taken(records[0].shard, 2)

    node.endpoints._came = came
    await node.endpoints.taken(records[0].shard, 1)
    await until(lambda: times > 1, 10)
    await asyncio.gather(*node.tasks)
