"""Requests to the node that holds a shard: `bridge.cluster.requests.OwnerRequests`."""

import pytest

from bridge.cluster.requests import OwnerAnswer, OwnerRequest
from bridge.store.in_memory import ClusterRows, Disk, InMemoryNode
from bridge.store.inbox import ANSWERS
from tests.store.stores import postgres_server
from tests.waiting import until

LONG = 3600.0  # seconds
REQUEST = OwnerRequest(7, "endpoint.disable", b'{"name": "\xc3\xa9"}', "key 3")


@pytest.fixture(params=["in memory", "postgres"])
async def nodes(request):
    """Two nodes of one cluster."""
    if request.param == "in memory":
        disk, rows = Disk(), ClusterRows(lambda: 0.0)
        made = [InMemoryNode(disk, rows, name, 60.0, lambda: None) for name in "ab"]
    else:
        pytest.importorskip("psycopg")
        from bridge.store.postgres.cluster import NodeStore

        where = postgres_server().schema()
        made = [NodeStore.join(where, name, 60.0, 1.0, lambda: None) for name in "ab"]
    yield made
    for node in made:
        await node.close()


async def test_a_request_waits_for_the_holder_of_its_shard_until_it_is_answered(nodes):
    a, b = (node.owner_requests for node in nodes)
    first = await a.ask(REQUEST, LONG)
    second = await a.ask(REQUEST, LONG)
    assert first < second
    assert await b.waiting([8]) == []
    found = await b.waiting([7, 8])
    assert [one.id for one in found] == [first, second]
    assert (found[0].shard, found[0].operation, found[0].body, found[0].who) == (
        7, "endpoint.disable", b'{"name": "\xc3\xa9"}', "key 3",
    )  # fmt: skip
    assert await b.begin(first)
    found = await b.waiting([7])
    assert [(one.id, one.is_begun) for one in found] == [(first, True), (second, False)], (
        "the next holder finds it, too"
    )
    assert [one.id for one in await b.waiting([7], [first])] == [second]
    await b.answer(first, OwnerAnswer(b"\x00\xff"))
    assert [one.id for one in await b.waiting([7])] == [second]
    assert await a.answers([first, second]) == {first: OwnerAnswer(b"\x00\xff")}
    assert await a.answers([first, second]) == {}, "and it is gone"


async def test_what_nobody_has_begun_can_be_withdrawn_and_is_not_begun_then(nodes):
    a, b = (node.owner_requests for node in nodes)
    id_ = await a.ask(REQUEST, LONG)
    assert await a.withdraw(id_)
    assert not await b.begin(id_)
    begun = await a.ask(REQUEST, LONG)
    assert await b.begin(begun)
    assert not await a.withdraw(begun)
    await b.answer(begun, OwnerAnswer(error="NotFound", text="no endpoint"))
    assert await a.answers([begun]) == {begun: OwnerAnswer(error="NotFound", text="no endpoint")}


async def test_a_request_is_not_begun_after_its_time(nodes):
    a, b = (node.owner_requests for node in nodes)
    await a.ask(REQUEST, 0.0)
    assert await b.waiting([7]) == []


async def test_an_answer_that_nobody_waits_for_any_more_does_no_harm(nodes):
    a, b = (node.owner_requests for node in nodes)
    id_ = await a.ask(REQUEST, LONG)
    assert await a.withdraw(id_)
    await b.answer(id_, OwnerAnswer(b"x"))
    assert await a.answers([id_]) == {}
    assert await a.answers([]) == {}


async def test_the_holder_is_told(nodes):
    a, b = nodes
    told = []
    await b.inbox.told(0.5)  # it begins to listen
    b.inbox.when_told = lambda shards: told.append(shards) or True
    await a.owner_requests.ask(REQUEST, LONG)
    await b.inbox.told(60.0)
    assert told == [frozenset((7,))]


async def test_the_nodes_are_told_of_an_answer(nodes):
    a, b = nodes
    told = []
    await a.inbox.told(0.5)
    a.inbox.when_told = lambda shards: told.append(shards) or True
    id_ = await a.owner_requests.ask(REQUEST, LONG)
    await b.owner_requests.answer(id_, OwnerAnswer(b"x"))
    await until(lambda: frozenset((ANSWERS,)) in told)
