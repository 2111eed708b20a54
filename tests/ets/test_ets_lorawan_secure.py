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
from tests.lorawan.lorawan_kit import LorawanSetUp, device, lorawan_set_up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

EUIS = {name_of(number): f"70b3d57ed0002{number:03d}" for number in SECURE}
OFFSET = (
    "downlinks = { rx1_dr_offset = 0 }\n"  # as docs/lorawan.md advises: else a first flight goes in 36 bytes a frame
)
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
        lines=OFFSET,
        server_arguments=("--ack-timeout", "30", "--max-retransmit", "6", "--block-size", "128"),
    ) as made:
        await made.joined()
        yield LorawanWorld({SERVER: EmulatedServer(made.server)}, made)


@pytest.mark.parametrize("case", parameters("LoRaWAN", SECURE))
async def test_case(world: LorawanWorld, case: Case):
    async with world.polled():
        await case.run(world)
    if case.number in {401, 402}:  # one handshake, and the server answers each ClientHello with its whole flight
        assert await hellos(world.lorawan, name_of(case.number)) == 1


async def hellos(lorawan: LorawanSetUp, name: str) -> int:
    """Return how many ClientHellos a device has sent (RFC 6347 §4.2.2)."""
    sent = [bytes.fromhex(one["payload"]) for one in await lorawan.heard(name) if one["what"] == "sent"]
    return sum(payload[:1] == b"\x16" and payload[13:14] == b"\1" for payload in sent)
