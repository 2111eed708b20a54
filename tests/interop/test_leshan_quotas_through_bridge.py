"""A real Leshan manages devices that have quotas (LPW-6): what goes out is counted on the air, refusals at Leshan."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.kit import set_up
from tests.interop.leshan_server import Leshan, LeshanProcess
from tests.interop.test_leshan_devices_through_bridge import Stage
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

QUOTAS = """
[[quotas]]
name = "hourly"
network = "nidd"
period = "hour"
messages = 10
group = "held"
[[quotas]]
name = "daily"
network = "nidd"
period = "day"
messages = 10
group = "refused"
at_limit = "refuse"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(leshan_process: LeshanProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    server = f"coap://{leshan_process.host}:{leshan_process.coap_port}"
    directory = tmp_path_factory.mktemp("quotas")
    async with (
        set_up(directory, servers={"leshan": server}, sections=QUOTAS, server_lines="patience = 7200.0") as world,
        Leshan(leshan_process) as leshan,
    ):
        yield Stage(world, leshan)


async def sent(stage: Stage, name: str) -> int:
    """Return how many messages the device got over the air."""
    return len(await stage.world.air(name, "downlink"))


async def add(stage: Stage, name: str, group: str) -> None:
    """Add a device of a group, and wait until Leshan and the device know its registration."""
    await stage.world.add_device(
        name, endpoint={"servers": ["leshan"], "options": {"group": group}}, device={}, registered=""
    )
    await stage.leshan.event("registered", name, wait=30)
    await until(lambda: stage.world._knows(name), why=f"{name} does not know that it is registered")


@pytest.mark.requirement("LightweightM2M-LPW-6")
async def test_a_request_of_leshan_beyond_the_rate_waits_for_the_next_hour(stage: Stage):
    await add(stage, "held", "held")
    while await sent(stage, "held") < 9:  # one of ten is kept for answers to the device
        assert (await stage.leshan.read("held", "/3/0/0"))["code"] == "2.05"
    asked = asyncio.create_task(stage.leshan.read("held", "/3/0/1", timeout=7200, wait=60))

    async def waits() -> bool:
        found = await stage.world.bridge.ask("endpoint.explain", name="held")
        return any(one["why"].startswith("quota hourly is used up until ") for one in found["waiting"])

    await until(waits, why="nothing waits for the quota")
    assert await sent(stage, "held") == 9
    await stage.world.lab.step(3600.0)
    assert (await asyncio.wait_for(asked, 30))["code"] == "2.05"
    assert await sent(stage, "held") >= 10


@pytest.mark.requirement("LightweightM2M-LPW-6")
async def test_leshan_is_refused_where_the_quota_says_so_and_nothing_goes_out(stage: Stage):
    await add(stage, "refused", "refused")
    codes = []
    while "5.03" not in codes:
        assert len(codes) < 20
        codes.append((await stage.leshan.read("refused", "/3/0/0"))["code"])
    assert set(codes[:-1]) == {"2.05"}
    assert await sent(stage, "refused") == 9
    assert (await stage.leshan.read("refused", "/3/0/0"))["code"] == "5.03"
    assert await sent(stage, "refused") == 9
