"""The enabler test cases over LoRaWAN with a real Leshan: a device of class A, ChirpStack, bridge and server."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mock_network.lab import Lab
from tests.ets.cases import CASES, Case
from tests.ets.ends import LorawanEnds
from tests.ets.leshan import ets_leshan
from tests.ets.lorawan_several import several_servers
from tests.ets.servers import LeshanEnd
from tests.ets.several import SEVERAL
from tests.ets.table import parameters
from tests.ets.worlds import LorawanWorld
from tests.interop.leshan_server import Leshan, LeshanProcess
from tests.lorawan.lorawan_kit import DEV_EUI, PATIENCE, lorawan_set_up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(180)]
__all__ = ["ets_leshan"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ends(ets_leshan: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanEnds]:
    async def leshan_too(_lab: Lab) -> str:
        return f'[servers.leshan]\nuri = "coap://{ets_leshan.host}:{ets_leshan.coap_port}"\npatience = {PATIENCE}\n'

    endpoint = {"name": "ets", "network": "lorawan", "address": DEV_EUI, "servers": ["leshan"]}
    directory = tmp_path_factory.mktemp("ets")
    async with (
        lorawan_set_up(directory, endpoints=[endpoint], also=leshan_too) as world,
        Leshan(ets_leshan) as leshan,
    ):
        found = LorawanEnds(world, LeshanEnd(leshan), patience=60.0)
        await world.joined()
        await world.start_client(found.name, lifetime=found.lifetime, objects=[3442])
        await found.registered()
        await world.settled()
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(ets_leshan: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanWorld]:
    uri = f"coap://{ets_leshan.host}:{ets_leshan.coap_port}"
    async with several_servers(tmp_path_factory.mktemp("ets"), uri) as lorawan, Leshan(ets_leshan) as leshan:
        found = LorawanWorld(dict.fromkeys(("lab", "patient"), LeshanEnd(leshan)), lorawan)
        async with found.polled():
            yield found


@pytest.mark.parametrize("case", parameters("LoRaWAN, Leshan", CASES))
async def test_case(ends: LorawanEnds, case: Case):
    await case.run(ends)


@pytest.mark.parametrize("case", parameters("LoRaWAN, Leshan", SEVERAL))
async def test_case_of_several(world: LorawanWorld, case: Case):
    await case.run(world)
