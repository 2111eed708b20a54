"""Notifications at a node that does not serve the device: two processes, a real PostgreSQL, an emulated SCEF."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from mock_network.lab import ApiError
from tests.cluster.nodes import Cluster
from tests.store.stores import postgres_server
from tests.waiting import until

pytestmark = pytest.mark.slow

NO_CONTENT = 204


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two nodes that share the shards."""
    async with Cluster(tmp_path, postgres_server()) as made:
        for name in ("a", "b"):
            await made.start(name)
            await made.ready(name)
        await made.balanced("a", "b")
        await made.provisioned()
        yield made


def of(cluster: Cluster, node: str) -> list[str]:
    """Return the endpoints that a node serves."""
    return [endpoint for endpoint, holder in cluster.holders().items() if holder == node]


def sends(cluster: Cluster) -> list[str]:
    """Return the payloads of the devices' Sends in the ledger, in the order in which they were taken."""
    found = cluster.rows("SELECT body FROM uplink WHERE operation = 'Send' ORDER BY id")
    return [bytes(body).rpartition(b"\xff")[2].decode() for (body,) in found]


async def test_a_notification_is_taken_at_any_node_and_counts_once(cluster: Cluster) -> None:
    mine, theirs = of(cluster, "a")[0], of(cluster, "b")[0]
    cluster.posts_to = "a"
    for number in range(3):
        await cluster.send(mine, f"{mine}.{number}")
        await cluster.send(theirs, f"{theirs}.{number}")
    expected = {f"{endpoint}.{number}" for endpoint in (mine, theirs) for number in range(3)}
    await until(lambda: set(sends(cluster)) == expected, 20, why="not all are taken")
    await until(lambda: not cluster.rows("SELECT id FROM inbox"), 20, why="what was taken stays")
    assert sorted(sends(cluster)) == sorted(expected), "each once"
    assert [one for one in sends(cluster) if one.startswith(f"{theirs}.")] == [f"{theirs}.{n}" for n in range(3)]
    assert set(cluster.answers) == {NO_CONTENT}

    await cluster.execute(theirs)  # its delivery report comes to a, too
    await cluster.judge()
    assert set(cluster.answers) == {NO_CONTENT}
    assert await cluster.post("a", b'{"niddConfiguration": "http://x/configurations/none", "data": ""}') == 404
    assert await cluster.post("a", b"no JSON") == 400
    assert not cluster.rows("SELECT id FROM inbox"), "what nobody knows is refused as on one node"


async def test_the_next_holder_takes_what_its_killed_owner_left(cluster: Cluster) -> None:
    """The owner hangs before it takes the post out of the inbox, and is killed."""
    theirs = of(cluster, "b")[0]
    cluster.posts_to = "a"
    cluster.nodes["b"].process.signal(signal.SIGSTOP)
    for number in range(3):
        await cluster.send(theirs, f"{number}")
    assert [cluster.answers[NO_CONTENT], len(cluster.rows("SELECT id FROM inbox"))] == [3, 3]
    assert sends(cluster) == []
    cluster.nodes["b"].kill()
    await cluster.settled("a")
    await until(partial(_are, cluster, ["0", "1", "2"]), 20, why="they are not taken")
    await cluster.send(theirs, "3")
    await until(partial(_are, cluster, ["0", "1", "2", "3"]), 20, why="a later one is not taken")
    assert not cluster.rows("SELECT id FROM inbox")
    assert set(cluster.answers) == {NO_CONTENT}


async def test_notifications_during_hand_overs_come_once_each(cluster: Cluster) -> None:
    endpoints = [f"e{n}" for n in range(cluster.devices)]

    async def talk(endpoint: str) -> None:
        for number in range(12):
            await cluster.send(endpoint, f"{endpoint}.{number}")

    talking = asyncio.gather(*(talk(endpoint) for endpoint in endpoints))
    await cluster.command("a", "cluster", "drain", "b")
    await cluster.settled("a")
    await cluster.command("a", "cluster", "drain", "b", "--off")
    await talking
    await cluster.balanced("a", "b")
    assert set(cluster.answers) == {NO_CONTENT}
    expected = sorted(f"{endpoint}.{number}" for endpoint in endpoints for number in range(12))
    await until(lambda: sorted(sends(cluster)) == expected, 20, why="not all are taken, or one twice")
    assert not cluster.rows("SELECT id FROM inbox")


def _are(cluster: Cluster, expected: list[str]) -> bool:
    return sends(cluster) == expected


async def test_the_callback_url_is_in_order_whichever_node_it_leads_to(cluster: Cluster) -> None:
    for cluster.posts_to in ("a", "b"):
        checked = await cluster.ask("a", "network.check", network="net")
        (finding,) = [one for one in checked["networks"]["net"] if one["what"] == "callback URL"]
        assert finding["grade"] == "good", finding
        assert ("another node" in finding["detail"]) == (cluster.posts_to == "b"), finding


async def test_what_a_person_asks_is_carried_out_whichever_node_is_asked(cluster: Cluster) -> None:
    mine, theirs = of(cluster, "a")[0], of(cluster, "b")[0]
    for endpoint in (mine, theirs):
        shown = await cluster.ask("a", "endpoint.disable", name=endpoint)
        assert (shown["name"], shown["enabled"]) == (endpoint, False)
        for node in ("a", "b"):
            assert (await cluster.ask(node, "endpoint.show", name=endpoint))["enabled"] is False
        with pytest.raises(ApiError, match="is disabled; enable it first"):
            await cluster.ask("a", "downlink.send", endpoint=endpoint, operation="read", path="/3/0/0")
        assert (await cluster.ask("a", "endpoint.enable", name=endpoint))["enabled"] is True

    endpoints = sorted(cluster.holders())
    report = await cluster.ask("a", "endpoints.act", action="provision", filter={})
    assert [(row["name"], row["outcome"]) for row in report["items"]] == [(name, "done") for name in endpoints]

    cluster.nodes["b"].process.signal(signal.SIGSTOP)  # what is asked now waits for the next holder
    asked = asyncio.create_task(cluster.ask("a", "endpoint.disable", name=theirs))
    assert (await asked)["enabled"] is False
    assert cluster.holders()[theirs] == "a"
    assert not cluster.rows("SELECT id FROM owner_request")


async def test_a_direct_request_and_its_cancel_reach_the_owner_from_any_node(cluster: Cluster) -> None:
    theirs = of(cluster, "b")[0]
    request = {"endpoint": theirs, "operation": "read", "path": "/3/0/0", "idempotency_key": "k", "ttl": 600.0}
    first = await cluster.ask("a", "downlink.send", **request)
    for node in ("a", "b"):
        assert (await cluster.ask(node, "downlink.send", **request))["id"] == first["id"], "the key is known at both"
    second = await cluster.ask("a", "downlink.send", endpoint=theirs, operation="read", path="/3/0/1", ttl=600.0)
    cancelled = await cluster.ask("a", "downlink.cancel", id=second["id"])
    assert cancelled["endpoint"] == theirs
    await until(partial(_is_over, cluster, second["id"]), 60, why="it is not cancelled")
    outcome = await cluster.ask("a", "downlink.outcome", id=second["id"], wait=5.0)
    assert outcome["downlink"]["state"] == "CANCELLED"
    explained = await cluster.ask("a", "endpoint.explain", name=theirs)
    assert explained["endpoint"]["name"] == theirs
    with pytest.raises(ApiError, match="no endpoint"):
        await cluster.ask("a", "endpoint.disable", name="nobody")


def _is_over(cluster: Cluster, downlink: int) -> bool:
    return cluster.rows(f"SELECT over FROM downlink WHERE id = {downlink}") == [(1,)]
