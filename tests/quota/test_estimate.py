"""What a transfer costs before it is sent, and what its quotas say of it."""

import pytest

from bridge.quota.estimate import block_size, transfer, verdict
from bridge.quota.limits import Counted, Per, Quota
from bridge.quota.periods import Period
from bridge.quota.usage import Amount


@pytest.mark.parametrize(
    ("largest", "block"), [(None, 1024), (1358, 1024), (512, 256), (133, 64), (128, 64), (51, 16), (11, 16)]
)
def test_blocks_are_as_large_as_the_network_lets_them_be(largest, block):
    assert block_size(largest) == block


def test_each_block_is_a_message_down_and_one_up():
    found = transfer(831_000, 1358)
    assert (found.block, found.amount.down_messages, found.amount.up_messages) == (1024, 812, 812)
    assert found.amount.down_bytes == 831_000 + 812 * 24


def quota(**parts):
    return Quota(**{"name": "day", "network": "n", "per": Per.ENDPOINT, "period": Period.DAY, "reserve": 0.0} | parts)


@pytest.mark.parametrize(
    ("parts", "used", "fits", "periods"),
    [
        ({"messages": 1000}, Amount(), True, 1),
        ({"messages": 1000}, Amount(down_messages=188), True, 1),
        ({"messages": 1000}, Amount(down_messages=189), False, 2),
        ({"messages": 100}, Amount(), False, 9),
        ({"messages": 1000, "bytes": 100_000}, Amount(), False, 9),
        ({"messages": 1000, "counts": Counted.BOTH}, Amount(), False, 2),
        ({"messages": 1, "counts": Counted.UPLINKS}, Amount(), True, 1),
        ({"messages": 1, "reserve": 0.5}, Amount(), False, None),
    ],
)
def test_what_a_quota_says_of_it(parts, used, fits, periods):
    found = verdict(transfer(831_000, 1358), quota(**parts), used)
    assert (found.fits, found.periods) == (fits, periods)
