"""LoRaWAN on nodes that share a subscription at a real broker: whoever dies, each event counts once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mock_network.lab import Broker
from tests.cluster.lorawan_nodes import DEVICES, LorawanCluster, lorawan_cluster
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(tmp_path: Path, broker: Broker) -> AsyncIterator[LorawanCluster]:
    """Two nodes; histories are not read, so that only the broker can bring what comes meanwhile."""
    async with lorawan_cluster(tmp_path, mqtt=broker.address, lines="catch_up = { enabled = false }\n") as made:
        await subscribed(made, "a", "b")
        yield made


async def subscribed(world: LorawanCluster, *nodes: str) -> None:
    """Wait until these nodes take events."""
    for node in nodes:

        async def is_connected(node: str = node) -> bool:
            status = await world.cluster.ask(node, "status")
            return bool(status["networks"]["lorawan"]["events"]["connected"])

        await until(is_connected, 30, why=f"{node} does not come to the broker")
    await asyncio.sleep(0.5)


async def taken(world: LorawanCluster, node: str) -> int:
    """Return how many events a node took from the broker."""
    return int((await world.cluster.ask(node, "status"))["networks"]["lorawan"]["events"]["taken"])


async def rounds(world: LorawanCluster, *numbers: int) -> list[str]:
    """Let each device send once in each of these rounds; return what was sent."""
    said = []
    for number in numbers:
        said += [await world.send(f"l{n}", number) for n in range(DEVICES)]
        await asyncio.sleep(3.2)  # a device of class A sends again after its windows
    return said


async def test_events_are_shared_among_nodes_and_each_counts_once(world: LorawanCluster) -> None:
    said = await rounds(world, 0, 1)
    await world.took(said)
    assert min(await taken(world, "a"), await taken(world, "b")) >= DEVICES // 2


async def test_what_waits_at_the_broker_for_a_killed_node_comes_to_another_one(world: LorawanCluster) -> None:
    """First the node hangs with what it was given, and then it is killed."""
    said = await rounds(world, 0)
    await world.took(said)
    world.cluster.nodes["b"].process.signal(signal.SIGSTOP)
    said += await rounds(world, 1)
    assert len(set(said) - set(world.sends())) >= DEVICES // 2, "the broker gave the node that hangs nothing"
    world.cluster.nodes["b"].kill()
    await world.cluster.settled("a")
    await world.took(said)
    said += await rounds(world, 3)
    await world.took(said)

    await world.cluster.start("b")
    await world.cluster.ready("b")
    await subscribed(world, "b")
    await world.cluster.balanced("a", "b")
    before = await taken(world, "b")
    said += await rounds(world, 4, 5)
    await world.took(said)
    assert await taken(world, "b") > before, "the node that came back gets no events"


async def test_a_node_that_stops_leaves_no_event_behind(world: LorawanCluster) -> None:
    said = await rounds(world, 0)
    talking = asyncio.create_task(rounds(world, 1, 2, 3))
    world.cluster.nodes["b"].process.signal(signal.SIGTERM)
    said += await talking
    await until(lambda: not world.cluster.nodes["b"].process.running, 60, why="it does not end")
    await world.took(said)


async def test_the_broker_restarts(world: LorawanCluster, broker: Broker) -> None:
    said = await rounds(world, 0)
    await world.took(said)
    broker.stop()
    broker.start()
    await subscribed(world, "a", "b")
    said += await rounds(world, 1)
    await world.took(said)
