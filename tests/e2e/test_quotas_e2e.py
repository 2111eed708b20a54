"""Quotas from end to end (LPW-6): what a device gets is counted on the air, what a server is told at the server."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import apsw
import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUOTAS = """
[[quotas]]
name = "plan"
network = "nidd"
period = "day"
messages = 10
group = "held"
[[quotas]]
name = "bytes"
network = "nidd"
period = "day"
bytes = 120
reserve = 0.5
group = "bytes"
[[quotas]]
name = "fleet"
network = "nidd"
per = "group"
group = "refused"
period = "hour"
messages = 10
at_limit = "refuse"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    directory = tmp_path_factory.mktemp("quotas")
    async with set_up(directory, service='default_servers = ["lab"]', sections=QUOTAS) as found:
        yield found


async def add(world: SetUp, name: str, group: str) -> None:
    await world.add_device(name, endpoint={"options": {"group": group}}, device={})


async def received(world: SetUp, name: str) -> list[int]:
    """Return the sizes of what a device got over the air."""
    return [len(bytes.fromhex(one["data"])) for one in await world.air(name, "downlink")]


async def held(world: SetUp, name: str) -> str:
    """Wait until a message waits for a quota, and return the reason that people are told."""

    async def look() -> str:
        found = await world.bridge.ask("endpoint.explain", name=name)
        return next((one["why"] for one in found["waiting"] if one["why"].startswith("quota ")), "")

    return await until(look, why="nothing waits for a quota")


@pytest.mark.requirement("LightweightM2M-LPW-6")
async def test_a_message_beyond_the_devices_rate_waits_and_the_reason_is_told(world: SetUp):
    await add(world, "held", "held")
    while len(await received(world, "held")) < 9:
        assert (await world.ask("held", "read", "/3/0/0"))["code"] == "2.05"
    asked = asyncio.create_task(world.ask("held", "read", "/3/0/0", timeout=200))
    why = await held(world, "held")
    assert why.startswith("quota plan is used up until ")
    assert why.endswith("T00:00:00Z")
    assert len(await received(world, "held")) == 9  # one is kept for answers to the device
    await world.act("held", "update")
    await until(lambda: _has(world, "held", 10), why="the answer to the device does not come out of the reserve")
    await world.lab.step(130.0)
    assert (await asyncio.wait_for(asked, 20))["code"] == "5.04"
    found = await world.bridge.ask("downlink.list", endpoint="held", state="EXPIRED")
    assert "quota plan" in found["items"][0]["reason"]
    assert len(await received(world, "held")) == 10


async def _has(world: SetUp, name: str, messages: int) -> bool:
    return len(await received(world, name)) == messages


@pytest.mark.requirement("LightweightM2M-LPW-6")
async def test_not_one_byte_beyond_the_devices_quota_goes_out_over_a_kill(world: SetUp):
    await add(world, "bytes", "bytes")
    asked = [asyncio.create_task(world.ask("bytes", "read", "/3/0/0", timeout=150)) for _ in range(4)]
    await held(world, "bytes")
    await world.bridge.restart()
    asked += [asyncio.create_task(world.ask("bytes", "read", "/3/0/1", timeout=150)) for _ in range(4)]
    await held(world, "bytes")
    await world.lab.step(150.0)
    await asyncio.wait(asked, timeout=20)
    sizes = await received(world, "bytes")
    (quota,) = (await world.bridge.ask("quota.list", endpoint="bytes"))["items"]
    assert len(sizes) > 2
    assert sum(sizes) <= quota["used_bytes"] <= 120


@pytest.mark.requirement("LightweightM2M-LPW-6")
async def test_devices_that_share_a_quota_are_refused_at_the_server(world: SetUp):
    for name in ("one", "two"):
        await add(world, name, "refused")
    codes = [(await world.ask(name, "read", "/3/0/0", timeout=60))["code"] for name in ("one", "two") * 8]
    assert codes[-1] == "5.03"
    assert len(await received(world, "one")) + len(await received(world, "two")) <= 9
    assert await world.count("requests_refused", kind="quota") == codes.count("5.03")


async def test_people_see_usage_quotas_and_what_a_transfer_costs(world: SetUp):
    await add(world, "seen", "held")
    await world.ask("seen", "read", "/3/0/0")
    table = await world.command("usage", "--endpoint", "seen")
    down, up = await world.air("seen", "downlink"), await world.air("seen", "uplink")
    assert f" {len(down)} " in table.out
    text = (await world.command("usage", "--endpoint", "seen", "--csv")).out.splitlines()
    assert text[0] == "date,network,endpoint,endpoint_id,down_messages,down_bytes,up_messages,up_bytes"
    *_, messages, size, up_messages, up_size = text[1].split(",")
    assert (int(messages), int(size)) == (len(down), sum(len(one["data"]) // 2 for one in down))
    assert (int(up_messages), int(up_size)) == (len(up), sum(len(one["data"]) // 2 for one in up))
    said = (await world.command("quota", "estimate", "seen", "831000")).out
    assert "at least 812 messages" in said
    assert "quota plan: it takes 812 of the " in said
    listed = json.loads((await world.command("quota", "list", "--json")).out)
    assert [one["name"] for one in listed["items"]] == ["plan", "bytes", "fleet"]


async def test_a_limit_of_the_network_is_known_after_a_kill_and_forgotten_on_request(world: SetUp):
    await world.add_device("limited", endpoint={}, device={}, downlink_rate=3)
    asked = [asyncio.create_task(world.ask("limited", "read", "/3/0/0", timeout=150)) for _ in range(4)]

    async def shown() -> str:
        return (await world.command("network", "show", "nidd")).out

    async def learned() -> str:
        return next((line for line in (await shown()).splitlines() if "refused messages for a limit" in line), "")

    known = await until(learned, 20.0, why="no limit is learned")
    assert known.startswith("  limits                 one device was refused messages for a limit (refused last at 2")

    def written() -> bool:
        with contextlib.closing(apsw.Connection(str(world.lab.directory / "bridge.db"))) as ledger:
            return bool(ledger.execute("SELECT 1 FROM note WHERE network = 'limits of nidd'").fetchall())

    await world.lab.step(11.0)
    await until(written, 20.0, why="what was learned is not on the disk")
    await world.bridge.restart()
    assert await learned() == known
    assert "to forget them: lwm2m-bridge network forget-limits nidd" in await shown()
    forgotten = (await world.command("network", "forget-limits", "nidd")).out
    assert forgotten == f"forgotten: {known.removeprefix('  limits').strip()}\n"
    assert "limits" not in await shown()
    assert not written()
    assert "is not configured (known: nidd)" in (await world.command("network", "show", "none")).err
    await world.lab.step(150.0)
    await asyncio.wait(asked, timeout=20)
