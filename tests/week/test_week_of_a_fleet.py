"""A week of 50 UEs with every fault that the emulated SCEF has: one outcome each, and none that claims too much."""

import asyncio

import pytest

from bridge.delivery.states import DownlinkState
from mock_network.scef.fault_kinds import KINDS
from tests.durability.judge import NIDD, Evidence
from tests.week.happenings import FAULTS, LEFT_OUT
from tests.week.jumping import JumpingLoop
from tests.week.week import DAYS, deadlines, week

OUTCOMES = {state.value for state in DownlinkState} - {
    "QUEUED",
    "SUBMITTING",
    "BUFFERED",
    "NACKED",  # of LoRaWAN alone
}
ENOUGH = 20


@pytest.mark.timeout(900)  # half a minute of a free core
def test_a_week(tmp_path):
    async def live():
        async with week(tmp_path, 50, 1, FAULTS) as one:
            await one.live(DAYS)
            return one.wrong(), one.outcomes(), one.scef.faults.happened

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        wrong, outcomes, happened = runner.run(live())
    assert wrong == []
    assert set(outcomes) == OUTCOMES
    assert {outcome: number for outcome, number in outcomes.items() if number < ENOUGH} == {}
    assert {kind.name for kind in KINDS} - LEFT_OUT - {
        kind for kind, number in happened.items() if number >= ENOUGH
    } == set()


@pytest.mark.parametrize(
    ("state", "at", "said"),
    [
        ("SENT", 50.0, []),
        ("SENT", 150.0, ["downlink 7 was on air 50.0 s after its deadline"]),
        ("EXPIRED", 50.0, ["downlink 7 is EXPIRED and was on air"]),
        ("EXPIRED", -1.0, []),  # of an earlier request that had the same message ID
    ],
)
def test_what_was_on_air_is_judged(state, at, said):
    row = {
        "id": 7, "kind": "request", "device": "d", "state": state, "accepted_at": 0.0, "deliver_by": 100.0,
        "south_token": b"t", "coap_type": 0, "code": 1, "south_mid": 5, "body": b"",
    }  # fmt: skip
    seen = Evidence(NIDD, downlinks=[row], on_air=[(at, ("d", b"\x41\x01\x00\x05t"))])
    assert deadlines(seen) == said
