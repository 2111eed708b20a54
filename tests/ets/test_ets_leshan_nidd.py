"""The enabler test cases over NIDD with a real Leshan: devices on UEs, SCEF, bridge and server as processes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.kit import set_up
from tests.ets.cases import CASES, Case
from tests.ets.ends import NiddEnds
from tests.ets.leshan import CORE, ets_leshan
from tests.ets.servers import LeshanEnd
from tests.ets.several import SEVERAL, server_lines
from tests.ets.table import parameters
from tests.ets.worlds import NiddWorld
from tests.interop.leshan_server import Leshan, LeshanProcess

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]
__all__ = ["ets_leshan"]

PATIENCE = 40.0  # of real seconds: a lifetime at Leshan, whose clock no test can move


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(ets_leshan: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NiddWorld]:
    """`lab` and `patient` are one Leshan; the others are emulated."""
    uri = f"coap://{ets_leshan.host}:{ets_leshan.coap_port}"
    hosts = {"lab": uri, "boot": "127.0.0.1", "patient": uri, "gone": "127.0.0.1"}
    async with (
        set_up(
            tmp_path_factory.mktemp("ets"),
            servers=hosts,
            service='default_servers = ["boot", "lab", "gone"]',
            lines_of=server_lines(),
        ) as found,
        Leshan(ets_leshan) as leshan,
    ):
        yield NiddWorld(dict.fromkeys(("lab", "patient"), LeshanEnd(leshan)), found)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ends(world: NiddWorld) -> NiddEnds:
    found = NiddEnds(world.nidd, world.ends["lab"], patience=PATIENCE)
    device = {"lifetime": found.lifetime, "objects": [3442]}
    await world.add_device(found.name, endpoint={"servers": ["lab"]}, device=device, registered="")
    await found.registered()
    return found


@pytest.mark.parametrize("case", parameters("NIDD, Leshan", CASES, core=CORE))
async def test_case(ends: NiddEnds, case: Case):
    await case.run(ends)


@pytest.mark.parametrize("case", parameters("NIDD, Leshan", SEVERAL, core=CORE))
async def test_case_of_several(world: NiddWorld, case: Case):
    await case.run(world)
