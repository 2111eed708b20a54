"""Killed while direct requests by the API wait: each accepted one has one row and one outcome, and its key is known."""

from pathlib import Path

import pytest

from bridge.service.crash_points import POINTS
from mock_network.lab import free_port
from tests.durability.direct import DirectTraffic
from tests.e2e.kit import set_up


async def _killed(directory: Path, points: list[str], kills: int, seed: int) -> None:
    port = free_port()
    sections = f'[api]\nlisten = "127.0.0.1:{port}"\n[events]\nkeep = 864000\n'
    async with set_up(directory, sections=sections) as found:
        traffic = DirectTraffic(found, ("one", "two"), f"http://127.0.0.1:{port}")
        faults = await traffic.lives(points, kills, seed)
        faults += traffic.faults()
        assert not faults, "\n".join(map(str, faults))
        assert len(traffic.ids) >= 3 * (len(points) + kills)  # four of a life, unless it ends while it starts
        assert traffic.unanswered > 0
        for name in traffic.devices:
            arguments = [one["digest"] for one in await traffic.executed(name) if one["operation"] == "Execute"]
            assert len(arguments) == len(set(arguments)) > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_kills_while_direct_requests_wait_cost_none_and_double_none(tmp_path: Path):
    points = ["after receive:7", "after commit:3", "before submit:2", "after submit:2"]
    await _killed(tmp_path, points, kills=5, seed=6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_thirty_kills_while_direct_requests_wait(tmp_path: Path):
    await _killed(tmp_path, [f"{point}:{3 + number}" for number, point in enumerate(POINTS)], kills=30, seed=7)
