"""Two nodes on one ChirpStack, events over its broker, one node killed in the middle; also on a real server.

The real one is built and started by hand (docs/real-chirpstack.md); the emulated one must tell the same.
"""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from mock_network.lab import TOKEN, Broker, Lab
from tests.cluster.gateway_world import DEVICES, NEVER_SENT, GatewayWorld, Where, from_environment, gateway_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # real windows, a lease and a restart

OF_ROUND = 2.0  # seconds in which what six devices send is published: less than a lease


async def judged(world: GatewayWorld) -> None:
    """Each event is taken once; each Execute has an outcome, was received once at most, and never if it expired."""
    await world.all_ended()
    await world.all_taken()
    states, received = world.states(), await world.received()
    print(len(world.published()), "events;", received.total(), "Executes received of", Counter(states.values()))
    assert "lost" not in states.values()
    assert not {text: number for text, number in received.items() if number > 1}, "an Execute was received twice"
    assert not [text for text, state in states.items() if received[text] and state in NEVER_SENT], states
    assert received.total() > len(states) * 0.7, f"the test shows little: {states}"


async def story(world: GatewayWorld) -> None:
    await world.rounds(0, 1)
    await world.all_taken()
    assert min([await world.node_took(node) for node in "ab"]) > 0, "one node takes all events"

    for n in range(DEVICES):
        await world.cluster.execute(f"l{n}")  # which waits at ChirpStack when the node hangs
    world.cluster.nodes["b"].process.signal(signal.SIGSTOP)
    for n in range(DEVICES):
        await world.send(n, 2)
    await asyncio.sleep(OF_ROUND)
    assert set(world.published()) - set(world.taken()), "the node that hangs was given nothing: the test shows little"
    world.cluster.nodes["b"].kill()
    await world.cluster.settled("a")
    await world.rounds(3)
    await world.all_taken()

    await world.cluster.start("b")
    await world.cluster.ready("b")
    await world.subscribed("b")
    await world.cluster.balanced("a", "b")
    await world.rounds(4, 5)
    assert await world.node_took("b") > 0, "the node that came back gets no events"
    await judged(world)


async def test_a_node_is_killed_on_an_emulated_server(tmp_path: Path, broker: Broker) -> None:
    async with Lab(tmp_path / "server") as lab:
        part = await lab.start_chirpstack(
            (), "--mqtt", broker.address, "--mqtt-qos", "1", "--gateway-mqtt", broker.address, "--history", "200",
            gateways=(),
        )  # fmt: skip
        where = Where(part.ready["grpc"], broker.address, TOKEN)
        async with gateway_world(tmp_path, where) as world:
            await story(world)
            await world.queue_again()  # the control
            with pytest.raises(AssertionError, match="an Execute was received twice"):
                await judged(world)


async def test_a_node_is_killed_on_a_real_server(tmp_path: Path) -> None:
    where = from_environment()
    if where is None:
        pytest.skip("no real ChirpStack: set CHIRPSTACK_GRPC, CHIRPSTACK_MQTT and CHIRPSTACK_TOKEN")
    async with gateway_world(tmp_path, where) as world:
        await story(world)
