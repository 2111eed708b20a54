"""What the life of a downlink needs of quotas: may it go now, and what it cost. `bridge.quota` keeps the counters."""

from typing import Protocol

import msgspec

from bridge.delivery.work import Work


class Hold(msgspec.Struct, frozen=True):
    """Why a message may not go now: the words for it, and the wall time at which to ask again."""

    why: str
    until: float


class Allowance(Protocol):
    """The quotas of one endpoint. What is charged is part of the step's changes."""

    def hold(self, size: int, now: float, *, is_answer: bool, limited_until: float | None = None) -> Hold | None:
        """Return why a message of `size` bytes may not be submitted at wall time `now`; None: it may.

        `limited_until`: the wall time before which the network itself allows the device nothing.
        """

    def charge(self, size: int, work: Work) -> None:
        """Count a message that is about to be submitted."""

    def refund(self, size: int, charged_at: float, work: Work) -> None:
        """Take back what was charged at a wall time: the network certainly did not take the message."""


class _Unlimited:
    def hold(self, _size: int, _now: float, *, is_answer: bool, limited_until: float | None = None) -> Hold | None:  # noqa: ARG002  # as `Allowance` has it
        return None

    def charge(self, _size: int, _work: Work) -> None: ...

    def refund(self, _size: int, _charged_at: float, _work: Work) -> None: ...


UNLIMITED: Allowance = _Unlimited()
"""Counts nothing and holds nothing."""
