"""What a large content costs before it is sent: blocks, messages, bytes, and whether the quotas allow it."""

from math import ceil

import msgspec

from bridge.quota.limits import Counted, Quota
from bridge.quota.usage import Amount

OVERHEAD = 24  # bytes of a block's message without its content: header, token, path, Block and format options
LARGEST_BLOCK = 1024  # bytes, RFC 7959 §2.2
SMALLEST_BLOCK = 16


class Estimate(msgspec.Struct, frozen=True):
    """The least that a transfer costs; repetitions are not included."""

    block: int  # bytes of content in one message
    amount: Amount


class QuotaUse(msgspec.Struct, frozen=True):
    """What a transfer uses of a quota. None: the quota has no such limit."""

    needs_messages: int
    needs_bytes: int
    left_messages: int | None
    left_bytes: int | None
    periods: int | None  # periods that the transfer takes, this one included; None: it never fits

    @property
    def fits(self) -> bool:
        """Return whether the rest of this period is enough."""
        return self.periods == 1


def block_size(largest: int | None) -> int:
    """Return the bytes of content in a block where messages have at most `largest` bytes; None: any."""
    room = LARGEST_BLOCK if largest is None else largest - OVERHEAD
    size = LARGEST_BLOCK
    while size > room and size > SMALLEST_BLOCK:
        size //= 2
    return size


def transfer(content: int, largest: int | None) -> Estimate:
    """Return the cost of `content` bytes to a device, block by block: each block is a message down and one up."""
    block = block_size(largest)
    blocks = max(ceil(content / block), 1)
    return Estimate(block, Amount(blocks, content + blocks * OVERHEAD, blocks, blocks * OVERHEAD))


def verdict(estimate: Estimate, quota: Quota, used: Amount) -> QuotaUse:
    """Return what a transfer uses of a quota of which `used` is gone in this period."""
    messages, size = quota.used(estimate.amount)
    left_messages, left_bytes = quota.left(used)
    all_messages, all_bytes = quota.left(Amount())
    periods: int | None = 1
    for needed, left, whole in ((messages, left_messages, all_messages), (size, left_bytes, all_bytes)):
        if left is None or whole is None or needed <= left or periods is None:
            continue
        periods = None if whole == 0 else max(periods, 1 + ceil((needed - left) / whole))
    if quota.counts is Counted.UPLINKS:
        periods = 1  # never held
    return QuotaUse(messages, size, left_messages, left_bytes, periods)
