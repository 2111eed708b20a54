"""Two servers on one Non-IP pipe, told apart by OSCORE kid alone: aiocoap's OSCORE at every end, all over sockets.

No message has a Uri-Host, the network has no ports, and path and operation are inside: the bridge reads only the kid.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.end_to_end_security.conftest import SECRET
from tests.interop.raw_device import decode
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

URI_HOST, OSCORE = 3, 9
OTHER_SECRET = SECRET[::-1]
SERVERS = ("one", "two")
SENSOR = "/3303/0/5700"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("kids"),
        servers=dict.fromkeys(SERVERS, "127.0.0.1"),
        service=f"default_servers = {list(SERVERS)}",
    ) as found:
        yield found


async def add(
    world: SetUp, name: str, number: int, first: str, second: str, option: str, registered: tuple[str, ...]
) -> None:
    """Add a device with two accounts. Its kid is NUMBER in the context with server `first`, a2 NUMBER with `second`.

    A server knows a device's context by the kid alone, so each device has other kids.
    """
    contexts = {first: (SECRET, f"{number:02x}", "f1"), second: (OTHER_SECRET, f"a2{number:02x}", "f2")}
    for server, (secret, mine, theirs) in contexts.items():
        keys = {"secret": secret, "sender": theirs, "recipient": mine}
        await world.server(server).ask("PUT", f"/oscore/{name}", keys)
    made = await world.add_device(name, endpoint={"options": {"oscore_kids": option}}, device=None)
    body = {
        "endpoint": name,
        "connect": "coap+nidd://",
        "binding": "N",
        "pipe": "{}:{}".format(*made["modem"]),
        "lifetime": 600,
        "oscore": dict(zip(("secret", "sender", "recipient"), contexts[first], strict=True)),
        "servers": [f"id=2,uri=coap+nidd://,lifetime=900,oscore={':'.join(contexts[second])}"],
    }
    await world.devices.post("/devices", body)
    for server in registered:
        await world.registered(name, server)


async def test_r23_each_account_registers_at_the_server_of_its_kid(world: SetUp):
    """The first account is that of the endpoint's second server: the default would be wrong for both."""
    await add(world, "by-kid", 1, "two", "one", "two=01,one=a201", ("two", "one"))
    lifetimes = [(await world.registered("by-kid", server))["lifetime"] for server in SERVERS]
    assert lifetimes == [900, 600]
    sent = [decode(bytes.fromhex(line["data"])) for line in await world.air("by-kid", "uplink")]
    requests = [message for message in sent if 0 < message.code < 32]
    assert requests
    assert all(message.option(OSCORE) is not None and message.option(URI_HOST) is None for message in requests)
    for server in SERVERS:
        assert (await world.ask("by-kid", "read", SENSOR, server=server))["code"] == "2.05"
        assert (await world.ask("by-kid", "observe", SENSOR, server=server))["code"] == "2.05"
    await world.set_value("by-kid", SENSOR, 31.0)

    async def notified() -> bool:
        found = [await world.server(server).get("/observations") for server in SERVERS]
        return all(any(of["notifications"] for of in one if of["endpoint"] == "by-kid") for one in found)

    await until(notified, why="a notification is missing")
    assert await world.count("oscore_kids_unknown") == 0
    assert "two=01,one=a201" in (await world.command("endpoint", "show", "by-kid")).out


async def test_r23_each_registration_goes_on_at_its_server_after_a_restart_of_the_bridge(world: SetUp):
    await add(world, "goes-on", 2, "two", "one", "two=02,one=a202", ("two", "one"))
    await world.bridge.restart()
    for server, identity in (("two", 101), ("one", 2)):
        before = len(await world.seen("updated", "goes-on", server))
        assert (await world.act("goes-on", "update", server=identity))["code"] == "2.04"
        assert len(await world.seen("updated", "goes-on", server)) == before + 1


async def test_r23_a_kid_of_no_server_goes_to_the_default_which_refuses_it_until_the_option_names_it(world: SetUp):
    """The other server's context is not known at the default one: it refuses the message, and the bridge says why."""
    await add(world, "unnamed", 3, "one", "two", "one=03", ("one",))

    async def counted() -> bool:
        return await world.count("oscore_kids_unknown", kind="unknown") >= 1

    await until(counted, why="the kid is not counted")
    clients: Any = await world.server("two").get("/clients")
    assert "unnamed" not in {client["endpoint"] for client in clients}
    await world.bridge.ask("endpoint.update", endpoint="unnamed", options={"oscore_kids": "one=03,two=a203"})
    await world.act("unnamed", "register", server=2)
    await world.registered("unnamed", "two")


async def test_r23_config_check_refuses_kids_that_do_not_say_one_server(world: SetUp):
    file = world.lab.directory / "bridge.toml"
    text = file.read_text()
    line = '[[endpoints]]\nname = "e"\nnetwork = "nidd"\naddress = "e@iot"\noptions = { oscore_kids = "%s" }\n'
    try:
        for option, cure in (
            ("one=0", "write two digits for each byte"),
            ("one=0102030405060708", "longer than 7 bytes"),
            ("one=01,two=01", "give each kid to one server"),
            ("three=01", "(one, two): write one of them"),
        ):
            file.write_text(text + line % option)
            ended = await world.command("config", "check")
            assert ended.code
            assert cure in ended.out + ended.err
        file.write_text(text + line % "one=01,two=a2")
        assert (await world.command("config", "check")).code == 0
    finally:
        file.write_text(text)
