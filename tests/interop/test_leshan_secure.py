"""A real Leshan that takes DTLS: sessions of the bridge with it, and of a real client through the bridge."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.components import LESHAN
from tests.conftest import need_component
from tests.e2e.kit import SetUp, set_up
from tests.interop.leshan_client import leshan_client
from tests.interop.leshan_server import Leshan, LeshanProcess, start_leshan
from tests.tls.pki import Authority
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

TEMPERATURE = "/3303/0/5700"
MASTER = bytes(range(32))
OWN_KEY = bytes(range(100, 116))  # of devices that have sessions of their own
SECURE = """
[servers.psk.security]
mode = "psk"
identity = "fleet/{{endpoint}}"
key = "{master}"
[servers.x509.security]
mode = "certificate"
certificate = "{folder}/{{endpoint}}.pem"
private_key = "{folder}/{{endpoint}}.key"
ca_bundle = "{folder}/root.pem"
certificate_name = "lwm2m.example"
"""


def derived(identity: str) -> str:
    return hmac.digest(MASTER, identity.encode(), hashlib.sha256).hex()


@dataclass(frozen=True)
class Stage:
    world: SetUp
    leshan: Leshan

    async def add(self, name: str, server: str, *, registered: bool = True) -> None:
        """Add an emulated device whose bridge speaks DTLS for it."""
        await self.world.add_device(name, endpoint={"servers": [server]}, device={}, registered="")
        if registered:
            await self.leshan.event("registered", name, wait=40)

            async def known() -> bool:
                return bool((await self.world.devices.get(f"/devices/{name}"))["registered"])

            await until(known, why=f"{name} does not know that it is registered")

    async def shown(self, name: str) -> str:
        """Return what a person is shown of an endpoint."""
        return (await self.world.command("endpoint", "show", name)).out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of certificates and keys."""
    made, root = tmp_path_factory.mktemp("pki"), Authority()
    (made / "root.pem").write_bytes(root.pem)
    issued = {name: root.issue(name) for name in ("certified", "own-certificate")}
    issued["server"] = root.issue("server", names=("lwm2m.example",))
    issued["stranger"] = Authority("Nobody's root").issue("stranger")
    for name, one in issued.items():
        (made / f"{name}.pem").write_bytes(one.pem)
        (made / f"{name}.key").write_bytes(one.key_pem)
    return made


@pytest.fixture(scope="module")
def process(folder: Path) -> Iterator[LeshanProcess]:
    need_component(LESHAN)
    known = [f"{name},fleet/{name},{derived(f'fleet/{name}')}" for name in ("keyed", "restarted")]
    known += [f"other-key,fleet/other-key,{bytes(32).hex()}", f"own-key,own-identity,{OWN_KEY.hex()}"]
    options = [("--psk", one) for one in known]
    options += [("--x509", name) for name in ("certified", "own-certificate", "stranger")]
    options += [("--certificate", str(folder / "server.pem")), ("--private-key", str(folder / "server.key"))]
    started = start_leshan(secure=[*options, ("--authority", str(folder / "root.pem"))])
    yield started
    started.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(process: LeshanProcess, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    secure = f"coaps://{process.host}:{process.coaps_port}"
    servers = {"psk": secure, "x509": secure}
    sections = SECURE.format(master=MASTER.hex(), folder=folder)
    sections += f'[servers.own]\nuri = "coap://{process.host}:{process.coap_port}"\n'
    sections += f"secure_port = {process.coaps_port}\n"
    async with (
        set_up(tmp_path_factory.mktemp("stage"), servers=servers, sections=sections) as world,
        Leshan(process) as leshan,
    ):
        yield Stage(world, leshan)


async def test_a_device_is_managed_over_dtls_with_a_derived_key(stage: Stage):
    await stage.add("keyed", "psk")
    assert (await stage.leshan.read("keyed", "/3/0/0"))["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}
    assert (await stage.leshan.observe("keyed", TEMPERATURE))["values"] == {TEMPERATURE: 20.0}
    await stage.world.set_value("keyed", TEMPERATURE, 21.5)
    assert (await stage.leshan.event("notification", "keyed"))["values"] == {TEMPERATURE: 21.5}
    assert "open" in await stage.shown("keyed")


async def test_after_a_kill_the_session_is_made_anew_and_the_registration_needs_no_update(stage: Stage):
    await stage.add("restarted", "psk")
    before = await stage.leshan.registration("restarted")
    await stage.world.bridge.restart()
    await stage.world.configured("restarted")

    async def opened() -> bool:
        return "open" in await stage.shown("restarted")

    await until(opened, 30.0, why="no new session")
    assert (await stage.leshan.write("restarted", "/3/0/14", "+02:00"))["code"] == "2.04"
    assert await stage.leshan.registration("restarted") == before


@pytest.mark.requirement("LightweightM2 M-PKI-003")
async def test_a_device_is_managed_over_dtls_with_a_certificate(stage: Stage):
    await stage.add("certified", "x509")
    assert (await stage.leshan.read("certified", "/3/0/0"))["values"] == {"/3/0/0": "LwM2M Non-IP bridge"}


@pytest.mark.parametrize(("name", "server", "why"), [("other-key", "psk", "key"), ("stranger", "x509", "authority")])
async def test_credentials_that_the_server_does_not_take_are_told_with_the_reason(stage: Stage, name, server, why):
    await stage.add(name, server, registered=False)

    async def failing() -> bool:
        text = await stage.shown(name)
        return "failing" in text and why in text

    await until(failing, 30.0, why=f"nothing says why {name} has no session")
    assert await stage.leshan.registration(name) is None


@dataclass(frozen=True)
class OwnSession:
    """A real Leshan client behind the modem of a UE, with a session of its own with the real Leshan server."""

    name: str
    options: dict[str, str]


def own_sessions(folder: Path) -> list[OwnSession]:
    files = {"certificate": f"{folder}/own-certificate.pem", "private_key": f"{folder}/own-certificate.key"}
    return [
        OwnSession("own-key", {"psk": f"own-identity,{OWN_KEY.hex()}"}),
        OwnSession("own-certificate", {**files, "server_certificate": f"{folder}/server.pem"}),
    ]


@pytest.mark.parametrize("number", [0, 1], ids=["psk", "x509"])
async def test_a_client_has_its_own_session_with_the_server_and_the_bridge_reads_none_of_it(stage, folder, number):
    own, world, leshan = own_sessions(folder)[number], stage.world, stage.leshan
    ue = await world.add_ue(own.name)
    await world.add_endpoint(name=own.name, network="nidd", address=f"{own.name}@iot", servers=["own"])
    await world.configured(own.name)
    async with leshan_client(own.name, server="coaps://{}:{}".format(*ue["modem"]), **own.options) as client:
        await leshan.event("registered", own.name, wait=60)
        assert (await leshan.read(own.name, "/3/0/0"))["values"] == {"/3/0/0": "Eclipse Leshan"}
        assert (await leshan.observe(own.name, TEMPERATURE))["code"] == "2.05"
        client.order("set 21.5")
        assert (await leshan.event("notification", own.name))["values"] == {TEMPERATURE: 21.5}
        await world.bridge.restart()  # SIGKILL: neither end notices
        await world.configured(own.name)
        assert (await leshan.read(own.name, "/3/0/0"))["code"] == "2.05"
        for way in ("uplink", "downlink"):
            passed = [bytes.fromhex(one["data"]) for one in await world.air(own.name, way)]
            assert passed
            assert all(20 <= data[0] <= 63 for data in passed), "a message that is no DTLS record"
            assert not any(b"Leshan" in data or b"3303" in data for data in passed)
