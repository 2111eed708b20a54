"""The enabler test cases about security over LoRaWAN, with devices of class A that poll always."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mock_network.lab import Lab
from tests.ets.cases import Case
from tests.ets.secure import SECURE, SERVER, name_of
from tests.ets.servers import EmulatedServer
from tests.ets.table import parameters
from tests.ets.worlds import LorawanWorld
from tests.lorawan.lorawan_kit import device, lorawan_set_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

EUIS = {name_of(number): f"70b3d57ed0002{number:03d}" for number in SECURE}
POLICY = "[policy]\nhandshake_ttl = 3600.0\nrecord_ttl = 3600.0\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanWorld]:
    async def more(lab: Lab) -> str:
        uri = lab.server_ready["coap"]
        lines = f"secure_port = {uri.rpartition(':')[2]}\nbootstrap = true\npatience = 86400.0"
        return f'[servers.{SERVER}]\nuri = "{uri}"\n{lines}\nknown_as = ["server.example"]\n{POLICY}'

    endpoints = [
        {"name": name, "network": "lorawan", "address": eui, "servers": [SERVER]} for name, eui in EUIS.items()
    ]
    async with lorawan_set_up(
        tmp_path_factory.mktemp("secure"),
        devices=[device(eui, adr=False) for eui in EUIS.values()],
        endpoints=endpoints,
        also=more,
        server_arguments=("--ack-timeout", "30", "--max-retransmit", "6", "--block-size", "128"),
    ) as made:
        await made.joined()
        yield LorawanWorld({SERVER: EmulatedServer(made.server)}, made)


@pytest.mark.parametrize("case", parameters("LoRaWAN", SECURE))
async def test_case(world: LorawanWorld, case: Case):
    async with world.polled():
        await case.run(world)
