"""Faults of what nodes stand on: their database, their commands, their clocks; and all nodes at once.

Judged by what the ledger and the air say, past all nodes.
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bridge.service.cluster import LEAVE
from tests.cluster.nodes import Cluster
from tests.cluster.test_cluster_processes import judged, started
from tests.store.postgres_server import PostgresServer
from tests.store.stores import postgres_server
from tests.waiting import until

pytestmark = pytest.mark.slow

FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON downlink EXECUTE FUNCTION full_disk()
"""
SESSIONS = 40  # that the server of the test about sessions takes


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two nodes that share the shards."""
    async with Cluster(tmp_path, postgres_server(), ttl=15.0) as made:
        await started(made)
        yield made


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test can break."""
    postgres_server()  # skips where there is none
    made = PostgresServer(durable=True, settings=(f"max_connections={SESSIONS}",))
    yield made
    made.stop()


async def ended(cluster: Cluster, *names: str) -> None:
    """Wait until the processes of nodes have ended."""
    for name in names:
        process = cluster.nodes[name].process
        await until(lambda process=process: not process.running, 2 * LEAVE, why=f"{name} does not end")


async def test_all_nodes_are_killed_and_then_stopped_at_once(cluster: Cluster) -> None:
    """When they stop, nobody is left to take a shard: no node waits for that, and none leaves its addresses behind."""
    await cluster.traffic(2)
    for node in cluster.nodes.values():
        node.kill()
    await ended(cluster, "a", "b")
    await started(cluster)
    await cluster.traffic(1)
    for node in cluster.nodes.values():
        node.process.signal(signal.SIGTERM)
    await ended(cluster, "a", "b")
    for node in cluster.nodes.values():
        assert "not all shards are handed over" not in node.process.said()
    assert cluster.announced() == set()
    await started(cluster)
    await cluster.traffic(1)
    await judged(cluster)


async def test_the_hook_of_a_node_hangs_and_then_fails(cluster: Cluster) -> None:
    """The others serve its shards, until it is started with one that works."""
    folder = cluster.folder / "c"
    hangs, broken = folder / "hangs", folder / "fails"
    folder.mkdir()
    hangs.touch()  # before its start: with a command that works it has its shards within a second
    node = await cluster.start("c")
    await until(lambda: "took longer than 4 s and was ended" in node.process.said(), 60, why="no hook hangs")
    hangs.rename(broken)
    await until(lambda: cluster.rows("SELECT draining FROM node WHERE name = 'c'") == [(3,)], 90, why="c goes on")
    said = await cluster.command("a", "cluster", "status")
    assert re.search(r"c could not serve \d+ of the shards that it tried: shard", said)
    await cluster.settled("a", "b")
    await cluster.traffic(1)
    broken.unlink()
    node.process.signal(signal.SIGTERM)
    await ended(cluster, "c")
    await cluster.start("c")
    await cluster.settled("a", "b", "c")
    await cluster.traffic(1)
    await judged(cluster)


async def test_the_disk_of_the_database_is_full(cluster: Cluster) -> None:
    """Nothing is accepted meanwhile, and nothing that was accepted is lost; no node ends."""
    await cluster.traffic(2)
    await cluster.change(FULL)
    refused = asyncio.create_task(cluster.traffic(1))
    await until(lambda: all("No space left" in node.process.said() for node in cluster.nodes.values()), 30)
    assert not refused.done()
    await cluster.change("DROP TRIGGER full_disk ON downlink")
    await refused
    await cluster.settled("a", "b")
    assert all(node.process.running for node in cluster.nodes.values())
    await judged(cluster)


async def test_the_database_has_no_session_left(tmp_path: Path, own_server: PostgresServer) -> None:
    """Nodes go on with the sessions that they have; another one waits until it gets some."""
    import psycopg

    async with Cluster(tmp_path, own_server) as cluster:
        await started(cluster)
        await cluster.traffic(1)
        with contextlib.ExitStack() as sessions:
            with contextlib.suppress(psycopg.OperationalError):  # too many clients
                for _ in range(SESSIONS):
                    sessions.enter_context(psycopg.connect(own_server.where("public")))
            third = await cluster.start("c")
            await until(lambda: "too many clients" in third.process.said(), 30, why="c does not say why it waits")
            await cluster.traffic(1)
        await cluster.ready("c")
        await cluster.settled("a", "b", "c")
        await cluster.traffic(1)
        await judged(cluster)


async def test_the_database_fails_over_to_its_standby(tmp_path: Path, own_server: PostgresServer) -> None:
    """Nothing that a node acknowledged is lost with the server that had it first."""
    standby = PostgresServer(durable=True, standby_of=own_server)
    own_server.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
    own_server.sql("SELECT pg_reload_conf()")
    try:
        async with Cluster(tmp_path, own_server, standby=standby, ttl=15.0) as cluster:
            await started(cluster)
            traffic = asyncio.create_task(cluster.trickle(0.05))
            await until(lambda: len(cluster.accepted) > 20, 60)
            await asyncio.to_thread(own_server.stop_server, "immediate")
            await asyncio.to_thread(standby.sql, "ALTER SYSTEM SET synchronous_standby_names = ''")
            await asyncio.to_thread(standby.promote)
            for name, node in [*cluster.nodes.items()]:  # one whose lease has ended meanwhile ended itself
                if not node.process.running:
                    await cluster.start(name)
            before = len(cluster.accepted)
            await until(lambda: len(cluster.accepted) > before + 20, 60, why="nothing is accepted any more")
            traffic.cancel()
            await judged(cluster)
    finally:
        standby.stop()


async def test_the_clock_of_a_node_is_an_hour_ahead(cluster: Cluster) -> None:
    """Leases do not depend on it, nor does what may be on air."""
    await cluster.start("c", program="tests.cluster.hour_ahead")
    await cluster.ready("c")
    await cluster.settled("a", "b", "c")
    ahead = {name: (await cluster.ask(name, "status"))["node"]["clock_ahead"] for name in ("a", "c")}
    assert [round(ahead["a"] / 3600), round(ahead["c"] / 3600)] == [0, 1], "each compares itself with the database"
    assert "ahead of that of the database" in cluster.nodes["c"].process.said()
    its = [endpoint for endpoint, holder in cluster.holders().items() if holder == "c"]
    await cluster.traffic(2)
    cluster.nodes["c"].kill()
    await cluster.traffic(1, its)
    await cluster.settled("a", "b")
    await cluster.start("c", program="tests.cluster.hour_ahead")
    await cluster.settled("a", "b", "c")
    await cluster.traffic(1)
    assert all("was taken by another node" not in node.process.said() for node in cluster.nodes.values())
    verdict = await cluster.judge()
    assert not verdict.lost
    assert not verdict.twice
    assert not verdict.expired_on_air, "what this node lets expire early was never sent"
    assert verdict.on_air
