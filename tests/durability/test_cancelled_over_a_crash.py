"""R11: what a person cancelled stays so, wherever the bridge is killed between the wish and the network's word."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.durability.nidd import PATIENCE
from tests.durability.traffic import CRASH_POINT
from tests.e2e.kit import SetUp, set_up, until

ON_CANCEL = {"method": "DELETE", "resource": "deliveries"}


async def _held(found: SetUp) -> tuple["asyncio.Task[Any]", int]:
    """Let a request wait in the SCEF for a UE that sleeps; return the server's side of it, and its number."""
    await found.add_device("one", endpoint={}, device={}, t3324=2.0, t3412=36000.0, inactivity=5.0)
    await found.scef().post("/ues/one/sleep")
    asked = asyncio.create_task(found.ask("one", "write", "/3/0/14", value="+01:00", timeout=PATIENCE))

    async def held() -> list[dict[str, Any]]:
        page = await found.bridge.ask("downlink.list", endpoint="one", state="BUFFERED")
        return list(page["items"])

    (row,) = await until(held, why="the SCEF does not hold the request")
    return asked, row["id"]


async def _state(found: SetUp, number: int) -> tuple[str, bool]:
    (row,) = [row for row in (await found.bridge.ask("downlink.list", endpoint="one"))["items"] if row["id"] == number]
    return row["state"], row["over"]


async def _never_on_air(found: SetUp, heard: list[dict[str, Any]]) -> None:
    """Wake the device: it gets the answer to its Update, and nothing else."""
    await found.scef().post("/ues/one/wake")
    assert (await found.act("one", "update"))["code"] == "2.04"
    assert len(await found.air("one", "downlink")) == len(heard) + 1
    assert await found.devices.get("/devices/one/operations") == []


@pytest.mark.timeout(300)
async def test_r11_a_cancel_is_asked_after_a_crash_that_came_before_the_network_heard_of_it(tmp_path: Path):
    async with set_up(tmp_path) as found:
        asked, number = await _held(found)
        heard = await found.air("one", "downlink")
        found.bridge.process.kill()
        await found.bridge.start({CRASH_POINT: "after commit"})
        cancelled = await found.command("downlink", "cancel", str(number))
        assert cancelled.code != 0
        assert await found.bridge.process.ended() == -9
        assert len((await found.ue("one"))["queue"]) == 1  # the network was not asked

        await found.bridge.start()

        async def over() -> bool:
            return (await _state(found, number))[1]

        await until(over, why="the cancel was forgotten")
        assert await _state(found, number) == ("CANCELLED", True)
        assert (await asyncio.wait_for(asked, 60))["code"] == "5.03"
        assert (await found.ue("one"))["queue"] == []
        await _never_on_air(found, heard)


@pytest.mark.timeout(300)
async def test_r11_a_cancel_whose_answer_a_crash_lost_is_asked_again_and_says_no_more_than_the_network_proves(
    tmp_path: Path,
):
    async with set_up(tmp_path) as found:
        asked, number = await _held(found)
        heard = await found.air("one", "downlink")
        await found.fault("slow_answer", count=1, where=ON_CANCEL, params={"seconds": 10})
        cancelled = await found.command("downlink", "cancel", str(number))
        assert (cancelled.code, cancelled.out.strip()) == (0, f"{number}: BUFFERED, being removed from the network")

        async def gone() -> bool:
            return (await found.ue("one"))["queue"] == []

        await until(gone)
        await found.bridge.restart()

        async def left() -> bool:
            return await _state(found, number) == ("UNKNOWN", False)

        await until(left, why="the cancel was forgotten")  # it is not in the network: by which cancel, nobody can say
        await found.lab.step(116.0)
        assert (await asyncio.wait_for(asked, 60))["code"] == "5.04"
        await found.lab.step(200.0)

        async def over() -> bool:
            return (await _state(found, number))[1]

        await until(over)
        assert await _state(found, number) == ("UNKNOWN", True)
        await _never_on_air(found, heard)
