"""A disk without room: nothing is acknowledged, the service lives, and goes on when there is room again."""

import asyncio
import resource
from pathlib import Path

import pytest

from tests.e2e.full_disk import WRITTEN, is_long, limit
from tests.e2e.kit import SetUp, set_up
from tests.waiting import until


async def _fill(found: SetUp) -> None:
    """Let the write-ahead log grow, so that it cannot be written below the limit."""
    while not is_long(found):
        assert (await found.ask("full", "read", "/3/0/0"))["code"] == "2.05"


@pytest.mark.timeout(60)
async def test_without_room_no_ack_and_no_204_leaves_and_with_room_all_goes_on(tmp_path: Path):
    async with set_up(tmp_path) as found:
        await found.add_device("full", endpoint={}, device={})
        await _fill(found)
        acknowledged = len(await found.seen("acknowledged", "full"))
        accepted = len([n for n in await found.notifications("full") if n["accepted"]])
        heard = len(await found.air("full", "downlink"))
        limit(found, WRITTEN)
        asked = asyncio.create_task(found.ask("full", "write", "/3/0/14", value="+01:00", timeout=125))
        sent = asyncio.create_task(found.act("full", "send", paths=["/3303/0/5700"]))

        async def refused() -> bool:
            answers = [n.get("status") for n in await found.notifications("full")][accepted:]
            again = [e for e in await found.seen("request", "full") if e["detail"] == "again"]
            return 503 in answers and bool(again)

        await until(refused, why="nothing was refused while the disk was full")
        assert len(await found.seen("acknowledged", "full")) == acknowledged
        assert len([n for n in await found.notifications("full") if n["accepted"]]) == accepted
        assert len(await found.air("full", "downlink")) == heard
        assert await found.count("nidd_notifications_store_unavailable") >= 1
        assert await found.count("failed_commits") >= 1
        await found.logged("commit failed", "full")
        assert (await found.bridge.ask("status"))["ready"]
        limit(found, resource.RLIM_INFINITY)
        for _ in range(40):
            done, _ = await asyncio.wait({asked, sent}, timeout=0.3)
            if len(done) == 2:
                break
            await found.lab.step(1.0)
        assert asked.result()["code"] == "2.04"
        assert sent.result()["code"] == "2.04"
        assert len(await found.seen("send", "full")) == 1
        executed = await found.devices.get("/devices/full/operations")
        assert sum(1 for one in executed if one["operation"] == "Write") == 1
