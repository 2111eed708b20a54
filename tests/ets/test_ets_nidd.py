"""The enabler test cases over NIDD: a device on a UE, SCEF, bridge and server as processes on real sockets."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.kit import set_up
from tests.ets.cases import Case
from tests.ets.ends import NiddEnds
from tests.ets.table import parameters

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ends(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NiddEnds]:
    async with set_up(tmp_path_factory.mktemp("ets")) as world:
        found = NiddEnds(world)
        await world.add_device(found.name, endpoint={}, device={"lifetime": found.lifetime, "objects": [3442]})
        yield found


@pytest.mark.parametrize("case", parameters("NIDD"))
async def test_case(ends: NiddEnds, case: Case):
    await case.run(ends)
