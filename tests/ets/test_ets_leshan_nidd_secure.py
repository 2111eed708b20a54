"""The enabler test cases about DTLS over NIDD with a real Leshan, whose DTLS is Scandium."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.components import LESHAN
from tests.conftest import need_component
from tests.e2e.kit import set_up
from tests.ets.cases import Case
from tests.ets.secure import KEY, SECURE, SERVER, name_of, of_the_server
from tests.ets.servers import LeshanEnd
from tests.ets.table import parameters
from tests.ets.worlds import NiddWorld
from tests.interop.leshan_server import Leshan, LeshanProcess, start_leshan

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

CASES = {number: SECURE[number] for number in (401, 402, 403)}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeshanProcess]:
    need_component(LESHAN)
    folder: Path = tmp_path_factory.mktemp("pki")
    files = {name: folder / f"{name}.pem" for name in of_the_server()}
    for name, pem in of_the_server().items():
        files[name].write_text(pem)
    options = [
        ("--psk", f"{name_of(401)},identity-401,{KEY.hex()}"),
        ("--x509", name_of(402)),
        ("--x509", name_of(403)),
    ]
    options += [("--certificate", str(files["certificate"])), ("--private-key", str(files["private_key"]))]
    started = start_leshan(secure=[*options, ("--authority", str(files["authorities"]))])
    yield started
    started.stop()


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
