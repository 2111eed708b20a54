"""How a quota of one endpoint stands in its present period, as plain numbers: each message asks for it."""

import msgspec

from bridge.quota.limits import NO_LIMIT, Counted, Quota
from bridge.quota.periods import end_of, start_of
from bridge.quota.usage import Amount


class Meter(msgspec.Struct, gc=False):
    """What was used of a quota between two wall times, and what may be. Read it anew when the time is over."""

    quota: Quota
    starts: float
    ends: float
    messages: int  # used
    bytes: int
    most_messages: int
    most_bytes: int
    most_messages_of_requests: int  # without what is kept for answers
    most_bytes_of_requests: int
    next_messages: int  # at which there is something to warn of
    next_bytes: int

    @classmethod
    def read(cls, quota: Quota, used: Amount, now: float) -> "Meter":
        """Return how a quota stands of which `used` was used in the period that contains wall time `now`."""
        messages, size = quota.used(used)
        all_messages, all_bytes = quota.most(is_answer=True)
        return cls(
            quota,
            start_of(quota.period, now),
            end_of(quota.period, now),
            messages,
            size,
            all_messages,
            all_bytes,
            *quota.most(is_answer=False),
            _next(quota, quota.messages, messages),
            _next(quota, quota.bytes, size),
        )

    def allows(self, size: int, *, is_answer: bool) -> bool:
        """Return whether one message of `size` bytes fits into what is left."""
        if is_answer:
            return self.messages < self.most_messages and self.bytes + size <= self.most_bytes
        return self.messages < self.most_messages_of_requests and self.bytes + size <= self.most_bytes_of_requests

    def add(self, amount: Amount) -> str:
        """Count what was used; return what to warn of, "" of nothing."""
        counts = self.quota.counts
        messages = size = 0
        if counts is not Counted.UPLINKS:
            messages, size = amount.down_messages, amount.down_bytes
        if counts is not Counted.DOWNLINKS:
            messages += amount.up_messages
            size += amount.up_bytes
        before = self.messages, self.bytes
        self.messages += messages
        self.bytes += size
        if self.messages < self.next_messages and self.bytes < self.next_bytes:
            return ""
        quota = self.quota
        self.next_messages = _next(quota, quota.messages, self.messages)
        self.next_bytes = _next(quota, quota.bytes, self.bytes)
        return quota.passed(before, (self.messages, self.bytes))


def _next(quota: Quota, limit: int | None, used: int) -> int:
    """Return the number used at which the next warning is due."""
    if limit is None or used > limit:
        return NO_LIMIT
    mark = quota.mark(limit)
    return mark if used < mark else limit + 1
