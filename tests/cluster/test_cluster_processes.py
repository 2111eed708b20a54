"""Several nodes, each a process, on one PostgreSQL: judged by what the ledger and the air say, past all nodes."""

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from bridge.north.udp.prefixes import SHARDS
from tests.cluster.nodes import LEASE, SPARE, Cluster
from tests.store.postgres_server import PostgresServer
from tests.store.stores import postgres_server
from tests.waiting import until

pytestmark = pytest.mark.slow

SERVED_AGAIN = LEASE + 3.0  # seconds after a node died, on a machine that has nothing else to do


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    found: PostgresServer = postgres_server()
    return found


async def started(cluster: Cluster) -> None:
    """Start two nodes, and wait until they share the shards, and the devices are provisioned."""
    for name in ("a", "b"):
        await cluster.start(name)
        await cluster.ready(name)
    await cluster.settled("a", "b")
    await cluster.provisioned()


@pytest.fixture
async def cluster(tmp_path: Path, server: PostgresServer) -> AsyncIterator[Cluster]:
    """Two nodes that share the shards."""
    async with Cluster(tmp_path, server) as made:
        await started(made)
        yield made


async def judged(cluster: Cluster) -> None:
    """Nothing that was accepted is lost, each has one outcome, and no at-most-once message was on air twice."""
    verdict = await cluster.judge()
    print(dict(verdict.outcomes), "on air:", verdict.on_air, "of", len(cluster.accepted))
    assert not verdict.lost
    assert not verdict.twice
    assert verdict.on_air >= len(cluster.accepted) // 2, "the test has shown little"


def of(cluster: Cluster, node: str) -> list[str]:
    """Return the endpoints that a node serves."""
    return [endpoint for endpoint, holder in cluster.holders().items() if holder == node]


async def taken_over(cluster: Cluster, endpoints: list[str], since: float) -> None:
    """Require that endpoints of a node that fell silent at `since` accept requests again in time."""
    before = len(cluster.gaps)
    began = time.monotonic() - since
    await cluster.traffic(1, endpoints)
    gaps = [began + gap for gap in cluster.gaps[before:]]
    print(f"served again after {statistics.median(gaps):.1f} s (median), {max(gaps):.1f} s (worst)")
    assert max(gaps) < 2 * SERVED_AGAIN


async def test_a_killed_node(cluster: Cluster) -> None:
    its = of(cluster, "a")
    await cluster.traffic(2)
    cluster.nodes["a"].kill()
    await taken_over(cluster, its, time.monotonic())
    await cluster.settled("b")
    await cluster.traffic(1)
    await judged(cluster)


async def stopped_for_a_while(cluster: Cluster, name: str = "a", unfenced: PostgresServer | None = None) -> None:
    """Stop a node while requests wait in its memory, and let it go on when another one has worked through them.

    Without fencing nobody ends the session of the stopped node: it is stopped where it has no transaction, since the
    locks of that would keep the other node from taking anything.
    """
    its, process = of(cluster, name), cluster.nodes[name].process
    await cluster.traffic(4)
    process.signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    while unfenced is not None:
        await asyncio.sleep(0.6)
        if not unfenced.holds_a_transaction():
            break
        process.signal(signal.SIGCONT)
        await asyncio.sleep(0.05)
        process.signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
    assert _waiting(cluster, its), f"{name} has nothing in memory with which it could go on"
    await taken_over(cluster, its, stopped_at)
    await asyncio.sleep(30 - (time.monotonic() - stopped_at))
    process.signal(signal.SIGCONT)


def _waiting(cluster: Cluster, endpoints: list[str]) -> int:
    """Return the number of messages to these endpoints that have not been submitted yet."""
    of_endpoint = cluster.rows(
        "SELECT e.name, count(*) FROM downlink d JOIN endpoint e ON e.id = d.endpoint"
        " WHERE d.state = 'QUEUED' AND d.over = 0 GROUP BY e.name"
    )
    return sum(number for endpoint, number in of_endpoint if endpoint in endpoints)


async def test_a_node_that_was_stopped_for_30_s(cluster: Cluster) -> None:
    await stopped_for_a_while(cluster)
    await until(lambda: not cluster.nodes["a"].process.running, 10, why="a node without a lease goes on")
    assert "the database did not confirm the lease in time" in cluster.nodes["a"].process.said()
    await cluster.start("a")  # as systemd does
    await cluster.ready("a")
    await cluster.settled("a", "b")
    await cluster.traffic(1)
    shown = await cluster.command("a", "cluster", "drain", "b")
    assert "draining" in shown
    await cluster.settled("a")
    print(await cluster.command("b", "cluster", "status"))
    await cluster.traffic(1)
    await judged(cluster)


async def test_without_fencing_the_same_is_noticed(tmp_path: Path, server: PostgresServer) -> None:
    """The control: nodes that compare no epochs, and do not end with their lease."""
    async with Cluster(tmp_path, server, program="tests.cluster.unfenced") as cluster:
        await started(cluster)
        await stopped_for_a_while(cluster, unfenced=server)

        async def goes_twice() -> bool:
            return bool((await cluster.seen_on_air()).twice)

        await until(goes_twice, 60, why="a does not go on with what it had in memory", every=0.5)


async def test_a_node_that_the_database_does_not_hear(cluster: Cluster) -> None:
    its = of(cluster, "a")
    await cluster.traffic(3)
    cluster.nodes["a"].valve.shut()
    await taken_over(cluster, its, time.monotonic())
    await until(lambda: not cluster.nodes["a"].process.running, 10, why="a node without its database goes on")
    await judged(cluster)


async def test_a_third_node_and_one_that_leaves(cluster: Cluster) -> None:
    """Shards are handed over one by one while requests come: nobody waits for a lease."""
    working = asyncio.create_task(cluster.traffic(8))
    await cluster.start("c")
    await cluster.ready("c")
    await cluster.settled("a", "b", "c")
    cluster.nodes["a"].process.signal(signal.SIGTERM)
    await until(lambda: not cluster.nodes["a"].process.running, 60, why="a node that is stopped does not end")
    await working
    print(f"longest wait during two hand-overs: {max(cluster.gaps):.1f} s")
    await cluster.settled("b", "c")
    await until(lambda: _addresses_are_with(cluster, "b", "c"), 20, why="the addresses are elsewhere")
    await judged(cluster)
    assert statistics.median(cluster.gaps) < LEASE / 2, "a hand-over needs no lease to end"


@pytest.mark.timeout(600)  # seven faults, each with a lease and a restart
async def test_three_nodes_through_faults_at_random(cluster: Cluster) -> None:
    """Under traffic: whatever happens to a node, the others serve its endpoints in time."""
    await cluster.start("c")
    await cluster.ready("c")
    await cluster.settled("a", "b", "c")
    draw = Random(14)  # which faults
    traffic = asyncio.create_task(cluster.trickle(0.4))
    silent: list[float] = []
    for fault in draw.sample(["kill", "stop", "silence"] * 2 + ["leave"], 7):
        name = draw.choice("abc")
        node, its = cluster.nodes[name], of(cluster, name)
        since = time.monotonic()
        if fault == "kill":
            node.kill()
        elif fault == "stop":
            node.process.signal(signal.SIGSTOP)
        elif fault == "silence":
            node.valve.shut()
        else:
            node.process.signal(signal.SIGTERM)
        before = len(cluster.gaps)
        began = time.monotonic() - since
        await cluster.traffic(1, its)
        if fault != "leave":
            silent += [began + gap for gap in cluster.gaps[before:]]
        print(f"{fault} of {name}: served again after {began + max(cluster.gaps[before:]):.1f} s")
        node.process.signal(signal.SIGCONT)
        await until(lambda node=node: not node.process.running, 40, why=f"{name} goes on after {fault}")
        await cluster.start(name)
        await cluster.ready(name)
        await cluster.settled("a", "b", "c")
    traffic.cancel()
    print(f"served again after {statistics.median(silent):.1f} s (median), {max(silent):.1f} s (worst)")
    assert statistics.median(silent) < SERVED_AGAIN
    assert max(silent) < 2 * SERVED_AGAIN
    await judged(cluster)


def _addresses_are_with(cluster: Cluster, *nodes: str) -> bool:
    """Return whether these nodes have taken the addresses of all shards last; each was released before it was taken."""
    # A release that a stop interrupts is done again, which does no harm.
    moves = {prefix: [step for step, _ in groupby(steps)] for prefix, steps in cluster.moves().items()}
    for prefix, steps in moves.items():
        words = [word for word, _ in steps]
        assert words == ["take", "release"] * (len(steps) // 2) + ["take"] * (len(steps) % 2), (prefix, steps)
        assert all(one == other for (_, one), (_, other) in zip(steps[::2], steps[1::2], strict=False)), (prefix, steps)
    last = [steps[-1] for steps in moves.values()]
    return len(last) == SHARDS and all(word == "take" and node in nodes for word, node in last)


async def test_endpoints_that_are_added_at_one_node_are_provisioned_by_those_that_serve_them(cluster: Cluster) -> None:
    await cluster.balanced("a", "b")
    await cluster.add_spare("a")
    await cluster.provisioned(SPARE)
    other = {"a": "b", "b": "a"}
    holders = {f"e{n}": cluster.holders()[f"e{n}"] for n in range(cluster.devices, cluster.devices + SPARE)}
    assert set(holders.values()) == set(other)
    for endpoint, holder in holders.items():
        for node in (holder, other[holder]):
            await cluster.ask(node, "endpoint.provision", name=endpoint)


async def test_two_nodes_with_one_name(cluster: Cluster) -> None:
    """The second one waits, and takes the name when the first one has lost it; the first one ends."""
    second = await cluster.start("second", as_="a")
    await until(lambda: "a node called 'a' is in the cluster" in second.process.said(), 30, why="it does not wait")
    await cluster.traffic(3)
    cluster.nodes["a"].process.signal(signal.SIGSTOP)
    await cluster.ready("second")
    cluster.nodes["a"].process.signal(signal.SIGCONT)
    await until(lambda: not cluster.nodes["a"].process.running, 10, why="two nodes have one name")
    await cluster.settled("a", "b")
    await cluster.traffic(1)
    await judged(cluster)


async def test_three_nodes_ask_the_network_as_often_as_one_and_stay_within_its_quotas(
    tmp_path: Path, server: PostgresServer
) -> None:
    """Also when a node is killed: then what it had of a quota is lost, and nobody sends more for it."""
    most = 30
    quota = (
        '[[quotas]]\nname = "plan"\nnetwork = "net"\nper = "network"\nperiod = "week"\n'
        f"messages = {most}\nreserve = 0.0\n"
    )
    async with Cluster(tmp_path, server, quotas=quota, ttl=15.0) as cluster:
        for name in "abc":
            await cluster.start(name)
        for name in "abc":
            await cluster.ready(name)
        await cluster.settled("a", "b", "c")
        await cluster.provisioned()
        asked = await cluster.requests()
        print(dict(asked))
        assert asked["POST token"] == 1
        assert asked["POST configurations"] == cluster.devices
        await cluster.traffic(2)
        await until(lambda: _submitted(cluster) >= 24, 30, why="what the quota allows is not sent")
        cluster.nodes["a"].kill()
        await cluster.traffic(2)
        verdict = await cluster.judge()
        assert not verdict.lost
        assert not verdict.twice
        print(dict(verdict.outcomes), "submitted:", _submitted(cluster), "on air:", verdict.on_air, "allowed:", most)
        assert 24 <= verdict.on_air <= _submitted(cluster) <= most
        assert (await cluster.requests())["POST token"] == 1


def _submitted(cluster: Cluster) -> int:
    """Return how many messages the nodes have charged."""
    return int(cluster.rows("SELECT coalesce(sum(down_messages), 0) FROM usage")[0][0])
