"""Quotas as configured, and whether a message fits into the rest of one."""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, floor
from typing import Protocol

from bridge.delivery.allowance import Hold
from bridge.quota.periods import Period, spelled
from bridge.quota.usage import Amount


class Per(StrEnum):
    """Whose messages share one quota."""

    ENDPOINT = "endpoint"
    GROUP = "group"
    NETWORK = "network"


class Counted(StrEnum):
    DOWNLINKS = "downlinks"
    UPLINKS = "uplinks"
    BOTH = "both"


class AtLimit(StrEnum):
    HOLD = "hold"  # messages wait for the next period
    REFUSE = "refuse"  # a server is answered 5.03; what was accepted before waits
    WARN = "warn"  # nothing is held


@dataclass(frozen=True, slots=True)
class Quota:
    """What may be used of one network in each period. None: without limit. `name` is for logs and explanations."""

    name: str
    network: str
    per: Per
    period: Period
    messages: int | None = None
    bytes: int | None = None
    group: str = ""  # only for endpoints of this group; "": for all, or with `Per.GROUP` for each group
    counts: Counted = Counted.DOWNLINKS
    at_limit: AtLimit = AtLimit.HOLD
    reserve: float = 0.1  # part that is reserved for answers to devices
    warn_at: float = 0.8  # part at which a warning is logged

    def concerns(self, network: str, group: str) -> bool:
        """Return whether messages of an endpoint on a network, in a group, count."""
        if network != self.network:
            return False
        if self.per is Per.GROUP and not group:
            return False
        return not self.group or self.group == group

    def used(self, amount: Amount) -> tuple[int, int]:
        """Return the messages and bytes of an amount that count."""
        if self.counts is Counted.DOWNLINKS:
            return amount.down_messages, amount.down_bytes
        if self.counts is Counted.UPLINKS:
            return amount.up_messages, amount.up_bytes
        return amount.down_messages + amount.up_messages, amount.down_bytes + amount.up_bytes

    def allows(self, amount: Amount, messages: int, size: int, *, is_answer: bool) -> bool:
        """Return whether `number` messages of `size` bytes in all fit into what `amount` leaves."""
        used_messages, used_bytes = self.used(amount)
        part = 1.0 if is_answer else 1.0 - self.reserve
        if self.messages is not None and used_messages + messages > floor(self.messages * part + ROUNDING):
            return False
        return self.bytes is None or used_bytes + size <= floor(self.bytes * part + ROUNDING)

    def most(self, *, is_answer: bool) -> tuple[int, int]:
        """Return the messages and bytes that may be used in a period; requests leave the reserve."""
        part = 1.0 if is_answer else 1.0 - self.reserve
        messages = NO_LIMIT if self.messages is None else floor(self.messages * part + ROUNDING)
        return messages, NO_LIMIT if self.bytes is None else floor(self.bytes * part + ROUNDING)

    def left(self, amount: Amount) -> tuple[int | None, int | None]:
        """Return the messages and bytes that requests may still use; None: without limit."""
        used_messages, used_bytes = self.used(amount)
        part = 1.0 - self.reserve
        return (
            None if self.messages is None else max(floor(self.messages * part + ROUNDING) - used_messages, 0),
            None if self.bytes is None else max(floor(self.bytes * part + ROUNDING) - used_bytes, 0),
        )

    def mark(self, limit: int) -> int:
        """Return the number used at which a warning is due, before the limit is reached."""
        return ceil(limit * self.warn_at - ROUNDING)

    def passed(self, before: tuple[int, int], after: tuple[int, int]) -> str:
        """Return what to warn of when messages and bytes used grow from one pair to another; "" if of nothing."""
        (messages_before, bytes_before), (messages, size) = before, after
        for limit, was, now, unit in (
            (self.messages, messages_before, messages, "messages"),
            (self.bytes, bytes_before, size, "bytes"),
        ):
            if limit is None:
                continue
            if was <= limit < now:
                return f"quota {self.name}: {now} {unit} in this {self.period}, {limit} are allowed"
            if was < self.mark(limit) <= now:
                return f"quota {self.name}: {now} of {limit} {unit} in this {self.period}"
        return ""


ROUNDING = 1e-9  # 0.9 of 10 is 9, in spite of binary fractions
NO_LIMIT = 1 << 62  # more messages, or bytes, than there are in any period


class SharedUsage(Protocol):
    """What many endpoints used together."""

    def used(self, period: Period, wall: float) -> Amount:
        """Return what was used in the period that contains a wall time."""

    def hold(self, endpoint: int, size: int, wall: float, *, is_answer: bool) -> Hold | None:
        """Return why one message of `size` bytes to an endpoint may not be submitted at a wall time; None: it may."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The quotas of one endpoint: its own, and those shared with others, with what the others used."""

    own: tuple[Quota, ...] = ()
    shared: tuple[tuple[Quota, SharedUsage], ...] = ()
    refuses: bool = False  # some of them refuse new requests
    counts_uplinks: bool = False  # some of them count what the device sends, or it is reported
    reports: bool = False  # what is used is reported to the caller of the step (`Charge`)


NO_LIMITS = Limits()


def used_up(quota: Quota, ends: int, until: float) -> Hold:
    """Return the hold of a quota that is used up: `ends` is the end of its period, `until` by the own clock."""
    return Hold(f"quota {quota.name} is used up until {spelled(ends)}", until)
