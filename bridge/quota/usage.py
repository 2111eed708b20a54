"""What one endpoint used of one network on one day: the row that all counting is based on.

The row changes in the same commit as the message that it counts, so that the count on the disk is exact, whatever
happens to the process. The row counts the day, and stores what the count was at the beginning of the latest hour and
minute in which anything was used. Hours and minutes never go back: after a clock was set back, messages count for the
later one until it has passed.
"""

from typing import ClassVar

import msgspec

from bridge.delivery.rows import Fixed, Row
from bridge.quota.periods import DAY, MINUTE, Period, day_of, monday_of

KEPT_DAYS = 400
"""How many days longer than messages usage is kept: people check bills with it."""


class Amount(msgspec.Struct, gc=False):
    """Messages and their payload bytes as the network carries them, down (to the device) and up."""

    down_messages: int = 0
    down_bytes: int = 0
    up_messages: int = 0
    up_bytes: int = 0

    def add(self, other: "Amount", sign: int = 1) -> None:
        """Add another amount, or with `sign` -1 subtract it; no count falls below zero."""
        self.down_messages = max(self.down_messages + sign * other.down_messages, 0)
        self.down_bytes = max(self.down_bytes + sign * other.down_bytes, 0)
        self.up_messages = max(self.up_messages + sign * other.up_messages, 0)
        self.up_bytes = max(self.up_bytes + sign * other.up_bytes, 0)


NOTHING = Amount()


class Usage(Row):
    """One endpoint, day, network and group.

    `hour` is 0 to 23, `minute` that of the day, 0 to 1439; fields that begin with them say what the day's count was
    when that hour or minute began.
    """

    TABLE: ClassVar[str] = "usage"
    KEY: ClassVar[tuple[str, ...]] = ("endpoint", "day", "network", "group")

    endpoint: int
    day: int
    network: str
    group: str
    shard: Fixed[int]
    down_messages: int = 0
    down_bytes: int = 0
    up_messages: int = 0
    up_bytes: int = 0
    hour: int = 0
    hour_down_messages: int = 0
    hour_down_bytes: int = 0
    hour_up_messages: int = 0
    hour_up_bytes: int = 0
    minute: int = 0
    minute_down_messages: int = 0
    minute_down_bytes: int = 0
    minute_up_messages: int = 0
    minute_up_bytes: int = 0

    def turn(self, wall: float) -> None:
        """Begin the minute, and perhaps the hour, of a wall time of this day. Call it before counting."""
        minute = self._minute(wall)
        if minute <= self.minute:
            return
        if minute // 60 > self.hour:
            self.hour = minute // 60
            self.hour_down_messages, self.hour_down_bytes = self.down_messages, self.down_bytes
            self.hour_up_messages, self.hour_up_bytes = self.up_messages, self.up_bytes
        self.minute = minute
        self.minute_down_messages, self.minute_down_bytes = self.down_messages, self.down_bytes
        self.minute_up_messages, self.minute_up_bytes = self.up_messages, self.up_bytes

    def add(self, amount: Amount, wall: float) -> None:
        """Count an amount that is used at a wall time of this day, or of an earlier one."""
        self.turn(wall)
        self.down_messages += amount.down_messages
        self.down_bytes += amount.down_bytes
        self.up_messages += amount.up_messages
        self.up_bytes += amount.up_bytes

    def counts_at(self, wall: float) -> float:
        """Return the wall time at which a message counts that is sent at `wall`: at the earliest the latest minute."""
        return max(wall, self.day * DAY + self.minute * MINUTE)

    def refund(self, size: int, wall: float) -> None:
        """Subtract one message to the device that the network did not accept; `wall` is when it counted."""
        minute = self._minute(wall)
        self.down_messages -= 1
        self.down_bytes -= size
        if minute // 60 != self.hour:  # it was not counted in the latest hour
            self.hour_down_messages -= 1
            self.hour_down_bytes -= size
        if minute != self.minute:
            self.minute_down_messages -= 1
            self.minute_down_bytes -= size

    def used(self, period: Period, wall: float) -> Amount:
        """Return what was used in the minute, hour or day of a wall time of this day, or of an earlier one."""
        down_messages, down_bytes, up_messages, up_bytes = (
            self.down_messages, self.down_bytes, self.up_messages, self.up_bytes,
        )  # fmt: skip
        if period is Period.DAY:
            return Amount(down_messages, down_bytes, up_messages, up_bytes)
        minute = self._minute(wall)
        if period is Period.HOUR:
            if minute // 60 > self.hour:
                return NOTHING
            return Amount(
                down_messages - self.hour_down_messages, down_bytes - self.hour_down_bytes,
                up_messages - self.hour_up_messages, up_bytes - self.hour_up_bytes,
            )  # fmt: skip
        if minute > self.minute:
            return NOTHING
        return Amount(
            down_messages - self.minute_down_messages, down_bytes - self.minute_down_bytes,
            up_messages - self.minute_up_messages, up_bytes - self.minute_up_bytes,
        )  # fmt: skip

    def _minute(self, wall: float) -> int:
        """Return the minute of this day that a wall time is in; 0 for a time of an earlier day."""
        return int(wall % DAY) // 60 if day_of(wall) >= self.day else 0


def needed_since(wall: float) -> int:
    """Return the first day of which the core needs the rows at a wall time: the Monday of its week."""
    return monday_of(day_of(wall))
