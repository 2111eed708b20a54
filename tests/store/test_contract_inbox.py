"""The inbox: posts that any bridge keeps, and the one that serves the ledger takes, each with what it changes."""

import asyncio
import time

import msgspec
import pytest

from bindings.contract import Post
from bridge.delivery.rows import Delete, Insert
from bridge.errors import StoreUnavailable
from bridge.store import inbox as contract
from bridge.store.in_memory.inbox import InMemoryIngress
from bridge.store.inbox import InboxRow
from tests.store.stores import InMemoryStores, PostgresStores

POST = Post("report", "event=up", b'{"data": "\x00\xff"}')


class _Postgres(PostgresStores):
    def ingress(self):
        from bridge.store.postgres.ingress import PostgresIngress

        return PostgresIngress(self.where)


class _InMemory(InMemoryStores):
    def ingress(self):
        return InMemoryIngress(self._disk)


@pytest.fixture(params=[_InMemory, _Postgres])
def kind(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.end()


@pytest.fixture
async def store(kind):
    opened = await kind.open()
    yield opened
    await opened.close()


@pytest.fixture
async def ingress(store, kind):
    opened = kind.ingress()
    yield opened
    await opened.close()


def bodies(rows):
    return [row.body for row in rows]


async def test_a_post_that_was_kept_waits_as_it_came_until_it_is_removed(store, ingress, kind):
    await ingress.keep("net", POST)
    (row,) = await store.inbox.rows(10)
    assert (row.network, row.post) == ("net", POST)
    await store.committed([Delete(InboxRow, (row.id,))])
    assert await store.inbox.rows(10) == []


async def test_it_is_known_for_how_long_a_post_waits_whatever_the_clocks_of_bridges_say(
    store, ingress, kind, monkeypatch
):
    """By the ledger's clock alone: the wall clock of who keeps it is wrong, and that of who reads it, too."""
    monkeypatch.setattr("time.time", lambda: 1.0)
    began = time.monotonic()
    await ingress.keep("net", POST)
    kept = time.monotonic()
    monkeypatch.setattr("time.time", lambda: 4e9)
    while time.monotonic() < kept + 0.3:
        await asyncio.sleep(0.01)
    (row,) = await store.inbox.rows(10)
    age = store.inbox.age(row)
    assert 0.25 < age < time.monotonic() - began + 0.05
    assert store.inbox.age(msgspec.structs.replace(row, at=row.at + 3600.0)) == 0.0, "a clock that was set back"


async def test_posts_of_one_bridge_come_in_the_order_in_which_they_were_kept_in_parts_of_the_wanted_size(
    store, ingress
):
    kept = [ingress.keep("net", Post("", "", b"%d" % number)) for number in range(25)]
    await asyncio.gather(*kept)
    found, after = [], 0
    while rows := await store.inbox.rows(10, after):
        assert len(rows) <= 10
        found += bodies(rows)
        after = rows[-1].id
    assert found == [b"%d" % number for number in range(25)]


async def test_a_post_is_removed_with_what_it_changes_or_stays(store, ingress, kind, downlink):
    await ingress.keep("net", POST)
    (row,) = await store.inbox.rows(10)
    changes = [Insert.of(downlink(store.next_id())), Delete(InboxRow, (row.id,))]
    kind.fail_commits(store, True)
    with pytest.raises(StoreUnavailable):
        await store.committed(changes, endpoint=1)
    kind.fail_commits(store, False)
    assert len(await store.inbox.rows(10)) == 1
    assert await store.reads.downlinks() == []
    await store.committed(changes, endpoint=1)
    assert await store.inbox.rows(10) == []
    assert len(await store.reads.downlinks()) == 1


async def test_it_is_there_after_the_bridge_that_served_has_gone(kind, ingress, store):
    await ingress.keep("net", POST)
    await store.close()
    following = await kind.open()
    assert [row.post for row in await following.inbox.rows(10)] == [POST]
    await following.close()


async def test_notes_of_bindings_can_be_read_beside_the_bridge_that_serves(store, ingress):
    await store.memories.of("net").put("path", b"secret")
    assert await ingress.note("net", "path") == b"secret"
    assert await ingress.note("other", "path") is None


async def test_a_full_inbox_keeps_nothing_more_and_says_so(store, ingress, monkeypatch):
    monkeypatch.setattr(contract, "MOST", 3)
    for number in range(3):
        await ingress.keep("net", Post("", "", b"%d" % number))
    with pytest.raises(StoreUnavailable, match="inbox is full"):
        await ingress.keep("net", POST)
    (first, *_) = await store.inbox.rows(10)
    await store.committed([Delete(InboxRow, (first.id,))])
    await ingress.keep("net", POST)
    assert len(await store.inbox.rows(10)) == 3


async def test_after_it_was_closed_nothing_is_kept(store, kind):
    ingress = kind.ingress()
    await ingress.close()
    with pytest.raises(StoreUnavailable):
        await ingress.keep("net", POST)


async def test_whoever_waits_for_posts_continues_although_nobody_tells(store):
    await asyncio.wait_for(store.inbox.told(0.01), 60)


async def test_posts_are_found_by_the_shards_of_their_devices(store, ingress):
    for number, shard in enumerate([7, 8, 7, contract.NO_SHARD]):
        await ingress.keep("net", Post("", "", b"%d" % number), shard)
    assert bodies(await store.inbox.rows(10, 0, {7})) == [b"0", b"2"]
    assert bodies(await store.inbox.rows(10, 0, {8, contract.NO_SHARD})) == [b"1", b"3"]
    assert bodies(await store.inbox.rows(1, 0, frozenset((7, 8)))) == [b"0"]
    assert await store.inbox.rows(10, 0, ()) == []
    (_, last) = await store.inbox.rows(10, 0, {7})
    assert (last.shard, bodies(await store.inbox.rows(10, last.id))) == (7, [b"3"])


async def test_what_a_post_changes_is_kept_once_whoever_has_read_it(store, ingress, downlink):
    """Two holders of a shard may have read the same row: the second one's changes are refused as a whole."""
    await ingress.keep("net", POST)
    (row,) = await store.inbox.rows(10)
    await store.committed([Insert.of(downlink(1)), Delete(InboxRow, (row.id,))], endpoint=1)
    with pytest.raises(StoreUnavailable):
        await store.committed([Insert.of(downlink(2)), Delete(InboxRow, (row.id,))], endpoint=2)
    assert [one.id for one in await store.reads.downlinks()] == [1]


async def test_whoever_serves_is_told_of_which_shards_posts_came(store, ingress):
    told = []

    def when_told(shards):
        told.append(shards)
        return 7 in shards

    await store.inbox.told(0.5)  # it begins to listen
    store.inbox.when_told = when_told
    await ingress.keep("net", POST, 8)
    await ingress.keep("net", POST, 7)
    await asyncio.wait_for(store.inbox.told(60.0), 20)
    assert told == [frozenset((8,)), frozenset((7,))]
