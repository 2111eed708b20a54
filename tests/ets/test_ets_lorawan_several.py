"""Enabler test cases with several servers over LoRaWAN; each has a class A device of its own, which polls always."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.ets.cases import Case
from tests.ets.lorawan_several import several_servers
from tests.ets.servers import EmulatedServer
from tests.ets.several import SEVERAL
from tests.ets.table import parameters
from tests.ets.worlds import LorawanWorld

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanWorld]:
    async with several_servers(tmp_path_factory.mktemp("ets")) as lorawan:
        servers = {"lab": lorawan.server, "patient": lorawan.lab.servers["patient"].api}
        found = LorawanWorld({name: EmulatedServer(api) for name, api in servers.items()}, lorawan)
        async with found.polled():
            yield found


@pytest.mark.parametrize("case", parameters("LoRaWAN", SEVERAL))
async def test_case_of_several(world: LorawanWorld, case: Case):
    await case.run(world)
