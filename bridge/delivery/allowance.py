"""What delivery needs of quotas: may a message be sent now, and what it cost. `bridge.quota` has the counters."""

from typing import Protocol

import msgspec

from bridge.delivery.work import Work


class Hold(msgspec.Struct, frozen=True):
    """Why a message may not be sent now: a text, and the wall time at which to ask again."""

    why: str
    until: float


class Allowance(Protocol):
    """The quotas of one endpoint. Charges are among the changes of the step."""

    def hold(
        self, size: int, now: float, *, is_answer: bool, limited_until: float | None = None, limit: str = ""
    ) -> Hold | None:
        """Return why a message of `size` bytes may not be submitted at wall time `now`; None if it may.

        `limited_until`: the wall time until which the network itself does not allow the device any message; `limit`:
        what is known of that limit.
        """

    def charge(self, size: int, work: Work) -> float:
        """Count a message that is about to be submitted; return the wall time that `refund` has to be called with."""

    def refund(self, size: int, charged_at: float, work: Work) -> None:
        """Take off a charge, where it was counted: the network certainly did not accept the message.

        `charged_at` is what `charge` returned.
        """


class _Unlimited:
    def hold(
        self,
        _size: int,
        _now: float,
        *,
        is_answer: bool,  # noqa: ARG002  # as `Allowance` has it
        limited_until: float | None = None,  # noqa: ARG002
        limit: str = "",  # noqa: ARG002
    ) -> Hold | None:
        return None

    def charge(self, _size: int, work: Work) -> float:
        return work.now.wall

    def refund(self, _size: int, _charged_at: float, _work: Work) -> None: ...


UNLIMITED: Allowance = _Unlimited()
"""Counts nothing and holds nothing."""
