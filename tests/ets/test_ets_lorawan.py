"""The enabler test cases over LoRaWAN: a device of class A, ChirpStack, bridge and server as processes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.ets.cases import CASES, Case
from tests.ets.ends import LorawanEnds
from tests.ets.servers import EmulatedServer
from tests.ets.table import parameters
from tests.lorawan.lorawan_kit import DEV_EUI, lorawan_set_up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ends(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanEnds]:
    endpoint = {"name": "ets", "network": "lorawan", "address": DEV_EUI}
    async with lorawan_set_up(tmp_path_factory.mktemp("ets"), endpoints=[endpoint]) as world:
        found = LorawanEnds(world, EmulatedServer(world.server))
        await world.joined()
        await world.client(found.name, lifetime=found.lifetime, objects=[3442])
        yield found


@pytest.mark.parametrize("case", parameters("LoRaWAN", CASES))
async def test_case(ends: LorawanEnds, case: Case):
    await case.run(ends)
