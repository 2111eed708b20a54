"""The enabler test cases over NIDD: devices on UEs, SCEF, bridge and servers as processes on real sockets."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.ets.cases import CASES, Case
from tests.ets.ends import NiddEnds
from tests.ets.servers import EmulatedServer
from tests.ets.several import SERVERS, SEVERAL, server_lines
from tests.ets.table import parameters
from tests.ets.worlds import NiddWorld

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("ets"),
        servers=dict.fromkeys(SERVERS, "127.0.0.1"),
        service='default_servers = ["boot", "lab", "gone"]',
        lines_of=server_lines(),
        kinds={"patient": "strict"},
    ) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ends(world: SetUp) -> NiddEnds:
    found = NiddEnds(world, EmulatedServer(world.server()))
    device = {"lifetime": found.lifetime, "objects": [3442]}
    await world.add_device(found.name, endpoint={"servers": ["lab"]}, device=device)
    return found


@pytest.mark.parametrize("case", parameters("NIDD", CASES))
async def test_case(ends: NiddEnds, case: Case):
    await case.run(ends)


@pytest.mark.parametrize("case", parameters("NIDD", SEVERAL))
async def test_case_of_several(world: SetUp, case: Case):
    await case.run(NiddWorld({name: EmulatedServer(world.server(name)) for name in SERVERS}, world))
