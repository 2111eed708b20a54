"""Certificates between bridge and servers: authorities, status, and what comes of errors.

The servers are sessions of OpenSSL that the test plays itself, each with a certificate of its own kind.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.interop.raw_device import ACK, LOCATION_PATH, POST, Message, code, decode, encode
from tests.north.session_servers import DtlsServer
from tests.tls.peers import Wants
from tests.tls.pki import Authority, Issued
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

NAME = "lwm2m.example"
SECURITY = """
[servers.{name}.security]
mode = "certificate"
certificate = "{folder}/{{endpoint}}.pem"
private_key = "{folder}/{{endpoint}}.key"
ca_bundle = "{folder}/root.pem"
certificate_name = "{NAME}"
revocation_lists = "{folder}/lists.pem"
"""


@dataclass(frozen=True)
class Stage:
    world: SetUp
    servers: dict[str, DtlsServer]
    good: Issued


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder, root = tmp_path_factory.mktemp("pki"), Authority()
    below = Authority("Test authority", of=root)
    good, revoked = (below.issue(name, names=(NAME,)) for name in ("good", "revoked"))
    theirs = {"trusted": good, "revoked": revoked, "stranger": Authority("Nobody's root").issue("x", names=(NAME,))}
    (folder / "root.pem").write_bytes(root.pem)
    (folder / "lists.pem").write_bytes(root.revokes() + below.revokes(revoked))
    servers, sections = {}, ""
    for name, own in theirs.items():
        device = root.issue(name)
        (folder / f"{name}.pem").write_bytes(device.pem)
        (folder / f"{name}.key").write_bytes(device.key_pem)
        servers[name] = DtlsServer(Wants(own=own, clients=root.pem))
        await servers[name].start()
        sections += SECURITY.format(name=name, folder=folder, NAME=NAME)
    uris = {name: f"coaps://127.0.0.1:{server.port}" for name, server in servers.items()}
    try:
        async with set_up(tmp_path_factory.mktemp("stage"), servers=uris, sections=sections) as world:
            yield Stage(world, servers, good)
    finally:
        for server in servers.values():
            await server.stop()


async def add(stage: Stage, name: str) -> None:
    """Add a device whose server has the certificate `name`."""
    await stage.world.add_device(name, endpoint={"servers": [name]}, device={}, registered="")


async def registers(stage: Stage, name: str, stride: float = 0.0) -> None:
    """Answer each Register of a device until it knows that it is registered.

    `stride`: virtual seconds that pass at once meanwhile, until the device tries again.
    """

    async def knows() -> bool:
        if stride:
            await stage.world.lab.step(stride)
        return bool((await stage.world.devices.get(f"/devices/{name}"))["registered"])

    answering = asyncio.create_task(_answer(stage.servers[name]))
    try:
        await until(knows, 120, f"{name} does not know that it is registered", every=0.2)
    finally:
        answering.cancel()


async def _answer(server: DtlsServer) -> None:
    while True:
        who, data = await server.receive()
        message = decode(data)
        if (message.code, message.path()) == (POST, "/rd"):
            location = ((LOCATION_PATH, b"rd"), (LOCATION_PATH, b"r1"))
            await server.send(who, encode(Message(ACK, code("2.01"), message.mid, message.token, location)))


async def fails(stage: Stage, name: str, why: str) -> None:
    """Wait until a person is shown why an endpoint has no session."""

    async def failing() -> bool:
        assert stage.servers[name].handshakes == 0
        shown = (await stage.world.command("endpoint", "show", name)).out
        return "failing" in shown and why in shown

    await until(failing, 100, f"nothing says why {name} has no session", every=0.3)
    assert stage.servers[name].handshakes == 0
    assert not (await stage.world.devices.get(f"/devices/{name}"))["registered"]


@pytest.mark.requirement("LightweightM2 M-PKI-003")
async def test_a_server_is_known_by_the_authority_of_its_certificate_and_by_its_name(stage: Stage):
    await add(stage, "trusted")
    await registers(stage, "trusted")
    await add(stage, "stranger")
    await fails(stage, "stranger", "authority")


@pytest.mark.requirement("LightweightM2 M-PKI-001", "LightweightM2 M-TLS-002")
async def test_the_status_of_a_certificate_is_checked_and_registration_goes_on_when_the_error_is_mended(stage: Stage):
    """Revocation lists. The device is left in silence, by which it tries again as /1/x/17 and /1/x/18 say."""
    await add(stage, "revoked")
    await fails(stage, "revoked", "it is revoked")
    server = stage.servers["revoked"]
    server.wants = Wants(own=stage.good, clients=server.wants.clients)
    server.forget()  # the handshakes that ended
    await registers(stage, "revoked", stride=20)
