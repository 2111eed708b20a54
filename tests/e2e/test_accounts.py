"""Server accounts of a NIDD device: bootstrap, the order of registrations, and what is done when they fail.

The device, a bootstrap server and three others share one Non-IP pipe; the bridge tells their messages apart.
"""

import base64
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mock_network.lab import ApiError
from tests.e2e.kit import SetUp, set_up
from tests.interop.raw_device import POST, Message, decode
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

SERVERS = ["boot", "one", "two", "gone"]
URI_HOST = 3
STRIDE = 20.0  # virtual seconds in which time passes at once: what happens in them has the time of their end


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    """`gone` is a server that does not answer."""
    lines = {name: f'known_as = ["{name}.example"]' for name in SERVERS}
    lines["boot"] += "\nbootstrap = true"
    async with set_up(
        tmp_path_factory.mktemp("accounts"),
        servers=dict.fromkeys(SERVERS, "127.0.0.1"),
        service=f"default_servers = {SERVERS}",
        lines_of=lines,
        devices=("--ack-timeout", "1", "--max-retransmit", "0"),
    ) as found:
        await found.server("gone").post("/stop", {})
        yield found


def about(seconds: float) -> Any:
    """Return what equals a number of seconds, measured by a clock that goes on by STRIDE at once."""
    return pytest.approx(seconds, abs=3 * STRIDE)


def account(server: str, number: int, **more: Any) -> str:
    """Describe an account that a new device has."""
    words = {"id": number, "uri": f"coap://{server}.example", "lifetime": 86400, **more}
    return ",".join(f"{name}={value}" for name, value in words.items())


async def add(world: SetUp, name: str, *accounts: str, steps: list[Any] | None = None, **device: Any) -> None:
    """Add a device with these accounts, all of whose messages go through one pipe.

    `steps` are those of its bootstrap server; None: it has no bootstrap server.
    """
    if steps is not None:
        await world.server("boot").ask("PUT", f"/bootstrap/{name}", {"steps": [*steps, {"operation": "finish"}]})
        device["bootstrap_uri"] = "coap://boot.example"
    made = await world.add_device(name, endpoint={}, device=None)
    body = {"endpoint": name, "pipe": "{}:{}".format(*made["modem"]), "servers": list(accounts), **device}
    body.setdefault("connect", "" if steps is not None else "coap://one.example")
    await world.devices.post("/devices", body)


async def session(world: SetUp, name: str) -> list[dict[str, Any]]:
    """Wait for a bootstrap session that is finished; return its steps with the device's answers."""

    async def look() -> Any:
        sessions = (await world.server("boot").get("/bootstrap"))["sessions"]
        return next((s["steps"] for s in sessions if s["endpoint"] == name and s["state"] == "finished"), None)

    found: list[dict[str, Any]] = await until(look, why=f"no bootstrap session of {name} has finished")
    return found


async def value(world: SetUp, name: str, path: str) -> Any:
    """Return a value of the device, asked at the device itself."""
    return (await world.devices.get(f"/devices/{name}/resources{path}"))["value"]


async def posts(world: SetUp, name: str) -> list[tuple[float, Message]]:
    """Return the POSTs that left the device, with their times, those repeated for want of an answer once."""
    sent = [(one["time"], decode(bytes.fromhex(one["data"]))) for one in await world.air(name, "uplink")]
    return list({message.mid: (at, message) for at, message in reversed(sent) if message.code == POST}.values())[::-1]


async def registers(world: SetUp, name: str) -> list[tuple[float, str]]:
    """Return when Registers left the device, and for the hosts of which servers, in order."""
    found = [(at, message) for at, message in await posts(world, name) if message.path() == "/rd"]
    return [(at, (message.option(URI_HOST) or b"").decode()) for at, message in found]


async def hosts(world: SetUp, name: str) -> list[str]:
    """Return the hosts of the servers with which a device tried to register, in order."""
    return [host for _, host in await registers(world, name)]


async def gaps(world: SetUp, name: str) -> list[float]:
    """Return the seconds between the Registers of a device."""
    times = [at for at, _ in await registers(world, name)]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@pytest.mark.requirement("LightweightM2M-BsR-001")
async def test_the_bootstrap_server_reads_all_access_rights_of_a_device(world: SetUp):
    """Object 2, every instance of it: whose each object is, and who may do what."""
    await add(world, "rights", account("one", 1), account("two", 2), steps=[{"operation": "read", "path": "/2"}])
    await world.registered("rights", "two")
    assert (await world.act("rights", "bootstrap"))["code"] == "2.04"
    read, _ = await session(world, "rights")
    assert read["code"] == "2.05"
    assert {path.count("/") for path in read["values"]} <= {3, 4}
    for path, told in read["values"].items():
        assert await value(world, "rights", path) == told, path
    objects = {told for path, told in read["values"].items() if path.endswith("/0")}
    client = await world.registered("rights", "one")
    assert {int(link.split("/")[1]) for link in client["links"] if link.count("/") == 2} - {2} <= objects


@pytest.mark.requirement("LightweightM2M-BsR-002")
async def test_a_bootstrap_server_that_manages_a_device_too_triggers_its_bootstrap(world: SetUp):
    await add(world, "triggered", account("boot", 5), steps=[])
    await world.registered("triggered", "boot")
    assert (await world.ask("triggered", "execute", "/1/0/9", server="boot"))["code"] == "2.04"
    assert [step["operation"] for step in await session(world, "triggered")] == ["finish"]

    async def again() -> bool:
        return len(await world.seen("registered", "triggered", "boot")) == 2

    await until(again, why="no registration after the bootstrap")


@pytest.mark.requirement("LightweightM2M-BsR-003")
async def test_a_device_falls_back_to_bootstrap_as_its_account_says_and_not_where_it_says_no(world: SetUp):
    quick = {"retries": 1, "retry-timer": 1, "sequence-delay": 86400}
    for name, fall_back in (("falls-back", "true"), ("stays", "false")):
        await add(world, name, account("gone", 3, bootstrap=fall_back, **quick), steps=[])

    async def asked() -> bool:
        await world.lab.step(5)
        sessions = (await world.server("boot").get("/bootstrap"))["sessions"]
        return "falls-back" in {one["endpoint"] for one in sessions}

    await until(asked, why="the device does not fall back", every=0.1)
    for _ in range(10):
        await world.lab.step(60)
    sessions = (await world.server("boot").get("/bootstrap"))["sessions"]
    assert "stays" not in {one["endpoint"] for one in sessions}
    assert len(await registers(world, "stays")) == 1


@pytest.mark.requirement("LightweightM2M-BsR-004")
async def test_resources_say_how_often_and_how_far_apart_a_device_tries_to_register(world: SetUp):
    """/1/0/17 to /1/0/20: two attempts, then a pause, then once more two."""
    quick = {"retries": 2, "retry-timer": 300, "sequence-delay": 3000, "sequences": 2}
    await add(world, "retries", account("gone", 3, bootstrap="false", **quick), steps=[])

    async def over() -> bool:
        await world.lab.step(STRIDE)
        return len(await registers(world, "retries")) >= 4

    await until(over, 100.0, "the device has not tried four times", every=0.05)
    first, pause, second = (await gaps(world, "retries"))[:3]
    assert (first, second) == (about(300), about(300))
    assert 3000 <= pause <= 3400  # it begins when the last attempt of the sequence is given up


@pytest.mark.requirement("LightweightM2M-BsR-005")
async def test_a_resource_says_in_which_order_a_device_registers(world: SetUp):
    """/1/x/13."""
    await add(world, "ordered", account("one", 1, order=2), account("two", 2, order=1), steps=[])
    registered = [await world.registered("ordered", server) for server in ("one", "two")]
    assert all(registered)
    assert await hosts(world, "ordered") == ["two.example", "one.example"]


@pytest.mark.requirement("LightweightM2M-BsR-006")
async def test_resources_say_what_must_be_before_a_device_registers_with_a_server(world: SetUp):
    """/1/x/15: a registration that failed blocks those that follow; /1/x/14: the delay before the first one."""
    quick = {"retries": 1, "retry-timer": 1, "sequence-delay": 86400, "bootstrap": "false"}
    await add(
        world, "blocked", account("gone", 3, order=1, block="true", **quick), account("one", 1, order=2), steps=[]
    )
    await add(
        world, "passes", account("gone", 3, order=1, block="false", **quick), account("one", 1, order=2), steps=[]
    )
    await add(world, "delayed", account("one", 1, delay=500), steps=[])

    async def passed() -> bool:
        await world.lab.step(5)
        return any(client["endpoint"] == "passes" for client in await world.server("one").get("/clients"))

    await until(passed, why="a registration that failed blocks another without being told to", every=0.1)
    await world.lab.step(300)
    assert set(await hosts(world, "blocked")) == {"gone.example"}
    assert await registers(world, "delayed") == []
    await world.lab.step(300)
    await world.registered("delayed", "one")


@pytest.mark.requirement("LightweightM2M-BsR-007")
async def test_the_bootstrap_server_finds_out_which_accounts_are_invalid(world: SetUp):
    """Bootstrap-Discover says whose the accounts are; Bootstrap-Read what went wrong: /1/x/11, the last alert."""
    steps = [{"operation": "discover", "path": "/"}, {"operation": "read", "path": "/1"}]
    await add(world, "judged", account("one", 1), account("two", 2), steps=steps)
    await world.registered("judged", "two")
    expired = 45  # certificate_expired (RFC 5246 §7.2)
    await world.set_value("judged", "/1/1/11", expired)
    await world.act("judged", "bootstrap")
    discovered, read, _ = await session(world, "judged")
    links = discovered["links"]
    of = {link: links[link]["ssid"] for link in links if link.startswith("/1/")}
    assert of == {"/1/0": "1", "/1/1": "2"}
    assert {links[link]["uri"] for link in links if link.startswith("/0/") and "uri" in links[link]} == {
        "coap://one.example",
        "coap://two.example",
    }
    alerts = {path: alert for path, alert in read["values"].items() if path.endswith("/11") and alert}
    assert alerts == {"/1/1/11": expired}


@pytest.mark.requirement("LightweightM2M-BsR-008")
async def test_values_that_the_device_names_follow_its_register_at_once(world: SetUp):
    """LwM2M 1.1 has no values in Register: a Send follows the 2.01 (`send_at_register`)."""
    paths = ["/3/0/9", "/3303/0/5700"]
    await add(world, "values", connect="coap://one.example", send_at_register=paths)

    async def sent() -> Any:
        return [one for one in await world.server("one").get("/sends") if one["endpoint"] == "values"]

    (found,) = await until(sent, why="no values came with the registration")
    assert {record["path"]: record["value"] for record in found["records"]} == {"/3/0/9": 100, "/3303/0/5700": 20.0}
    assert [message.path() for _, message in await posts(world, "values")] == ["/rd", "/dp"]


@pytest.mark.requirement("LightweightM2 M-MaU-4", "LightweightM2 M-MaU-5")
async def test_initial_registrations_lag_behind_each_other_as_resources_say(world: SetUp):
    """/1/x/14: ten seconds before the first, and as many more before the second as it has there."""
    for name, lag in (("lags-little", 100), ("lags-much", 500)):
        await add(world, name, account("one", 1, order=1, delay=10), account("two", 2, order=2, delay=lag), steps=[])

    async def lag(name: str) -> float:
        """Return the seconds from the last Register with `one` to the first with `two`; 0: there is none yet."""
        found = await registers(world, name)
        second = next((at for at, host in found if host == "two.example"), None)
        return (
            0.0 if second is None else second - max(at for at, host in found if host == "one.example" and at < second)
        )

    async def both() -> bool:
        await world.lab.step(STRIDE)
        return await lag("lags-little") > 0 and await lag("lags-much") > 0

    await until(both, 90.0, "a registration is missing", every=0.3)  # the answers to those before take real time
    assert (await lag("lags-little"), await lag("lags-much")) == (about(100), about(500))


@pytest.mark.requirement("LightweightM2 M-DSE-004")
async def test_a_server_switches_send_for_itself_and_gets_what_it_may_read(world: SetUp):
    """/1/x/23, Mute Send; and object 2, by which the first server's account is nothing for the second."""
    await add(world, "sends", account("one", 1), account("two", 2), steps=[])
    for server in ("one", "two"):
        await world.registered("sends", server)

    async def sent(server: str) -> list[set[str]]:
        found = [one for one in await world.server(server).get("/sends") if one["endpoint"] == "sends"]
        return [{record["path"] for record in one["records"]} for one in found]

    assert (await world.act("sends", "send", paths=["/3/0/9", "/1/0/1"], server=2))["code"] == "2.04"
    assert await sent("two") == [{"/3/0/9"}]
    assert (await world.ask("sends", "write", "/1/0/23", server="one", value=True))["code"] == "2.04"
    with pytest.raises(ApiError, match="muted"):
        await world.act("sends", "send", paths=["/3/0/9"], server=1)
    assert (await world.act("sends", "send", paths=["/3/0/9"], server=2))["code"] == "2.04"
    assert (await world.ask("sends", "write", "/1/0/23", server="one", value=False))["code"] == "2.04"
    assert (await world.act("sends", "send", paths=["/3/0/9", "/1/0/1"], server=1))["code"] == "2.04"
    assert (await sent("one"), await sent("two")) == ([{"/3/0/9", "/1/0/1"}], [{"/3/0/9"}, {"/3/0/9"}])


@pytest.mark.requirement("LightweightM2 M-PKI-002")
async def test_a_device_without_a_clock_gets_the_time_by_bootstrap(world: SetUp):
    """/3/0/13, before it has to judge how long a certificate is valid; from then on the device's clock goes."""
    at = 1767225600
    plan = {"servers": [{"id": 1, "uri": "coap://one.example"}], "values": {"/3/0/13": at}}
    await world.server("boot").ask("PUT", "/bootstrap/clockless", plan)
    await add(world, "clockless", bootstrap_uri="coap://boot.example", connect="", has_clock=False)
    await world.registered("clockless", "one")
    before = (await world.ask("clockless", "read", "/3/0/13", server="one"))["values"]["/3/0/13"]
    assert at <= before < at + 3600
    await world.lab.step(100)
    after = (await world.ask("clockless", "read", "/3/0/13", server="one"))["values"]["/3/0/13"]
    assert 100 <= after - before < 200


COMPONENT, STORED = "/26252", "/26252/0/4"
"""The Secure Component, a vendor object that is documented with the emulated device, and what is stored in it."""


@pytest.mark.requirement("LightweightM2M-SCS-1", "LightweightM2M-SCS-2", "LightweightM2M-SCS-3")
async def test_a_server_authenticates_a_device_by_its_secure_component(world: SetUp):
    """Through an object: its identity and certificate, and a challenge that only the key within it can answer."""
    await add(world, "component", account("one", 1), account("two", 2), steps=[], objects=[26252])
    for server in ("one", "two"):
        await world.registered("component", server)
    assert f"{COMPONENT}/0" in (await world.registered("component", "one"))["links"]

    async def read(resource: int) -> Any:
        path = f"{COMPONENT}/0/{resource}"
        return (await world.ask("component", "read", path, server="one"))["values"][path]

    assert await read(0) == "sc-component"
    certificate = x509.load_der_x509_certificate(base64.b64decode((await read(1))["base64"]))
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    for challenge in (bytes(range(32)), bytes(32)):
        payload = base64.b64encode(challenge).decode()
        written = await world.ask("component", "write", f"{COMPONENT}/0/2", server="one", payload=payload)
        assert written["code"] == "2.04"
        key.verify(base64.b64decode((await read(3))["base64"]), challenge, ec.ECDSA(hashes.SHA256()))
    assert (await world.ask("component", "read", f"{COMPONENT}/0/2", server="one"))["code"] == "4.05"


@pytest.mark.requirement("LwM2M-SCS-4", "LwM2M-SCS-5", "LwM2M-SCS-6")
async def test_the_owner_says_where_an_instance_is_stored_and_who_may_read_asks(world: SetUp):
    await add(world, "stores", account("one", 1), account("two", 2), steps=[], objects=[26252])
    for server in ("one", "two"):
        await world.registered("stores", server)

    async def ask(operation: str, path: str, **body: Any) -> Any:
        return await world.ask("stores", operation, path, server="one", **body)

    async def codes() -> list[str]:
        """Carry out each operation on an instance; return how it was answered."""
        asked = (
            ("read", {"path": "/3303/0/5700"}),
            ("write", {"path": "/3303/0/5750", "value": "vault"}),
            ("execute", {"path": "/3303/0/5605"}),
            ("discover", {"path": "/3303/0"}),
            ("write_attributes", {"path": "/3303/0/5700", "attributes": {"pmin": 1}}),
        )
        return [(await ask(operation, **body))["code"] for operation, body in asked]

    outside = await codes()
    stored = await ask("write", STORED, values={f"{STORED}/0": "3303:0"}, replace=False, format="tlv")
    assert stored["code"] == "2.04"
    assert await codes() == outside == ["2.05", "2.04", "2.04", "2.05", "2.04"]
    assert (await ask("read", STORED))["values"] == {f"{STORED}/0": "3303:0"}
    others = await ask("write", STORED, values={f"{STORED}/1": "1:1"}, replace=False, format="tlv")
    assert others["code"] == "4.01"  # the account of `two`
    assert (await ask("read", STORED))["values"] == {f"{STORED}/0": "3303:0"}
    assert (await ask("write", STORED, values={}, format="tlv"))["code"] == "2.04"
    assert not (await ask("read", STORED))["values"]


@pytest.mark.requirement("LightweightM2M-BsR-009")
async def test_a_server_designates_the_apn_over_which_it_is_reached(world: SetUp):
    """/1/x/10. A device with two APNs has an External Identifier in each, and the bridge an endpoint for each."""
    first = await world.add_device("apn-iot", endpoint={"servers": ["one"]}, device=None)
    second = await world.add_device("apn-firmware", endpoint={"servers": ["one"]}, device=None)
    bearer = "binding=N,pipe={}:{},apn=firmware.example".format(*second["modem"])
    iot = "{}:{}".format(*first["modem"])
    body = {"endpoint": "apn-iot", "connect": "coap://one.example", "pipe": iot, "bearers": [bearer], "omit": ["ep"]}
    await world.devices.post("/devices", body)
    await world.registered("apn-iot", "one")
    assert (await world.ask("apn-iot", "read", "/11/0/1", server="one"))["values"] == {"/11/0/1": "firmware.example"}
    before = len(await world.air("apn-iot", "uplink"))
    assert await world.air("apn-firmware", "uplink") == []
    assert (await world.ask("apn-iot", "write", "/1/0/10", server="one", value="11:0"))["code"] == "2.04"
    await world.act("apn-iot", "update")
    await world.registered("apn-firmware", "one")
    assert (await world.ask("apn-firmware", "read", "/3/0/9", server="one"))["code"] == "2.05"
    assert len(await world.air("apn-iot", "uplink")) == before + 1  # the answer to the Write


async def test_a_bootstrap_server_that_dies_in_the_middle_leaves_the_device_its_accounts(world: SetUp):
    await world.server("boot").ask("PUT", "/bootstrap/orphan", {"manual": True})
    await add(world, "orphan", account("one", 1), bootstrap_uri="coap://boot.example", connect="")
    await world.registered("orphan", "one")
    await world.act("orphan", "bootstrap")
    for path in ("/0", "/1"):
        step = await world.server("boot").post("/bootstrap/orphan", {"operation": "delete", "path": path})
        assert step["code"] == "2.02"
    assert (await world.devices.get("/devices/orphan"))["servers"] == []
    await world.server("boot").post("/stop", {})
    try:

        async def has_it_again() -> bool:
            await world.lab.step(STRIDE)
            return [one["id"] for one in (await world.devices.get("/devices/orphan"))["servers"]] == [1]

        await until(has_it_again, 30.0, "the account is lost", every=0.1)
        assert (await world.ask("orphan", "read", "/3/0/9", server="one"))["code"] == "2.05"
    finally:
        await world.server("boot").post("/start", {})
