"""The enabler test cases about DTLS over NIDD with a real Leshan, whose DTLS is Scandium."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.e2e.kit import set_up
from tests.ets.cases import Case
from tests.ets.secure import SECURE, SERVER
from tests.ets.secure_leshan import NUMBERS, secure_leshan
from tests.ets.servers import LeshanEnd
from tests.ets.table import parameters
from tests.ets.worlds import NiddWorld
from tests.interop.leshan_server import Leshan, LeshanProcess

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

CASES = {number: SECURE[number] for number in NUMBERS}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeshanProcess]:
    with secure_leshan(tmp_path_factory.mktemp("pki")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(process: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NiddWorld]:
    uri = f"coap://{process.host}:{process.coap_port}"
    lines = f'secure_port = {process.coaps_port}\nknown_as = ["server.example"]'
    async with (
        set_up(tmp_path_factory.mktemp("secure"), servers={SERVER: uri}, server_lines=lines) as made,
        Leshan(process) as leshan,
    ):
        yield NiddWorld({SERVER: LeshanEnd(leshan)}, made)


@pytest.mark.parametrize("case", parameters("NIDD, Leshan", CASES))
async def test_case(world: NiddWorld, case: Case):
    await case.run(world)
