"""Killed at every point of receive, commit and act, and at random: nothing accepted is lost, nothing happens twice."""

import asyncio
from pathlib import Path

import pytest

from bridge.service.crash_points import POINTS
from tests.conftest import need_program
from tests.durability.both import both_traffic
from tests.durability.judge import Fault, is_send
from tests.durability.lorawan import LorawanTraffic, lorawan_traffic
from tests.durability.mutated import mutated
from tests.durability.nidd import NiddTraffic
from tests.durability.traffic import JUMP, LOOKED_EVERY, Traffic
from tests.e2e.kit import set_up, until


def _had_something_to_judge(traffic: Traffic, lives: int, accepted: int) -> None:
    """`accepted`: uplinks for each life of the bridge."""
    assert traffic.evidence
    for seen in traffic.evidence:
        assert len(seen.acknowledged) >= 2 * lives
        assert len(seen.accepted) >= accepted * lives
        assert len(seen.taken) >= lives


async def _nothing_was_lost_or_done_twice(traffic: Traffic, faults: list[Fault]) -> None:
    assert not faults, "\n".join(map(str, faults))
    asked = [answer for answer in traffic.answers if isinstance(answer, dict) and "elapsed" in answer]
    # "not acknowledged": each of its copies met a bridge that was dead; nothing was accepted, and the server knows.
    assert {answer["outcome"] for answer in asked} <= {"response", "not acknowledged"}
    for name in traffic.devices:
        executed = await traffic.executed(name)
        arguments = [one["digest"] for one in executed if one["operation"] == "Execute"]
        assert arguments
        assert len(arguments) == len(set(arguments))


# NIDD


async def _nidd(directory: Path, points: list[str], kills: int, seed: int) -> None:
    async with set_up(directory) as found:
        traffic = NiddTraffic(found, ("one", "two"))
        await _nothing_was_lost_or_done_twice(traffic, await traffic.lives(points, kills, seed))
        _had_something_to_judge(traffic, len(points) + kills, accepted=3)


@pytest.mark.timeout(600)
async def test_every_crash_point_and_ten_kills_cost_nothing_that_was_accepted(tmp_path: Path):
    counts = {"after receive": 7, "after commit": 3, "before notification answer": 2}
    points = [f"{point}:{counts.get(point, 1 + number)}" for number, point in enumerate(POINTS)]
    await _nidd(tmp_path, points, kills=10, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_fifty_kills_and_every_crash_point_three_times(tmp_path: Path):
    points = [f"{point}:{count}" for count in (1, 4, 9) for point in POINTS]
    await _nidd(tmp_path, points, kills=50, seed=2)


REQUESTS = 3  # that the server makes of one device in `NiddTraffic.operations`


async def _downlinks(traffic: Traffic) -> int:
    return sum(row["messages"] for row in (await traffic.counts())["downlinks"])


HOLD = "[policy]\npiggyback_window = 8\n"  # the server retransmits before it is acknowledged


async def _retransmissions(directory: Path, run: list[str], *, rows_of_each: int = 1) -> list[Fault]:
    """Kill the bridge once the server has retransmitted; `rows_of_each`: rows that the bridge makes of each request."""
    async with set_up(directory, prefix=run, sections=HOLD) as found:
        traffic = NiddTraffic(found, ("one",))
        await traffic.prepare()
        await found.scef().ask("PATCH", "/ues/one", {"radio_latency": 3.0})
        before = await _downlinks(traffic)
        traffic.begin()

        async def retransmitted() -> bool:
            """The server's log comes before the bridge has read the datagram: the rows are awaited, too."""
            await found.lab.step(1.0)
            again = "again" in {entry["detail"] for entry in await found.seen("request", "one")}
            return again and await _downlinks(traffic) - before > REQUESTS * (rows_of_each - 1)

        await until(retransmitted)
        await found.scef().ask("PATCH", "/ues/one", {"radio_latency": 0.005})
        await traffic.kill()
        return await traffic.settle()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_judge_finds_nothing_where_the_server_retransmits(tmp_path: Path):
    faults = await _retransmissions(tmp_path, [])
    assert not faults, "\n".join(map(str, faults))


@pytest.mark.timeout(300)
async def test_the_judge_finds_it_where_retransmissions_are_taken_for_new_requests(tmp_path: Path):
    run = mutated(tmp_path / "copy", "a server's retransmission is a new request")
    faults = await _retransmissions(tmp_path, run, rows_of_each=2)
    assert any("was acknowledged and has" in fault.text for fault in faults), faults


# LoRaWAN


async def _lorawan(directory: Path, points: list[str], kills: int, seed: int, *, mqtt: bool = False) -> None:
    async with lorawan_traffic(directory, mqtt=mqtt) as traffic:
        await _nothing_was_lost_or_done_twice(traffic, await traffic.lives(points, kills, seed))
        _had_something_to_judge(traffic, len(points) + kills, accepted=1)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_same_with_lorawan_devices(tmp_path: Path):
    points = [f"{point}:{1 + number}" for number, point in enumerate(POINTS)]
    await _lorawan(tmp_path, points, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", ["http", "mqtt"])
async def test_twenty_kills_and_every_crash_point_twice_with_lorawan_devices(tmp_path: Path, way: str):
    if way == "mqtt":
        need_program("mosquitto")
    points = [f"{point}:{count}" for count in (2, 5) for point in POINTS]
    await _lorawan(tmp_path, points, kills=20, seed=3, mqtt=way == "mqtt")


async def _repeated(traffic: LorawanTraffic, number: int) -> list[Fault]:
    """A device did not hear the answer to its Send; the bridge is killed before and after, then for an hour."""
    await traffic.send("one", number)
    await traffic.kill()
    await traffic.start()
    await traffic.repeat("one")
    await traffic.kill()
    await traffic.jump(3600.0)
    return await traffic.settle()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_lorawan_devices_repeated_send_is_one_and_the_judge_finds_it_where_it_is_two(tmp_path: Path):
    run = mutated(tmp_path / "copy", "a device's repeat is forwarded again")
    async with lorawan_traffic(tmp_path, ("one",)) as traffic:
        await traffic.prepare()
        faults = await _repeated(traffic, 1)
        assert not faults, "\n".join(map(str, faults))
        await traffic.lab.start_bridge(prefix=run)
        faults = await _repeated(traffic, 2)
        assert any("reached the server 2 times" in fault.text for fault in faults), faults


async def _answered_at_last(traffic: LorawanTraffic) -> None:
    """Let time pass until the device has the answer to its Send: the radio loses everything before the third repeat."""
    await traffic.found.fault("downlink_lost")
    heard_from = (
        await traffic.now() + 1500.0
    )  # the second repeat comes after 1350 s at most, the third after 2100 or more
    sending = asyncio.create_task(traffic.send("two", 1))
    while not sending.done():
        await traffic.pass_time(JUMP)
        await asyncio.sleep(LOOKED_EVERY)
        if await traffic.now() > heard_from:
            await traffic.found.radio.ask("DELETE", "/faults")
    assert sending.result()["code"] == "2.04"


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_send_that_a_patient_client_repeats_for_an_hour_is_one(tmp_path: Path):
    """A client that doubles its waits from 300 s on repeats after 900 s, and again after 2100 s or more."""
    async with lorawan_traffic(tmp_path, ("two",)) as traffic:
        await traffic.prepare()
        await _answered_at_last(traffic)
        await traffic.kill()
        faults = await traffic.settle()
        assert not faults, "\n".join(map(str, faults))
        (seen,) = traffic.evidence
        copies = [one.time for one in seen.happened if one.message in seen.sent and is_send(one.message[1])]
        assert max(copies) - min(copies) > 2000.0
        assert len(seen.taken) == 1


# Both at once

KILLS = 100


@pytest.mark.slow
@pytest.mark.timeout(3000)
async def test_a_hundred_kills_over_both_networks_with_a_disk_that_fills_and_backups_that_are_taken(tmp_path: Path):
    async with both_traffic(tmp_path) as traffic:
        points = [f"{point}:{2 + number}" for number, point in enumerate(POINTS)]
        await _nothing_was_lost_or_done_twice(traffic, await traffic.lives(points, KILLS - len(points), seed=4))
        _had_something_to_judge(traffic, KILLS, accepted=1)
        assert traffic.backups.faults == []
        assert traffic.backups.taken >= 20
        assert traffic.full >= 40


@pytest.mark.timeout(600)
async def test_kills_over_both_networks_with_a_full_disk_and_a_backup_cost_nothing(tmp_path: Path):
    async with both_traffic(tmp_path) as traffic:
        await _nothing_was_lost_or_done_twice(traffic, await traffic.lives(["after commit:3"], 8, seed=5))
        assert traffic.backups.faults == []
        assert traffic.backups.taken >= 1
        assert traffic.full >= 3
