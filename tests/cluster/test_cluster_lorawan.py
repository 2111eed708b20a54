"""LoRaWAN on two nodes: events of ChirpStack at a node that does not serve the device, and what its owner queues."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster.lorawan_nodes import LorawanCluster, lorawan_cluster
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanCluster]:
    """Two nodes that share the shards; ChirpStack's events come to node a."""
    async with lorawan_cluster(tmp_path_factory.mktemp("lorawan")) as made:
        made.cluster.posts_to = "a"
        yield made


async def test_an_uplink_is_taken_at_any_node_and_a_downlink_goes_by_its_owner(world: LorawanCluster) -> None:
    mine, theirs = world.of("a")[0], world.of("b")[0]
    said = [await world.send(endpoint, number) for number in range(2) for endpoint in (mine, theirs)]
    await world.took(said)
    assert set(world.cluster.answers) == {200}

    await world.cluster.execute(theirs)
    await world.queued(theirs)
    (argument,) = (one.argument for one in world.cluster.accepted)
    await world.polled_until(theirs, lambda: world.states()[argument] not in ("QUEUED", "SUBMITTING", "BUFFERED"))
    assert (await world.on_air())[argument] == 1
    await until(lambda: not world.cluster.rows("SELECT id FROM inbox"), 20, why="an event stays in the inbox")
