"""Servers: several at once, away and back, restarted; a restarted bridge; IPv6, and a port for each endpoint."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("servers"),
        servers={"lab": "127.0.0.1", "second": "127.0.0.1"},
        service='default_servers = ["lab"]',
    ) as found:
        yield found


async def test_two_devices_are_managed_by_two_servers_at_once(world: SetUp):
    await world.add_device("left", endpoint={"servers": ["lab"]}, device={}, registered="lab")
    await world.add_device("right", endpoint={"servers": ["second"]}, device={}, registered="second")
    left, right = await world.registered("left"), await world.registered("right", "second")
    assert left["address"] != right["address"]
    answers = await asyncio.gather(
        *(world.ask("left", "write", "/3/0/14", value="+01:00") for _ in range(3)),
        *(world.ask("right", "write", "/3/0/14", server="second", value="+02:00") for _ in range(3)),
    )
    assert {answer["code"] for answer in answers} == {"2.04"}
    assert (await world.ask("left", "read", "/3/0/14"))["values"] == {"/3/0/14": "+01:00"}
    assert (await world.ask("right", "read", "/3/0/14", server="second"))["values"] == {"/3/0/14": "+02:00"}
    assert {client["endpoint"] for client in await world.server("second").get("/clients")} == {"right"}


async def test_sends_for_a_server_that_is_away_are_stored_and_reach_it_in_order(world: SetUp):
    await world.add_device("storing", endpoint={}, device={})
    await world.server().post("/stop", {"forget": False})
    sends = []
    for number in range(1, 6):
        await world.set_value("storing", "/3303/0/5700", float(number))
        before = len([n for n in await world.notifications("storing") if n["accepted"]])
        sends.append(asyncio.create_task(world.act("storing", "send", paths=["/3303/0/5700"], confirmable=False)))

        async def accepted(before: int = before) -> bool:
            return len([n for n in await world.notifications("storing") if n["accepted"]]) > before

        await until(accepted, why="the SCEF was not answered 204")
    await world.lab.step(40.0)
    await world.server().post("/start")
    for _ in range(60):
        done, _ = await asyncio.wait(sends, timeout=0.2)
        if len(done) == len(sends):
            break
        await world.lab.step(4.0)
    assert {task.result()["code"] for task in sends} == {"2.04"}
    got = [one["records"][0]["value"] for one in await world.server().get("/sends") if one["endpoint"] == "storing"]
    assert got == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_notifications_for_a_server_that_hangs_reach_it_in_order(world: SetUp):
    await world.add_device("hanging", endpoint={}, device={})
    assert (await world.ask("hanging", "observe", "/3303/0/5700"))["code"] == "2.05"
    process = world.lab.servers["lab"].process
    process.signal(signal.SIGSTOP)
    try:
        for number in range(1, 5):
            before = len([n for n in await world.notifications("hanging") if n["accepted"]])
            await world.set_value("hanging", "/3303/0/5700", 40.0 + number)

            async def accepted(before: int = before) -> bool:
                return len([n for n in await world.notifications("hanging") if n["accepted"]]) > before

            await until(accepted)
    finally:
        process.signal(signal.SIGCONT)

    async def values() -> list[float]:
        found = await world.server().get("/observations")
        (one,) = [observed for observed in found if observed["endpoint"] == "hanging"]
        got = [n["values"]["/3303/0/5700"] for n in one["notifications"]]
        return got if len(got) == 4 else []

    assert await until(values) == [41.0, 42.0, 43.0, 44.0]


async def test_a_register_while_the_server_is_away_meets_silence_and_gets_through_later(world: SetUp):
    await world.server().post("/stop", {"forget": False})
    await world.add_device("silent", endpoint={}, device={}, registered="")

    async def accepted() -> bool:
        return any(n["accepted"] for n in await world.notifications("silent"))

    await until(accepted)
    await world.lab.step(10.0)
    assert await world.air("silent", "downlink") == []  # no 5.xx, which would start its retry ladder (R15)
    await world.server().post("/start")
    for _ in range(40):
        if any(client["endpoint"] == "silent" for client in await world.server().get("/clients")):
            break
        await world.lab.step(4.0)
        await asyncio.sleep(0.1)
    assert (await world.ask("silent", "read", "/3/0/1"))["code"] == "2.05"


async def test_a_server_that_was_restarted_learns_of_its_devices_anew(world: SetUp):
    await world.add_device("anew", endpoint={}, device={})
    before = await world.registered("anew")
    await world.ask("anew", "observe", "/3303/0/5700")
    await world.server().post("/stop", {"forget": True})
    await world.server().post("/start")
    assert (await world.act("anew", "update"))["code"] == "4.04"
    if not any(client["endpoint"] == "anew" for client in await world.server().get("/clients")):
        await world.act("anew", "register")
    after = await world.registered("anew")
    assert after["address"] == before["address"]
    assert (await world.ask("anew", "read", "/3/0/1"))["code"] == "2.05"
    await world.set_value("anew", "/3303/0/5700", 50.0)  # of the old registration: it ends (R20)

    async def ended() -> bool:
        return (await world.devices.get("/devices/anew"))["observed"] == []

    await until(ended, why="the device still notifies for the server's former life")


async def test_a_restart_of_the_bridge_keeps_addresses_and_needs_no_register(world: SetUp):
    await world.add_device("stable", endpoint={}, device={})
    await world.ask("stable", "observe", "/3303/0/5700")
    before = await world.registered("stable")
    await world.bridge.restart()
    assert (await world.ask("stable", "read", "/3/0/1"))["code"] == "2.05"
    await world.set_value("stable", "/3303/0/5700", 60.0)

    async def notified() -> bool:
        found = await world.server().get("/observations")
        return any(one["endpoint"] == "stable" and one["notifications"] for one in found)

    await until(notified)
    assert await world.registered("stable") == before
    assert len(await world.seen("registered", "stable")) == 1


def _has_ipv6() -> bool:
    path = Path("/proc/net/if_inet6")
    return path.exists() and any(line.startswith(31 * "0" + "1 ") for line in path.read_text().splitlines())


async def test_a_port_for_each_endpoint_toward_servers_on_ipv4_and_ipv6(tmp_path: Path, need):
    need(_has_ipv6(), "IPv6 on loopback")
    first = random.randrange(30_001, 32_000)
    north = f'scheme = "ports"\nports = "{first}-{first + 99}"'
    async with set_up(tmp_path, servers={"lab": "127.0.0.1", "six": "[::1]"}, north=north) as found:
        await found.add_device("four-a", endpoint={"servers": ["lab"]}, device={}, registered="lab")
        await found.add_device("four-b", endpoint={"servers": ["lab"]}, device={}, registered="lab")
        await found.add_device("six", endpoint={"servers": ["six"]}, device={}, registered="six")
        before = [
            await found.registered("four-a"),
            await found.registered("four-b"),
            await found.registered("six", "six"),
        ]
        ports = [int(one["address"].rpartition(":")[2]) for one in before]
        assert len(set(ports)) == 3
        assert all(first <= port < first + 100 for port in ports)
        assert before[2]["address"].startswith("::1")
        await found.bridge.restart()
        assert (await found.ask("four-a", "read", "/3/0/1"))["code"] == "2.05"
        assert (await found.ask("six", "write", "/3/0/14", server="six", value="+06:00"))["code"] == "2.04"
        assert (await found.act("six", "send", paths=["/3/0/9"]))["code"] == "2.04"
        after = [
            await found.registered("four-a"),
            await found.registered("four-b"),
            await found.registered("six", "six"),
        ]
        assert after == before
