"""Two servers at one address: whose message it is, the endpoint's own servers decide."""

from pathlib import Path

import pytest

from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.config import parse
from tests.service.kit import CONFIG, Kit
from tests.waiting import until

SHARED = """
[servers.other]
uri = "coap://127.0.0.1:{server}"
[[endpoints]]
name = "e2"
network = "net"
address = "d2"
servers = ["other"]
"""


@pytest.fixture
def shared(kit: Kit, tmp_path: Path) -> Kit:
    _, port = kit.address
    text = CONFIG.replace('address = "d1"', 'address = "d1"\nservers = ["lab"]') + SHARED
    text = text.format(state=tmp_path, port=port, server=kit.server.getsockname()[1])
    kit.config = parse(text, "bridge.toml", tmp_path)
    return kit


async def test_each_endpoint_is_asked_by_its_own_server(shared: Kit) -> None:
    async with shared.running() as service:
        for number, device in enumerate(("d1", "d2"), 1):
            record = await service.directory.by_device("net", device)
            address = (record.locals[0].partition(":")[0], shared.address[1])
            shared.server.sendto(frame(Type.CON, Code.GET, number, b"\x01", b"\xb1\x33"), address)
            await until(lambda device=device: [a for a in shared.network.attempts if a.device == device])
        assert {row.server for row in await shared.rows()} == {"lab", "other"}
