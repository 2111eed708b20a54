"""A device with a bootstrap server and two others on one Non-IP pipe: from nothing to managed by both, and back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVERS = ["boot", "one", "two"]
ACCOUNTS = [
    {"id": 1, "uri": "coap://one.example", "lifetime": 600},
    {"id": 2, "uri": "coap://two.example", "lifetime": 900},
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    lines = {name: f'known_as = ["{name}.example"]' for name in SERVERS}
    lines["boot"] += "\nbootstrap = true"
    async with set_up(
        tmp_path_factory.mktemp("several"),
        servers=dict.fromkeys(SERVERS, "127.0.0.1"),
        service=f"default_servers = {SERVERS}",
        lines_of=lines,
    ) as found:
        yield found


async def plan(world: SetUp, name: str, accounts: list[dict[str, Any]]) -> None:
    await world.server("boot").ask("PUT", f"/bootstrap/{name}", {"servers": accounts})


async def add(world: SetUp, name: str, **device: Any) -> None:
    """Add a device that knows no server but its bootstrap server; all it sends goes through one pipe."""
    made = await world.add_device(name, endpoint={}, device=None)
    pipe = "{}:{}".format(*made["modem"])
    body = {"endpoint": name, "bootstrap_uri": "coap://boot.example", "pipe": pipe, "lifetime": 300, **device}
    await world.devices.post("/devices", body)


async def clients(world: SetUp, server: str) -> set[str]:
    return {client["endpoint"] for client in await world.server(server).get("/clients")}


async def test_a_device_is_bootstrapped_and_managed_by_two_servers(world: SetUp):
    await plan(world, "fresh", ACCOUNTS)
    await add(world, "fresh")
    one, two = await world.registered("fresh", "one"), await world.registered("fresh", "two")
    assert (one["lifetime"], two["lifetime"]) == (600, 900)
    assert await clients(world, "boot") == set()
    sessions = (await world.server("boot").get("/bootstrap"))["sessions"]
    (session,) = [found for found in sessions if found["endpoint"] == "fresh"]
    assert session["state"] == "finished"
    operations = [(step["operation"], step["code"]) for step in session["steps"]]
    assert operations[0] == ("discover", "2.05")
    assert operations[-1] == ("finish", "2.04")
    shown = (await world.command("endpoint", "show", "fresh")).out
    assert "registered at one" in shown
    assert "registered at two" in shown
    for server in "one", "two":
        assert (await world.ask("fresh", "read", "/3/0/0", server=server))["code"] == "2.05"
        assert (await world.ask("fresh", "observe", "/3303/0/5700", server=server))["code"] == "2.05"
    await world.set_value("fresh", "/3303/0/5700", 31.0)

    async def notified() -> bool:
        found = [await world.server(server).get("/observations") for server in ("one", "two")]
        return all(any(of["notifications"] for of in one if of["endpoint"] == "fresh") for one in found)

    await until(notified, why="a notification is missing")


async def test_updates_and_the_restart_of_the_bridge_keep_each_registration_apart(world: SetUp):
    await plan(world, "kept", ACCOUNTS)
    await add(world, "kept")
    before = {server: await world.registered("kept", server) for server in ("one", "two")}
    assert (await world.act("kept", "update"))["code"] == "2.04"
    await world.bridge.restart()
    assert (await world.act("kept", "update"))["code"] == "2.04"
    after = {server: await world.registered("kept", server) for server in ("one", "two")}
    assert all(after[server]["location"] == before[server]["location"] for server in before)
    assert (await world.act("kept", "deregister"))["code"] == "2.02"

    async def gone() -> bool:
        return "kept" not in await clients(world, "one")

    await until(gone, why="the registration with its first server is left over")
    assert "kept" in await clients(world, "two")  # that is another one
    assert (await world.ask("kept", "read", "/3/0/0", server="two"))["code"] == "2.05"


async def test_a_server_sends_its_device_back_to_bootstrap_and_it_returns_without_a_person(world: SetUp):
    await plan(world, "back", ACCOUNTS[:1])
    await add(world, "back")
    await world.registered("back", "one")
    await plan(world, "back", ACCOUNTS[1:])
    assert (await world.ask("back", "execute", "/1/0/9", server="one"))["code"] == "2.04"
    await world.registered("back", "two")
    assert (await world.ask("back", "read", "/1", server="two"))["code"] == "2.05"
