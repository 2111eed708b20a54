"""Rates that a SCEF keeps and never announced: after the first refusals it is asked for more only now and then.

The judge is the emulated SCEF's own record of what it refused.
"""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from bridge.delivery.paces import Paces
from mock_network.scef.profiles import PROFILES
from tests.week import week as whole
from tests.week.jumping import JumpingLoop

HOUR = 3600.0
HOURS = 6
LEARNING = 2  # hours in which the rate is learned


async def refusals(tmp_path, ues, monkeypatch, *, kind, profile, ask_every):
    """Have every device asked all the time; return refusals and accepted downlinks by hour, and why some wait."""
    monkeypatch.setattr(whole, "UES", (kind,))
    monkeypatch.setattr(whole, "QUOTAS", ())  # with quotas of its own the bridge would never reach the SCEF's rate
    found: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    async with whole.week(tmp_path, ues, 1, (), profile) as one:
        loop = asyncio.get_running_loop()
        begins, seen, why = loop.time(), 0, set()
        endpoint = (await one.service.directory.by_name("meter-0")).id
        while loop.time() < begins + HOURS * HOUR:
            for name in one.devices:
                one.server.ask(name, "Read", 900, b"")
            await asyncio.sleep(ask_every)
            new = [record for record in one.scef.guard.records if record["number"] > seen]
            why |= {message.why for message in await one.service.explain(endpoint)}
            hour = int((loop.time() - begins) // HOUR)
            for record in new:
                seen = record["number"]
                if record["method"] == "POST" and "downlink-data-deliveries" in record["path"]:
                    found[record["status"] not in (429, 403)][hour] += 1
        limits = one.service.network_states()["nidd"]["calls"]["limits"]
    return found, why, limits


def run(work):
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work)


KINDS = {
    "serving PLMN, 10 in 6 minutes": ({"downlink_rate": 10}, PROFILES["strict-r17"], 1, 10.0, 50),
    "APN, 20 an hour": ({"apn_downlink_rate": 20}, PROFILES["strict-r17"], 1, 30.0, 16),
    "quota of the SCS/AS, 30 in 15 minutes": (
        {}, replace(PROFILES["strict-r17"], quota=30, quota_window=900.0), 3, 30.0, 72,
    ),
}  # fmt: skip
"""UEs, their SCEF, how many they are, how often each is asked, and how many downlinks an hour are the least taken."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "named", [next(iter(KINDS)), *(pytest.param(name, marks=pytest.mark.slow) for name in [*KINDS][1:])]
)
def test_refusals_fall_to_a_few_tries_and_nothing_that_is_allowed_is_lost(named, tmp_path, monkeypatch):
    kind, profile, ues, ask_every, least = KINDS[named]
    (refused, accepted), why, limits = run(
        refusals(tmp_path, ues, monkeypatch, kind=kind, profile=profile, ask_every=ask_every)
    )
    assert sum(refused.values()) > 0, "the rate was never reached"
    for hour in range(LEARNING, HOURS):
        assert refused[hour] <= 3 * ues, (refused, accepted)
    assert sum(accepted[hour] for hour in range(LEARNING, HOURS)) >= least * (HOURS - LEARNING)
    assert any("seems to take" in text and "the next may go at" in text for text in why), why
    assert "refused messages for a limit" in limits


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_pacing_the_same_network_refuses_all_the_time(tmp_path, monkeypatch):
    """The test above can fail."""
    monkeypatch.setattr(Paces, "refused", lambda *_: None)
    kind, profile, ues, ask_every, _ = KINDS["serving PLMN, 10 in 6 minutes"]
    (refused, _), _, _ = run(refusals(tmp_path, ues, monkeypatch, kind=kind, profile=profile, ask_every=ask_every))
    assert min(refused[hour] for hour in range(LEARNING, HOURS)) > 3
