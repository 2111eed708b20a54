"""Enabler test cases about security: DTLS by keys or certificates, and OSCORE, between device and server.

Bootstrap server and server are one here: a device has one Non-IP pipe, and the bridge, which reads nothing of what is
secured, brings all of that to one server.
"""

import base64
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.ets.cases import Case
from tests.ets.worlds import World
from tests.lorawan.lorawan_kit import until  # it waits long enough for both networks
from tests.tls.pki import Authority

SERVER = "server"
KEY = bytes(range(16))
SECRET = "6d617374657220736563726574206f6620"  # of these tests alone
ZONE, SENSOR = "/3/0/14", "/3303/0/5700"

SECURE: dict[int, Case] = {}
_Run = Callable[[Any], Awaitable[None]]


def secure(number: int, title: str, shows: str, *objects: int) -> Callable[[_Run], _Run]:
    """Put a function into the table."""

    def add(run: _Run) -> _Run:
        SECURE[number] = Case(number, title, shows, objects, run)
        return run

    return add


def name_of(number: int) -> str:
    return f"case-{number}"


async def add(world: World, number: int, **device: Any) -> str:
    """Add a device that everything is secured with, on one pipe; return its name."""
    name = name_of(number)
    made = await world.add_device(name, endpoint={"servers": [SERVER]}, device=None)
    pipe = "{}:{}".format(*made["modem"])
    about = {"endpoint": name, "pipe": pipe, "lifetime": 600, **device}
    if world.largest_record is not None:
        about["largest_record"] = world.largest_record
    await world.devices.post("/devices", about)
    return name


async def psk(world: World, number: int) -> dict[str, str]:
    """Let the server know a key; return it."""
    keys = {"identity": f"identity-{number}", "key": KEY.hex()}
    await world.ends[SERVER].use_key(name_of(number), keys)
    return keys


@cache
def authority(name: str) -> Authority:
    """Return one of the authorities of these tests: `Operator` signs the server, too, `Manufacturer` devices alone."""
    return Authority(name)


@cache
def of_the_server() -> dict[str, str]:
    """Return the server's certificate, which is for server.example, its key, and the authorities of devices."""
    own = authority("Operator").issue("server", names=("server.example",))
    trusted = authority("Operator").pem + authority("Manufacturer").pem
    shown = {"certificate": own.pem, "private_key": own.key_pem, "authorities": trusted}
    return {name: pem.decode() for name, pem in shown.items()}


async def certificate(world: World, number: int, issuer: str = "Operator") -> dict[str, Any]:
    """Let the server have its certificate; return what a device shows."""
    await world.ends[SERVER].use_certificate(of_the_server())
    device = authority(issuer).issue(name_of(number))
    shown = {"certificate": device.pem, "private_key": device.key_pem, "server": authority("Operator").pem}
    return {name: pem.decode() for name, pem in shown.items()}


async def issuers(world: World, number: int) -> list[str]:
    """Return who signed the certificates of the sessions that a device has with the server."""
    sessions = await world.server(SERVER).get("/dtls")
    return [one["issuer"] for one in sessions if one["name"] == name_of(number)]


async def oscore(world: World, number: int) -> dict[str, str]:
    """Let the server have a context; return its keys as the device sees them."""
    mine, theirs = f"{number:04x}", f"f{number:03x}"
    keys = {"secret": SECRET, "sender": mine, "recipient": theirs}
    await world.server(SERVER).ask("PUT", f"/oscore/{name_of(number)}", {**keys, "sender": theirs, "recipient": mine})
    return keys


async def bootstrapped(world: World, name: str) -> None:
    """Wait until a bootstrap has ended well, and the device is registered with the account that it got."""

    async def finished() -> bool:
        sessions = (await world.server(SERVER).get("/bootstrap"))["sessions"]
        return any((one["endpoint"], one["state"]) == (name, "finished") for one in sessions)

    await until(finished, why=f"no bootstrap session of {name}")
    assert (await world.registered(name, SERVER))["lifetime"] == 500


async def managed(world: World, name: str) -> None:
    """Write, read and observe."""
    assert (await world.ask(name, "write", ZONE, SERVER, value="+13:37"))["code"] == "2.04"
    assert (await world.ask(name, "read", ZONE, SERVER))["values"] == {ZONE: "+13:37"}
    assert (await world.ask(name, "observe", SENSOR, SERVER))["code"] == "2.05"
    await world.devices.ask("PUT", f"/devices/{name}/resources{SENSOR}", {"value": 31.5})

    async def notified() -> bool:
        return {SENSOR: 31.5} in await world.ends[SERVER].notified(name)

    await until(notified, why="no notification")


@secure(1, "Bootstrap by the client, PSK", "a device without a server gets an account within its DTLS session", 0, 1)
async def bootstrap_with_a_key(world: World) -> None:
    keys = await psk(world, 1)
    identity = base64.b64encode(keys["identity"].encode()).decode()
    security = {2: 0, 3: {"base64": identity}, 5: {"base64": base64.b64encode(KEY).decode()}}
    account = {"id": 1, "uri": "coaps://server.example", "lifetime": 500, "security": security}
    await world.server(SERVER).ask("PUT", f"/bootstrap/{name_of(1)}", {"servers": [account]})
    name = await add(world, 1, psk=keys, bootstrap_uri="coaps://server.example")
    await bootstrapped(world, name)
    assert (await world.ask(name, "read", ZONE, SERVER))["code"] == "2.05"


@secure(11, "Bootstrap by the client, OSCORE", "a device without a server gets an account in OSCORE messages", 0, 1, 21)
async def bootstrap_with_oscore(world: World) -> None:
    keys = await oscore(world, 11)
    account = {"id": 1, "uri": "coap://server.example", "lifetime": 500, "security": {17: "21:0"}}
    await world.server(SERVER).ask("PUT", f"/bootstrap/{name_of(11)}", {"servers": [account]})
    name = await add(world, 11, bootstrap_oscore=keys, bootstrap_uri="coap://server.example")
    await bootstrapped(world, name)
    assert (await world.ask(name, "read", ZONE, SERVER))["code"] == "2.05"


@secure(
    2, "Bootstrap by the client, certificate", "a device shows one certificate, and gets another for its server", 0, 1
)
async def bootstrap_with_a_certificate(world: World) -> None:
    shown = await certificate(world, 2, "Manufacturer")
    own = authority("Operator").issue(name_of(2))
    values = {
        3: own.certificate.public_bytes(Encoding.DER),
        4: authority("Operator").certificate.public_bytes(Encoding.DER),
        5: own.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    }
    security = {2: 2, 15: 2} | {key: {"base64": base64.b64encode(value).decode()} for key, value in values.items()}
    account = {"id": 1, "uri": "coaps://server.example", "lifetime": 500, "security": security}
    await world.server(SERVER).ask("PUT", f"/bootstrap/{name_of(2)}", {"servers": [account]})
    name = await add(world, 2, certificate=shown, bootstrap_uri="coaps://server.example")
    await bootstrapped(world, name)
    assert await issuers(world, 2) == ["Operator"]
    assert (await world.ask(name, "read", ZONE, SERVER))["code"] == "2.05"


@secure(401, "Channel security, PSK", "register, write, read and observe within a DTLS session", 1, 3, 3303)
async def session_with_a_key(world: World) -> None:
    name = await add(world, 401, psk=await psk(world, 401), connect="coaps://server.example")
    await world.registered(name, SERVER)
    await managed(world, name)


@secure(402, "Channel security, certificate", "register, write, read and observe, by certificates", 1, 3, 3303)
async def session_with_a_certificate(world: World) -> None:
    name = await add(world, 402, certificate=await certificate(world, 402), connect="coaps://server.example")
    await world.registered(name, SERVER)
    await managed(world, name)


@secure(403, "Certificate for another name", "the device ends the handshake: its URI names another host", 0)
async def server_with_another_name(world: World) -> None:
    name = await add(world, 403, certificate=await certificate(world, 403), connect="coaps://server-fail.example")

    async def refused() -> Any:
        return (await world.devices.get(f"/devices/{name}"))["session_failures"]

    assert (await until(refused, why="no handshake has failed"))[0] == "certificate verify failed"
    assert await world.ends[SERVER].client(name) is None


@secure(405, "Object security, OSCORE", "register, write, read and observe in OSCORE messages", 1, 3, 21, 3303)
async def messages_in_oscore(world: World) -> None:
    name = await add(world, 405, oscore=await oscore(world, 405), connect="coap://server.example")
    await world.registered(name, SERVER)
    await managed(world, name)
