"""Faults of nodes with LoRaWAN devices of class A, judged by the ledger, ChirpStack's queue and the air."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.lorawan_nodes import DEVICES, LorawanCluster, eui, lorawan_cluster
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]  # each fault takes a lease and a restart

ALL = [f"l{n}" for n in range(DEVICES)]
WINDOWS = 3.2  # seconds from an uplink until both receive windows have ended
DONE = ("SENT", "DELIVERED", "RESPONDED", "UNANSWERED", "UNKNOWN")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LorawanCluster]:
    """Two nodes that share the shards."""
    async with lorawan_cluster(tmp_path) as made:
        made.cluster.ttl = 600.0
        yield made


def stop(world: LorawanCluster, node: str) -> None:
    world.cluster.nodes[node].process.signal(signal.SIGSTOP)


async def started_again(world: LorawanCluster, node: str) -> None:
    await world.cluster.start(node)
    await world.cluster.ready(node)
    await world.cluster.balanced("a", "b")


async def polled(world: LorawanCluster, endpoints: list[str], wait: float = 120.0) -> None:
    """Let devices open their windows until every Execute that was accepted is at its end."""
    mine = {one.argument for one in world.cluster.accepted if one.endpoint in endpoints}
    end = asyncio.get_running_loop().time() + wait
    while not all(state in DONE for argument, state in world.states().items() if argument in mine):
        assert asyncio.get_running_loop().time() < end, world.states()
        for endpoint in endpoints:
            await world.act(endpoint, "poll")
            await asyncio.sleep(WINDOWS / len(endpoints))  # the gateway can send one frame at a time
        await asyncio.sleep(1.0)


async def judged(world: LorawanCluster) -> dict[str, int]:
    """Nothing that was accepted is lost, and none was on air twice; return how often each was."""
    states, on_air = world.states(), await world.on_air()
    print(states, dict(on_air))
    assert "lost" not in states.values()
    assert max(on_air.values(), default=0) <= 1
    for argument, state in states.items():
        assert not (on_air[argument] and state in ("EXPIRED", "CANCELLED", "FAILED")), (argument, state)
    return {argument: on_air[argument] for argument in states}


async def test_the_owner_is_killed_while_its_downlinks_wait_in_chirpstacks_queue(world: LorawanCluster) -> None:
    for endpoint in ALL:
        await world.cluster.execute(endpoint)
    for endpoint in ALL:
        await world.queued(endpoint)
    world.cluster.nodes["b"].kill()
    await world.cluster.settled("a")
    await polled(world, ALL)
    assert set((await judged(world)).values()) == {1}
    assert "UNKNOWN" not in world.states().values(), "the report of each came"


@pytest.mark.parametrize("has_effect", [True, False], ids=["after it was queued", "before it was queued"])
async def test_the_owner_is_killed_while_it_queues_a_downlink(world: LorawanCluster, has_effect: bool) -> None:
    """The next owner looks into the queue. An Execute that is not there is not queued again: it may have been."""
    theirs = world.of("b")[0]
    kind = "grpc_deadline_after" if has_effect else "grpc_deadline"
    where = {"dev_eui": eui(int(theirs[1:])), "method": "Enqueue"}
    await world.radio.post("/faults", {"kind": kind, "where": where, "count": 1, "params": {"seconds": 9}})
    await world.cluster.execute(theirs)
    await until(lambda: set(world.states().values()) == {"SUBMITTING"}, 10, why="it is not being submitted")
    if has_effect:
        await world.queued(theirs)
    world.cluster.nodes["b"].kill()
    await world.cluster.settled("a")
    await polled(world, [theirs])
    assert set((await judged(world)).values()) == {1 if has_effect else 0}
    assert set(world.states().values()) <= ({"SENT", "UNANSWERED"} if has_effect else {"UNKNOWN"})


async def test_a_node_is_killed_that_has_received_events_and_not_committed_them(world: LorawanCluster) -> None:
    """ChirpStack posts each event once. Its history has those of the dead node's devices, and of the other node's."""
    mine, theirs = world.of("a")[0], world.of("b")[0]
    said = [await world.send(endpoint, 0) for endpoint in (mine, theirs)]
    await world.took(said)
    await asyncio.sleep(WINDOWS)
    world.cluster.posts_to = "a"
    stop(world, "a")
    said += [await world.send(endpoint, 1) for endpoint in (mine, theirs)]
    await asyncio.sleep(WINDOWS)
    assert len(world.sends()) == 2, "nothing was lost: the test shows nothing"
    world.cluster.nodes["a"].kill()
    world.cluster.posts_to = ""
    await world.cluster.settled("b")
    await world.took(said, wait=60.0)


async def test_the_owner_is_killed_before_it_takes_what_another_node_has_committed(world: LorawanCluster) -> None:
    theirs = world.of("b")[0]
    world.cluster.posts_to = "a"
    stop(world, "b")
    said = [await world.send(theirs, 0)]
    await until(lambda: len(world.cluster.rows("SELECT id FROM inbox")) == 1, 4, why="it is not in the inbox")
    world.cluster.nodes["b"].kill()
    await world.cluster.settled("a")
    await world.took(said)


async def test_the_owner_hangs_while_its_downlinks_are_transmitted(world: LorawanCluster) -> None:
    """The owner goes on later, and ends; then it is started again, and both nodes share the shards."""
    for endpoint in ALL:
        await world.cluster.execute(endpoint)
    for endpoint in ALL:
        await world.queued(endpoint)
    stop(world, "b")
    world.cluster.posts_to = "a"
    for endpoint in ALL:
        await world.act(endpoint, "poll")
        await asyncio.sleep(WINDOWS)
    await world.cluster.settled("a")
    world.cluster.nodes["b"].process.signal(signal.SIGCONT)
    await until(lambda: not world.cluster.nodes["b"].process.running, 20, why="a node without a lease goes on")
    world.cluster.posts_to = ""
    await started_again(world, "b")
    for endpoint in ALL:
        await world.cluster.execute(endpoint)
    await polled(world, ALL)
    await judged(world)


async def test_shards_are_handed_over_under_traffic_in_both_directions(world: LorawanCluster) -> None:
    said: list[str] = []

    async def talk() -> None:
        for number in range(8):
            said.extend([await world.send(endpoint, number) for endpoint in ALL])
            await asyncio.sleep(WINDOWS)

    talking = asyncio.create_task(talk())
    for node in "ab":
        for endpoint in ALL:
            await world.cluster.execute(endpoint)
        await world.cluster.command("a", "cluster", "drain", node)
        await world.cluster.settled("b" if node == "a" else "a")
        await world.cluster.command("a", "cluster", "drain", node, "--off")
        await world.cluster.balanced("a", "b")
    await talking
    await world.took(said)
    await polled(world, ALL)
    assert set((await judged(world)).values()) == {1}
