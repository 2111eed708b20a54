"""What several endpoints used together, by period."""

from collections.abc import Collection, Iterable
from math import inf

from bridge.quota.periods import DAY, Period, end_of, start_of
from bridge.quota.usage import Amount

_KEPT = 2  # earlier days and weeks that are kept: a clock may be set back
_SHORT = frozenset({Period.MINUTE, Period.HOUR})


class Tally:
    """What several endpoints used together, by period.

    Minutes and hours never go back, as in the rows: after a clock was set back, messages count for the
    later minute until it has passed, unless it is more than a day ahead. Days and weeks follow the clock.
    """

    __slots__ = ("_amounts", "_ends", "_present", "_since", "_starts")

    def __init__(self, periods: Iterable[Period] = Period) -> None:
        """`periods`: the lengths that are counted."""
        self._amounts: dict[Period, dict[int, Amount]] = {period: {} for period in periods}
        self._since: dict[Period, int] = {}  # the first second of which messages count in the latest minute and hour
        self._present: dict[Period, Amount] = {}  # where each length counts between these wall times
        self._starts = self._ends = 0.0

    def used(self, period: Period, wall: float) -> Amount:
        """Return what was used in the period that contains a wall time."""
        if self._starts <= wall < self._ends:
            return self._present[period]
        amounts = self._amounts[period]
        return amounts.get(_now(period, wall, amounts)) or Amount()

    def add(self, amount: Amount, wall: float) -> None:
        """Count an amount used at a wall time, in the periods of each length that contain it."""
        if not self._starts <= wall < self._ends:
            self._turn(wall)
        for present in self._present.values():
            present.add(amount)

    def _turn(self, wall: float) -> None:
        """Find where each length counts in the minute of a wall time."""
        self._present = {}
        for period, amounts in self._amounts.items():
            start = _now(period, wall, amounts)
            self._present[period] = self._counted_in(period, amounts, start)
            if period in _SHORT:
                self._since[period] = min(self._since[period], start_of(Period.MINUTE, wall))
            else:
                # Later ones stay: rows of a clock that was ahead count again when their day comes.
                for earlier in sorted(one for one in amounts if one < start)[:-_KEPT]:
                    del amounts[earlier]
        self._starts, self._ends = start_of(Period.MINUTE, wall), end_of(Period.MINUTE, wall)

    def take_off(self, amount: Amount, wall: float) -> None:
        """Undo the count of an amount at a wall time, where it was counted, if that is still kept."""
        self._correct(amount, wall, -1)

    def put_back(self, amount: Amount, wall: float) -> None:
        """Undo `take_off`."""
        self._correct(amount, wall, 1)

    def _correct(self, amount: Amount, wall: float, sign: int) -> None:
        for period, amounts in self._amounts.items():
            there = amounts.get(start_of(period, wall))
            if there is None and period in _SHORT and wall >= self._since.get(period, inf):
                (there,) = amounts.values()  # the clock was set back: it counted in a later minute or hour
            if there is not None:
                there.add(amount, sign)

    def load(self, period: Period, start: int, amount: Amount, now: float) -> None:
        """Count an amount that is stored of the period that began at a wall-clock second, earlier ones first.

        The present minute and hour, and later ones of a clock that was set back since, count together: as the later
        one, as `add` does it.
        """
        amounts = self._amounts.get(period)
        if amounts is None:
            return
        if period in _SHORT:
            present = start_of(period, now)
            if not present <= start <= present + DAY:
                return
            before = amounts.popitem()[1] if amounts and start not in amounts else None
            self._counted_in(period, amounts, start).add(before or Amount())
        self._counted_in(period, amounts, start).add(amount)

    def _counted_in(self, period: Period, amounts: dict[int, Amount], start: int) -> Amount:
        """Return what is counted in the period that begins at `start`, begun if it is not there."""
        there = amounts.get(start)
        if there is None:
            self._ends = 0.0  # what counts in a minute has to be found anew
            there = amounts[start] = Amount()
            if period in _SHORT:
                self._since[period] = start
                if len(amounts) > 1:
                    latest = max(amounts)
                    del amounts[latest if latest - start > DAY else min(amounts)]
        return there


def _now(period: Period, wall: float, known: Collection[int]) -> int:
    """Return the start of the period in which a message at a wall time is counted."""
    start = start_of(period, wall)
    if period in _SHORT:
        for one in known:
            if start < one <= start + DAY:
                return one
    return start
