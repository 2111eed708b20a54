"""Two servers on one Non-IP pipe, told apart by RDS port alone, both ways, with the modem's acknowledgement.

No message has a Uri-Host and no path says which server is meant: both servers call a registration `/rd/1`.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.interop.raw_device import decode
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

URI_HOST = 3
PORTS = {"one": [1, 1], "two": [2, 5]}
IDS = {"one": 101, "two": 2}  # Short Server IDs of the accounts
SETTING = 'server_ports = { one = "1:1", two = "2:5" }'
VERIFIED = "8"  # Rds_port_verification: the SCEF refuses ports that are not in the configuration


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("ports"),
        servers=dict.fromkeys(PORTS, "127.0.0.1"),
        service=f"default_servers = {list(PORTS)}",
        network_lines=f'configurations = {{ supported_features = "{VERIFIED}" }}\n{SETTING}',
    ) as found:
        yield found


async def add(
    world: SetUp,
    name: str,
    *,
    reliable: bool = False,
    own: str = "",
    at: Mapping[str, list[int]] = PORTS,
    **ue: Any,
) -> None:
    """Add a device with two server accounts, each with RDS ports of its own, and wait until both know it.

    `own`: the endpoint's own option; else it has its network's setting.
    """
    made = await world.add_ue(name, rds_enabled=True, rds_ports=list(at.values()), **ue)
    options = {"reliable_data_service": str(reliable).lower()} | ({"server_ports": own} if own else {})
    await world.add_device(name, endpoint={"options": options}, device=None)
    channels = {port: "{}:{}".format(*made["channels"]["rds-{}-{}".format(*pair)]) for port, pair in at.items()}
    body = {
        "endpoint": name,
        "connect": "coap+nidd://",
        "binding": "N",
        "pipe": channels["one"],
        "rds_pipes": [f"5={channels['two']}"],
        "servers": ["id=2,uri=coap+nidd://,rds=5,lifetime=900"],
        "lifetime": 600,
    }
    await world.devices.post("/devices", body)
    for server in PORTS:
        await world.registered(name, server)

    async def knows_both() -> bool:
        servers = (await world.devices.get(f"/devices/{name}"))["servers"]
        return len(servers) == len(PORTS) and all(one["location"] for one in servers)

    await until(knows_both, why=f"{name} does not know that it is registered")


def ports(world: SetUp, name: str, way: str, member: str = "rdsPort") -> set[Any]:
    """Return the RDS ports in bodies about a device: those that the bridge sent ("api") or the SCEF ("callback")."""
    bodies = [one["request"] for one in world.proxies["nidd"].records if one["way"] == way]
    about = [body for body in bodies if isinstance(body, dict) and body.get("externalId") == f"{name}@iot"]
    return {pair(body[member]) for body in about if member in body}


def pair(ports: dict[str, int]) -> tuple[int, int]:
    return ports["portUE"], ports["portSCEF"]


async def answers(world: SetUp, name: str) -> list[str]:
    """Return the states of the answers to a device's own messages."""
    found = await world.bridge.ask("downlink.list", endpoint=name)
    return [one["state"] for one in found["items"] if one["kind"] == "answer"]


async def test_two_servers_manage_one_device_each_over_its_own_ports(world: SetUp):
    await add(world, "told-apart")
    one, two = [await world.registered("told-apart", server) for server in PORTS]
    assert (one["lifetime"], two["lifetime"]) == (600, 900)
    sent = [decode(bytes.fromhex(line["data"])) for line in await world.air("told-apart", "uplink")]
    assert all(message.option(URI_HOST) is None for message in sent)
    # The device takes a request for that of the server whose port it came from: each may read its own account only.
    for server, own, others in ("one", "/1/0/0", "/1/1/0"), ("two", "/1/1/0", "/1/0/0"):
        assert (await world.ask("told-apart", "read", own, server=server))["code"] == "2.05"
        assert (await world.ask("told-apart", "read", others, server=server))["code"] == "4.01"
        assert (await world.ask("told-apart", "observe", "/3303/0/5700", server=server))["code"] == "2.05"
    await world.set_value("told-apart", "/3303/0/5700", 31.0)

    async def notified() -> bool:
        found = [await world.server(server).get("/observations") for server in PORTS]
        return all(any(of["notifications"] for of in one if of["endpoint"] == "told-apart") for one in found)

    await until(notified, why="a notification is missing")
    both = {tuple(numbers) for numbers in PORTS.values()}
    assert ports(world, "told-apart", "api") == ports(world, "told-apart", "callback") == both
    (made,) = [
        body["rdsPorts"]
        for body in (one["request"] for one in world.proxies["nidd"].records if one["method"] == "POST")
        if isinstance(body, dict) and body.get("externalId") == "told-apart@iot" and "rdsPorts" in body
    ]
    assert {pair(one) for one in made} == both


async def test_an_endpoint_has_other_ports_than_its_network_sets(world: SetUp):
    """The port that the network sets for one server is that of the other one here."""
    at = {"one": [2, 5], "two": [4, 4]}
    await add(world, "has-its-own", own="one=2:5,two=4:4", at=at)
    for server, account in ("one", "/1/0/0"), ("two", "/1/1/0"):
        assert (await world.ask("has-its-own", "read", account, server=server))["code"] == "2.05"
    used = {tuple(numbers) for numbers in at.values()}
    assert ports(world, "has-its-own", "api") == ports(world, "has-its-own", "callback") == used


async def test_each_registration_goes_on_at_its_server_after_a_restart_of_the_bridge(world: SetUp):
    await add(world, "goes-on")
    await world.bridge.restart()
    for number, (server, identity) in enumerate(IDS.items()):
        before = len(await world.seen("updated", "goes-on", server))
        assert (await world.act("goes-on", "update", server=identity))["code"] == "2.04"
        assert len(await world.seen("updated", "goes-on", server)) == before + 1
        assert (await world.ask("goes-on", "read", f"/1/{number}/0", server=server))["code"] == "2.05"


async def test_the_modems_acknowledgement_makes_an_answer_delivered_and_its_absence_does_not(world: SetUp):
    """RDS: without a CoAP message of the device nothing else says that an answer has arrived."""
    await add(world, "acknowledges", reliable=True)
    await add(world, "is-silent", reliable=True, rds_ack=False, rds_attempts=2, rds_timer=0.1)

    async def settled(name: str) -> list[str]:
        found = await answers(world, name)
        return found if len(found) == 2 and not {"QUEUED", "SUBMITTING", "BUFFERED"} & {*found} else []

    assert await until(lambda: settled("acknowledges"), why="answers wait") == ["DELIVERED", "DELIVERED"]
    assert await until(lambda: settled("is-silent"), why="answers wait") == ["SENT", "SENT"]


async def test_what_comes_on_ports_of_no_server_reaches_none(world: SetUp):
    """The SCEF verifies ports: it drops the message itself, and says so."""
    await add(world, "elsewhere")
    before = {server: len(await world.seen("registered", "elsewhere", server)) for server in PORTS}
    register = next(
        line["data"]
        for line in await world.air("elsewhere", "uplink")
        if decode(bytes.fromhex(line["data"])).path() == "/rd"
    )
    await world.scef().post("/ues/elsewhere/uplink", {"data": register, "rds_port": [9, 9]})

    async def counted() -> bool:
        return await world.count("nidd_rds_port_unknown") == 1

    await until(counted, why="the SCEF's status is not counted")
    assert before == {server: len(await world.seen("registered", "elsewhere", server)) for server in PORTS}


async def test_a_reload_gives_all_endpoints_of_a_network_other_ports(world: SetUp):
    await add(world, "follows")
    file = world.lab.directory / "bridge.toml"
    text = file.read_text()
    other = SETTING.replace("2:5", "6:6")
    configuration = await world.configured("follows")

    def patched() -> list[set[Any]]:
        records = [one for one in world.proxies["nidd"].records if one["method"] == "PATCH"]
        mine = [one["request"] for one in records if configuration in one["path"] and one["status"] in {200, 204}]
        return [{pair(one) for one in body["rdsPorts"]} for body in mine if "rdsPorts" in body]

    wanted = []
    try:
        for setting, two in (other, (6, 6)), (SETTING, (2, 5)):
            file.write_text(text.replace(SETTING, setting))
            ended = await world.command("config", "reload", "--json")
            assert ended.code == 0, ended.err
            assert "[networks.nidd] server_ports" in ended.out
            wanted.append({(1, 1), two})
            await until(lambda: patched() == wanted, why="the SCEF does not know the new ports")
    finally:
        file.write_text(text)
    assert (await world.ask("follows", "read", "/1/1/0", server="two"))["code"] == "2.05"
    shown = (await world.command("endpoint", "show", "follows")).out
    assert "ports of servers         one 1:1, two 2:5 (its network's)" in shown
    await world.bridge.ask("endpoint.update", endpoint="follows", options={"server_ports": "one=7:7,two=2:5"})
    wanted.append({(7, 7), (2, 5)})
    await until(lambda: patched() == wanted, why="the SCEF does not know the endpoint's own ports")
    assert "one 7:7, two 2:5 (its own)" in (await world.command("endpoint", "show", "follows")).out
    state = await world.bridge.ask("endpoint.state", name="follows")
    assert state["application_ports"] == {"one": "7:7", "two": "2:5"}


async def test_config_check_names_a_port_of_a_server_that_the_endpoint_does_not_have(world: SetUp):
    file = world.lab.directory / "bridge.toml"
    text = file.read_text()
    line = '[[endpoints]]\nname = "e"\nnetwork = "nidd"\naddress = "e@iot"\noptions = { server_ports = "%s" }\n'
    try:
        for option, cure in ("three=1:1", "(one, two): write one of them"), ("one=1:16", "0 to 15"):
            file.write_text(text + line % option)
            ended = await world.command("config", "check")
            assert ended.code
            assert cure in ended.out + ended.err
        for setting, cure in (
            ('one = "1:1", three = "2:5"', "unknown server 'three'"),
            ('one = "1:1", two = "1:1"', "give each one of its own"),
            ('one = "1:16"', "[networks.nidd] server_ports: RDS ports '1:16' must be"),
        ):
            file.write_text(text.replace(SETTING, f"server_ports = {{ {setting} }}"))
            ended = await world.command("config", "check")
            assert ended.code
            assert cure in ended.out + ended.err
    finally:
        file.write_text(text)
