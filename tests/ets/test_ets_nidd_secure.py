"""The enabler test cases about security over NIDD."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mock_network.lab import free_port
from tests.e2e.kit import set_up
from tests.ets.cases import Case
from tests.ets.secure import SECURE, SERVER
from tests.ets.servers import EmulatedServer
from tests.ets.table import parameters
from tests.ets.worlds import NiddWorld

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NiddWorld]:
    folder = tmp_path_factory.mktemp("secure")
    lines = 'secure_port = 1\nbootstrap = true\nknown_as = ["server.example"]'
    async with set_up(folder, servers={SERVER: "127.0.0.1"}, north=f"port = {free_port()}", server_lines=lines) as made:
        port = made.lab.servers[SERVER].ready["coap"].rpartition(":")[2]
        configuration = folder / "bridge.toml"
        configuration.write_text(configuration.read_text().replace("secure_port = 1", f"secure_port = {port}"))
        await made.bridge.restart()
        yield NiddWorld({SERVER: EmulatedServer(made.server(SERVER))}, made)


@pytest.mark.parametrize("case", parameters("NIDD", SECURE))
async def test_case(world: NiddWorld, case: Case):
    await case.run(world)
