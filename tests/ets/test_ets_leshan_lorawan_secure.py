"""Enabler test cases about DTLS over LoRaWAN with a real Leshan: the bridge cuts the handshakes of Scandium."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from mock_network.lab import Lab
from tests.ets.cases import Case
from tests.ets.secure import SECURE, SERVER, name_of
from tests.ets.secure_leshan import NUMBERS, secure_leshan
from tests.ets.servers import LeshanEnd
from tests.ets.table import parameters
from tests.ets.worlds import LorawanWorld
from tests.interop.leshan_server import Leshan, LeshanProcess
from tests.lorawan.lorawan_kit import device, lorawan_set_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

CASES = {number: SECURE[number] for number in NUMBERS}
EUIS = {name_of(number): f"70b3d57ed0003{number:03d}" for number in CASES}
POLICY = "[policy]\nhandshake_ttl = 3600.0\nrecord_ttl = 3600.0\n"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeshanProcess]:
    with secure_leshan(tmp_path_factory.mktemp("pki")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(process: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LorawanWorld]:
    async def leshan_too(_lab: Lab) -> str:
        lines = f'secure_port = {process.coaps_port}\npatience = 86400.0\nknown_as = ["server.example"]\n{POLICY}'
        return f'[servers.{SERVER}]\nuri = "coap://{process.host}:{process.coap_port}"\n{lines}'

    endpoints = [
        {"name": name, "network": "lorawan", "address": eui, "servers": [SERVER]} for name, eui in EUIS.items()
    ]
    async with (
        lorawan_set_up(
            tmp_path_factory.mktemp("secure"),
            devices=[device(eui, adr=False) for eui in EUIS.values()],
            endpoints=endpoints,
            also=leshan_too,
        ) as made,
        Leshan(process) as leshan,
    ):
        await made.joined()
        yield LorawanWorld({SERVER: LeshanEnd(leshan)}, made)


@pytest.mark.parametrize("case", parameters("LoRaWAN, Leshan", CASES))
async def test_case(world: LorawanWorld, case: Case):
    async with world.polled():
        await case.run(world)
