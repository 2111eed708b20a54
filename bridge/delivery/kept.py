"""Rows that have their outcome and are still needed for a while, oldest first."""

from typing import TypeVar

from bridge.delivery.ledger import Downlink, DownlinkState, Uplink
from bridge.delivery.rows import FOREVER
from bridge.enums import members

_S = members(DownlinkState)

R = TypeVar("R", Downlink, Uplink)


class KeptRows(dict[int, R]):
    """Rows by id, in the order in which they were kept. `keep` is the only way in."""

    __slots__ = ("soonest",)

    def __init__(self) -> None:
        super().__init__()
        self.soonest = FOREVER  # no row's keep_until is earlier

    def keep(self, row: R) -> None:
        """Take a row until its `keep_until`."""
        self[row.id] = row
        if row.keep_until < self.soonest:
            self.soonest = row.keep_until

    def forget(self, now: float, most: int) -> list[R]:
        """Drop the oldest beyond `most`, and what is needed no more at wall time `now`; give the rows dropped.

        A request that was answered goes before one whose answer may still come: that one's token is not free (R1). Of
        those answered, what does the same thing twice goes first: a late retransmission of it would do no harm (R4).
        """
        dropped: list[R] = []
        while len(self) > most:
            dropped.append(self.pop(self._least_needed()))
        if self.soonest <= now:
            over = [row for row in self.values() if row.keep_until <= now]
            for row in over:
                del self[row.id]
            dropped += over
            self.soonest = min((row.keep_until for row in self.values()), default=FOREVER)
        return dropped

    def _least_needed(self) -> int:
        answered: int | None = None
        for row in self.values():
            if not isinstance(row, Downlink):
                return row.id
            if row.state is _S.RESPONDED:
                if row.repeatable:
                    return row.id
                answered = row.id if answered is None else answered
        return next(iter(self)) if answered is None else answered
