"""Accept is committed: strace sees a sync of the write-ahead log between what arrived and what acknowledges it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import need_program
from tests.durability.mutated import mutated
from tests.durability.trace import Order, happenings, order, strace
from tests.e2e.kit import SetUp, set_up

POLICY = "[policy]\npiggyback_window = 0.3\n"
QUICK = 12  # exchanges of each kind


async def _traced(directory: Path, run: Sequence[str] = ()) -> Order:
    need_program("strace")
    trace = directory / "trace"
    async with set_up(directory, prefix=[*strace(trace), *run], sections=POLICY, clock=False) as found:
        await _traffic(found)
    return order(list(happenings(trace)))


async def _traffic(found: SetUp) -> None:
    await found.add_device("quick", endpoint={}, device={"confirmable_notifications": True})
    await found.add_device("slow", endpoint={}, device={}, radio_latency=0.25)
    assert (await found.ask("quick", "observe", "/3303/0/5700"))["code"] == "2.05"
    for number in range(QUICK):
        assert (await found.ask("quick", "read", "/3/0/0"))["code"] == "2.05"
        assert (await found.ask("quick", "write", "/3/0/14", value=f"+{number:02}:00"))["code"] == "2.04"
        await found.set_value("quick", "/3303/0/5700", 30.0 + number)
        assert (await found.act("quick", "send", paths=["/3303/0/5700"]))["code"] == "2.04"
    asked = [found.ask("slow", "read", f"/3/0/{number}") for number in (0, 1, 2, 3)]
    assert {answer["code"] for answer in await asyncio.gather(*asked)} == {"2.05"}


@pytest.mark.timeout(60)
async def test_a_sync_of_the_log_lies_between_receipt_and_every_acknowledgement_response_and_204(tmp_path: Path):
    seen = await _traced(tmp_path)
    assert seen.faults == []
    assert seen.acknowledgements >= 4
    assert seen.responses >= 2 * QUICK
    assert seen.answers_204 >= 3 * QUICK


@pytest.mark.timeout(60)
async def test_the_order_fails_where_commits_are_not_synced(tmp_path: Path):
    run = mutated(tmp_path / "copy", "commits are not synced to the disk")
    seen = await _traced(tmp_path, run)
    assert len(seen.faults) >= seen.answers_204 >= 3 * QUICK
