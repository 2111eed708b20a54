"""Killed at every point of receive, commit and act, and at random: nothing accepted is lost, nothing happens twice."""

import random
from pathlib import Path

import pytest

from bridge.service.points import POINTS
from tests.durability.mutated import mutated
from tests.durability.traffic import Traffic
from tests.e2e.kit import set_up, until


async def _lives(directory: Path, points: list[str], kills: int, seed: int) -> None:
    rng = random.Random(seed)
    async with set_up(directory) as found:
        traffic = Traffic(found, ("one", "two"))
        await traffic.prepare()
        found.bridge.process.kill()
        for number, point in enumerate(points):
            if number % len(POINTS) == 0 and number:
                await traffic.calm_life()
            await traffic.life(point)
        for number in range(kills):
            if number % 10 == 0 and number:
                await traffic.calm_life()
            await traffic.short_life(rng)
        assert await traffic.settle() == []
        asked = [answer for answer in traffic.answers if isinstance(answer, dict) and "outcome" in answer]
        # "not acknowledged": each of its copies met a bridge that was dead; nothing was accepted, and the server knows.
        assert {answer["outcome"] for answer in asked} <= {"response", "not acknowledged"}
        executed = await found.devices.get("/devices/one/operations")
        arguments = [one["digest"] for one in executed if one["operation"] == "Execute"]
        assert len(arguments) == len(set(arguments))
        seen = traffic.evidence
        rounds = len(points) + kills
        assert len(seen.acknowledged) >= 2 * rounds  # the judge had something to judge
        assert len(seen.accepted) >= 3 * rounds
        assert len(seen.taken) >= rounds


@pytest.mark.timeout(180)
async def test_every_crash_point_and_ten_kills_cost_nothing_that_was_accepted(tmp_path: Path):
    counts = {"after receive": 7, "after commit": 3, "before notification answer": 2}
    points = [f"{point}:{counts.get(point, 1 + number)}" for number, point in enumerate(POINTS)]
    await _lives(tmp_path, points, kills=10, seed=1)


HOLD = "[policy]\npiggyback_window = 8\n"  # the server retransmits before it is acknowledged


async def _retransmissions(directory: Path, run: list[str]) -> list[str]:
    async with set_up(directory, prefix=run, sections=HOLD) as found:
        traffic = Traffic(found, ("one",))
        await traffic.prepare()
        await found.scef().ask("PATCH", "/ues/one", {"radio_latency": 3.0})
        traffic.begin()

        async def retransmitted() -> bool:
            await found.lab.step(1.0)
            return "again" in {entry["detail"] for entry in await found.seen("request", "one")}

        await until(retransmitted)
        await found.scef().ask("PATCH", "/ues/one", {"radio_latency": 0.005})
        found.bridge.process.kill()
        return await traffic.settle()


@pytest.mark.timeout(60)
async def test_the_judge_finds_nothing_where_the_server_retransmits(tmp_path: Path):
    faults = await _retransmissions(tmp_path, [])
    assert faults == []


@pytest.mark.timeout(60)
async def test_the_judge_finds_it_where_retransmissions_are_taken_for_new_requests(tmp_path: Path):
    known = "    if known is not None:\n        _repeat"
    run = mutated(tmp_path / "copy", "relay/from_server.py", known, "    if False:\n        _repeat")
    faults = await _retransmissions(tmp_path, run)
    assert any("was acknowledged and has" in fault for fault in faults), faults


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_fifty_kills_and_every_crash_point_three_times(tmp_path: Path):
    points = [f"{point}:{count}" for count in (1, 4, 9) for point in POINTS]
    await _lives(tmp_path, points, kills=50, seed=2)
