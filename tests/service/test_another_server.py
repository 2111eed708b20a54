"""`endpoint set NAME servers=…` while a Register waits: the device's repeat reaches the new server."""

import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from bridge.coap.message import Type
from bridge.coap.udp import decode, frame
from bridge.config import parse
from bridge.control.client import DirectClient
from bridge.operations.types.endpoints import UpdateEndpoint
from tests.service.kit import CONFIG, Kit
from tests.waiting import until

REGISTER = frame(Type.CON, 2, 7, b"r", b"\xb2rd\x11\x28\x36lt=300\x09lwm2m=1.1\x03b=U\xff</1/0>,</3/0>")


@pytest.fixture
def other() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.setblocking(False)
        yield made


def heard(server: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(server.recv(2000))
        except BlockingIOError:
            return found


async def test_the_register_that_waited_ends_and_its_repeat_counts(
    kit: Kit, other: socket.socket, tmp_path: Path
) -> None:
    text = CONFIG.replace('address = "d1"', 'address = "d1"\nservers = ["lab"]')
    text += f'[servers.other]\nuri = "coap://127.0.0.1:{other.getsockname()[1]}"\n'
    text = text.format(state=tmp_path, port=kit.address[1], server=kit.server.getsockname()[1])
    kit.config = parse(text, "bridge.toml", tmp_path)
    async with kit.running() as service:
        await kit.network.uplink("d1", REGISTER)
        await until(lambda: heard(kit.server))
        await DirectClient(service).ask(UpdateEndpoint(endpoint="e1", servers=("other",)))
        await until(_expired(kit))
        heard(kit.server)
        await kit.network.uplink("d1", REGISTER)
        (asked,) = await until(lambda: heard(other))
        assert decode(asked).strings(11) == ["rd"]
        assert heard(kit.server) == []


def _expired(kit: Kit) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        rows = await kit.service.store.reads.uplinks()
        return [(row.server, row.state.value) for row in rows] == [("lab", "EXPIRED")]

    return found
