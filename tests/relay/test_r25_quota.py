"""Block-wise transfers draw on quotas as what they cost: each block, and each part of a split one, is a message."""

from dataclasses import replace

from test_r25_block1 import BODY, Device, small, write

from bridge.quota.limits import Per, Quota
from bridge.quota.periods import Period
from bridge.quota.shared import SharedQuotas
from bridge.quota.usage import Usage

PLAN = Quota("plan", "net", Per.ENDPOINT, Period.DAY, messages=100, reserve=0.0)


def test_the_parts_of_a_split_block_are_counted_one_by_one():
    world = small(64)
    world.limits = SharedQuotas([PLAN]).limits("net", "")
    world.server_sends(write(1, 3))
    device = Device(world, BODY[:128])
    for _ in range(4):
        device.answers()
    (row,) = world.rows(Usage)
    assert row["down_messages"] == len(world.submitted) == 4
    assert row["down_bytes"] == sum(len(one.attempt.payload) for one in world.submitted)
    assert row["up_messages"] == 4


def test_a_quota_holds_a_transfer_between_two_parts_of_a_block():
    world = small(64)
    world.limits = SharedQuotas([replace(PLAN, messages=2)]).limits("net", "")
    world.server_sends(write(1, 3))
    device = Device(world, BODY[:128])
    device.answers()
    device.answers()
    assert len(world.submitted) == 2
    assert world.downlinks()[-1]["reason"].startswith("held: quota plan is used up until ")
