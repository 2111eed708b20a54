"""A limit that a network never announced: how many messages it takes in how long, learned from what it refuses.

What is learned is a guess, and is treated as one: it only delays, more is tried from time to time, and it is forgotten
when nothing was refused for long. No I/O; all times are monotonic seconds.
"""

from math import inf

import msgspec

FIRST_PAUSE = 5.0  # seconds after a refusal that names no time; twice as long after each further one in a row
LONGEST_PAUSE = 3600.0  # seconds
LONGEST_WISH = 30 * 86_400.0  # seconds that a refusal may ask for
PERIODS = (
    1.0, 5.0, 15.0, 60.0, 180.0, 360.0, 900.0, 1800.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 86_400.0, 7 * 86_400.0,
)  # fmt: skip
"""Seconds that a limit may count over. 3GPP has 6 minutes (TS 24.301 §9.9.4.28), minute, hour, day and week (TS 24.008
§10.5.6.3.2). A limit of another length is held for the next longer one.
"""
MOMENT = 0.001  # seconds that are none: a wall clock has no finer times far from 1970
ASK_AGAIN = 1.0  # seconds until messages that are under way were taken or refused, about
MARKS = 128  # moments that are remembered; of more, neighbours count at the later one's time
PARTS = 60  # of a known period: there, only neighbours in the same part
LATELY, TOO_LONG = 4, 4  # times that a network refused; a period so many times as long is taken for too long
LONGEST_TRY = 86_400.0  # seconds between two tries for more, where the period is shorter than that


class PaceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a pace knows, to be kept over a restart. Times are seconds after the moment of the record."""

    first_refused: float
    last_refused: float
    begins: float
    ends: float
    pause_ends: float
    in_a_row: int = 0
    is_named: bool = False
    most: int = 0
    period: float = 0.0
    marks: list[tuple[float, int]] = []
    try_at: float = inf
    try_every: float = 0.0
    try_for: int = 0
    more: int = 0
    proven: int = 0
    lasted: list[float] = []


class Pace:
    """What one network, or one device of it, was seen to take and to refuse."""

    __slots__ = (
        "_begins",
        "_ends",
        "_in_a_row",
        "_is_named",
        "_lasted",
        "_marks",
        "_more",
        "_pause_ends",
        "_proven",
        "_try_at",
        "_try_every",
        "_try_for",
        "first_refused",
        "last_refused",
        "most",
        "period",
    )

    def __init__(self) -> None:
        self.most = 0  # messages in `period`, as far as is known; 0: nothing is
        self.period = 0.0  # seconds
        self.first_refused = inf  # when the network refused a message for this limit for the first time
        self.last_refused = -inf
        self._marks: list[tuple[float, int]] = []  # when how many messages were taken
        self._in_a_row = 0  # refusals since a message was taken
        self._begins = self._ends = -inf  # of these refusals, with the time that the latest one named
        self._is_named = False  # that time
        self._pause_ends = -inf
        self._try_at = inf  # from then on, `_try_for` messages may go in a period
        self._try_for = self._more = self._proven = 0
        self._try_every = 0.0
        self._lasted: list[float] = []  # seconds that the network refused messages, the latest times

    @classmethod
    def of(cls, record: PaceRecord, now: float) -> "Pace":
        """Return the pace of a record. `now` is the moment of the record on the present monotonic clock."""
        one = cls()
        one.most, one.period = record.most, record.period
        one.first_refused, one.last_refused = record.first_refused + now, record.last_refused + now
        one._marks = [(at + now, number) for at, number in record.marks]
        one._in_a_row, one._is_named = record.in_a_row, record.is_named
        one._begins, one._ends, one._pause_ends = record.begins + now, record.ends + now, record.pause_ends + now
        one._try_at, one._try_every = record.try_at + now, record.try_every
        one._try_for, one._more, one._proven = record.try_for, record.more, record.proven
        one._lasted = list(record.lasted)
        return one

    def record(self, now: float) -> PaceRecord:
        """Return what is known, with all times relative to `now`."""
        return PaceRecord(
            first_refused=self.first_refused - now,
            last_refused=self.last_refused - now,
            begins=self._begins - now,
            ends=self._ends - now,
            pause_ends=self._pause_ends - now,
            in_a_row=self._in_a_row,
            is_named=self._is_named,
            most=self.most,
            period=self.period,
            marks=[(at - now, number) for at, number in self._marks],
            try_at=self._try_at - now,
            try_every=self._try_every,
            try_for=self._try_for,
            more=self._more,
            proven=self._proven,
            lasted=list(self._lasted),
        )

    @property
    def is_refusing(self) -> bool:
        """Return whether the latest message was refused: then one is tried at a time."""
        return self._in_a_row > 0

    def wait(self, now: float, under_way: int = 0) -> float:
        """Return the seconds to wait before the next message; 0.0: it may go.

        `under_way`: messages of which is not known yet whether they are taken.
        """
        wait = self._wait(now, under_way)
        return wait if wait > MOMENT else 0.0

    def _wait(self, now: float, under_way: int) -> float:
        if now < self._pause_ends:
            return self._pause_ends - now
        if not self.most:
            return 0.0
        count = under_way + self._count_since(now - self.period)
        if count < (self._try_for if now >= self._try_at else self.most):
            return 0.0
        free_at = now + min(self.period, ASK_AGAIN)  # if all of them are under way
        for at, number in self._marks:
            if at > now - self.period:
                count -= number
                if count < self.most:
                    free_at = at + self.period
                    break
        if now < self._try_at < free_at:
            free_at = self._try_at
        return free_at - now

    def is_at_limit(self, now: float) -> bool:
        """Return whether a message that is refused now is refused for this limit, as far as is known."""
        return self.is_refusing or (self.most > 0 and self._count_since(now - self.period) >= self.most)

    def is_near_limit(self, now: float) -> bool:
        """Return whether a message that is refused now may be refused for this limit: half of it is used up."""
        return self.is_refusing or (self.most > 0 and self._count_since(now - self.period) * 2 >= self.most)

    def learn_anew(self) -> None:
        """Forget how much the network takes in how long, as far as was known: nothing kept to it."""
        self.most, self.period, self._proven, self._try_at = 0, 0.0, 0, inf

    def taken(self, now: float) -> None:
        """Record that the network took a message; in a pause, of a call that was under way when the pause began."""
        if self._in_a_row and now >= self._pause_ends:
            self._learn(now)
            self._in_a_row = 0
        self._marks.append((now, 1))
        if self.most and now >= self._try_at:
            self.most = max(self.most, self._count_since(now - self.period))
            if self.most >= self._try_for:
                proven = self._try_for - self._more  # nothing was refused since the try before
                self._try_again(now, self._try_every / 2)
                self._proven = proven

        if len(self._marks) > MARKS:
            self._thin_out()

    def _thin_out(self) -> None:
        """Join old marks; those of the known period only if they are many, and only within one part of it."""
        recent = self._marks[-PARTS:]
        if self.period and recent[0][0] > recent[-1][0] - self.period:
            self._marks = _joined(self._marks, self.period / PARTS)
        old = max(len(self._marks) - PARTS - 2, 0) // 2 * 2 if self.period else len(self._marks) // 2 * 2
        if len(self._marks) > MARKS - PARTS // 2:
            marks = self._marks
            self._marks = [_together(*marks[n : n + 2]) for n in range(0, old, 2)] + marks[old:]

    def refused(self, now: float, wish: float | None = None, longest_wish: float = LONGEST_WISH) -> None:
        """Record that the network refused a message for a limit; `wish`: the seconds that it asked to wait.

        Of a wish longer than `longest_wish`, so many seconds are kept to, or the pause for refusals in a row if that is
        longer. A call that was under way when the pause began is no further refusal in a row: all such calls count as
        one. The latest time that one of them names counts.
        """
        self.first_refused, self.last_refused = min(self.first_refused, now), now
        if now < self._pause_ends:
            self._in_a_row = max(self._in_a_row, 1)
            if wish is not None and now + min(wish, longest_wish) > self._pause_ends:
                self._ends = self._pause_ends = now + min(wish, longest_wish)
                self._is_named = True
            self._ends = max(self._ends, now)
            return
        if not self._in_a_row:
            self._begins = now
        pause = min(FIRST_PAUSE * 2 ** min(self._in_a_row, 20), LONGEST_PAUSE)
        self._ends, self._is_named = now, wish is not None and wish > 0
        if wish is not None and wish > 0:
            pause = wish if wish <= longest_wish else max(pause, longest_wish)
            self._ends = now + pause
        self._in_a_row += 1
        self._pause_ends = now + pause
        if self.most and self._in_a_row == 1:
            self._correct(now, self._count_since(now - self.period))

    def is_forgotten(self, now: float) -> bool:
        """Return whether so long nothing was refused that what is known says nothing any more."""
        return now > max(self._ends, self._pause_ends) + 4 * max(self._longest_try, LONGEST_PAUSE)

    @property
    def _longest_try(self) -> float:
        return max(self.period, min(32 * self.period, LONGEST_TRY))

    def _try_again(self, now: float, after: float) -> None:
        """Let some more messages go in a period than are known to be taken, from a later time on."""
        self._try_every = min(max(after, self.period), self._longest_try)
        self._try_at = now + self._try_every
        self._more = max(1, self.most // 8)
        self._try_for = self.most + self._more
        self._proven = self.most

    def _correct(self, now: float, count: int) -> None:
        """Correct the limit, since a message was refused after `count` others in the period."""
        if self.most > self._proven:  # windows of the network let a try for more pass that was beyond its limit
            self.most = self._proven
        elif now >= self._try_at:
            pass  # more was tried
        elif count >= self.most or not count:  # what is known was kept to: the limit counts over a longer period
            any(self._know(period, now) for period in PERIODS if period > self.period)
        else:
            self.most = count
        self._try_again(now, self._try_every * 4)

    def _learn(self, now: float) -> None:
        """Learn the limit, since the network takes messages again: it takes in a period what it took before it refused.

        The period is at least as long as the network refused, and not many times as long as it ever did lately.
        """
        lasted = self._ends - self._begins
        if not self._is_named:  # nobody knows how long it would have refused
            lasted = max(lasted, self.period)
        self._lasted = [*self._lasted[1 - LATELY :], lasted]
        longest = max(self._lasted)
        is_too_long = len(self._lasted) == LATELY and longest * TOO_LONG < self.period
        if self.most and longest <= self.period and not is_too_long:
            return
        for period in PERIODS:
            if period >= longest and self._know(period, self._begins):
                self._try_again(now, period)
                self._lasted = []
                return

    def _know(self, period: float, until: float) -> bool:
        """Take what was taken in the period that ended at a time for all that is; return whether it is any."""
        count = self._count_since(until - period)
        if count:
            self.period, self.most = period, count
        return count > 0

    def _count_since(self, since: float) -> int:
        count = 0
        for at, number in reversed(self._marks):
            if at <= since:
                break
            count += number
        return count


def _joined(marks: list[tuple[float, int]], part: float) -> list[tuple[float, int]]:
    """Return marks as one for each part of so many seconds, at the time of its last."""
    found: list[tuple[float, int]] = []
    for at, number in marks:
        if found and found[-1][0] // part == at // part:
            found[-1] = (at, found[-1][1] + number)
        else:
            found.append((at, number))
    return found


def _together(*marks: tuple[float, int]) -> tuple[float, int]:
    return marks[-1][0], sum(number for _, number in marks)
