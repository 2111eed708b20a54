"""Core stories over LoRaWAN class A with a server as patient as Leshan is by default: two minutes, and no more."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from lorawan_kit import DEV_EUI, lorawan_set_up

from tests.ets.cases import CASES
from tests.ets.ends import LorawanEnds
from tests.ets.servers import EmulatedServer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

TWO_MINUTES = 120.0
RATE = 4.0  # virtual seconds per real one: the two minutes are half a minute, in which the processes have time enough
CORE = (101, 222, 241)  # in `make test`; the others in `make test-slow`
STORIES = (101, 104, 107, 201, 205, 222, 229, 233, 241, 256, 260, 303, 306)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ends(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanEnds]:
    endpoint = {"name": "ets", "network": "lorawan", "address": DEV_EUI}
    directory = tmp_path_factory.mktemp("two-minutes")
    async with lorawan_set_up(directory, endpoints=[endpoint], server_lines='profile = "leshan"') as world:
        found = LorawanEnds(world, EmulatedServer(world.server), response_timeout=TWO_MINUTES)
        await world.joined()
        await world.client(found.name, lifetime=found.lifetime)
        await world.faster(RATE)
        yield found


@pytest.mark.parametrize(
    "number", [pytest.param(one, marks=[] if one in CORE else [pytest.mark.slow]) for one in STORIES]
)
async def test_a_class_a_device_is_managed_within_the_patience_of_leshan(ends: LorawanEnds, number: int):
    """The stories are enabler test cases; the device polls each five seconds while its server waits."""
    await CASES[number].run(ends)
    rows = await ends.world.downlinks(ends.name)
    assert {row["verdict"] for row in rows} == {None}, "the bridge gave an answer of its own"
