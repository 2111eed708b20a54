"""What groups and networks used together: sums over the rows of their endpoints, kept in memory while the service runs.

Only the rows are durable. The sums are made from them at the start, and change with each step. If a commit fails, the
sums of its step are undone.
"""

from collections.abc import Collection, Iterable, Sequence
from math import inf

import msgspec
from msgspec.structs import replace

from bridge.quota.account import Charge
from bridge.quota.limits import AtLimit, Counted, Limits, Per, Quota
from bridge.quota.meter import Meter
from bridge.quota.periods import DAY, HOUR, MINUTE, Period, end_of, monday_of, start_of
from bridge.quota.usage import Amount, Usage

_KEPT = 2  # earlier days and weeks that are kept: a clock may be set back
_SHORT = frozenset({Period.MINUTE, Period.HOUR})

Whose = tuple[str, str]
"""Network and group; the group is "" for all of the network."""


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


def _when(row: Usage) -> tuple[int, int]:
    return row.day, row.minute


def _now(period: Period, wall: float, known: Collection[int]) -> int:
    """Return the start of the period in which a message at a wall time is counted."""
    start = start_of(period, wall)
    if period in _SHORT:
        for one in known:
            if start < one <= start + DAY:
                return one
    return start


class QuotaWarning(msgspec.Struct, frozen=True):
    """A quota of several endpoints that is nearly used up."""

    quota: str
    text: str


class _Step(msgspec.Struct, frozen=True):
    """What a step of an endpoint used."""

    network: str
    group: str
    charges: Sequence[Charge]


class SharedQuota:
    """A quota that endpoints share, and what they used of it."""

    __slots__ = ("_meter", "quota", "tally")

    def __init__(self, quota: Quota, tally: Tally) -> None:
        self.quota = quota
        self.tally = tally
        self._meter: Meter | None = None  # None: to be read from the sums

    def used(self, period: Period, wall: float) -> Amount:
        """Return what was used in the period that contains a wall time."""
        return self.tally.used(period, wall)

    def allows(self, size: int, wall: float, *, is_answer: bool) -> bool:
        """Return whether one message of `size` bytes fits into what is left at a wall time."""
        return self.meter(wall).allows(size, is_answer=is_answer)

    def meter(self, wall: float) -> Meter:
        """Return how the quota stands in the period that contains a wall time."""
        meter = self._meter
        if meter is None or not meter.starts <= wall < meter.ends:
            meter = self._meter = Meter.read(self.quota, self.tally.used(self.quota.period, wall), wall)
        return meter

    def forget(self) -> None:
        """Read the sums anew: something was taken off them."""
        self._meter = None


class SharedQuotas:
    """All quotas of a configuration, and what groups and networks used of them."""

    def __init__(self, quotas: Sequence[Quota] = ()) -> None:
        self.quotas = tuple(quotas)
        self._tallies: dict[Whose, Tally] = {}
        self._limits: dict[Whose, Limits] = {}
        self._shared: dict[tuple[str, Whose], SharedQuota] = {}  # by the quota's name
        self._sums: dict[Whose, tuple[list[SharedQuota], list[Tally]]] = {}  # that a message of an endpoint counts in
        self._recent: list[_Step] | None = None  # what was used since a change of the quotas began
        self._periods = frozenset(quota.period for quota in quotas if quota.per is not Per.ENDPOINT)

    @property
    def needs_sums(self) -> bool:
        """Whether any quota is shared: then the sums of this week are needed at the start."""
        return any(quota.per is not Per.ENDPOINT for quota in self.quotas)

    def limits(self, network: str, group: str) -> Limits:
        """Return the quotas of an endpoint on a network, in a group ("" for none)."""
        found = self._limits.get((network, group))
        if found is None:
            mine = [quota for quota in self.quotas if quota.concerns(network, group)]
            shared = tuple((quota, self._quota(quota, group)) for quota in mine if quota.per is not Per.ENDPOINT)
            changes = self._recent is not None
            found = self._limits[network, group] = Limits(
                tuple(quota for quota in mine if quota.per is Per.ENDPOINT),
                shared,
                any(quota.at_limit is AtLimit.REFUSE for quota in mine),
                changes or any(quota.counts is not Counted.DOWNLINKS for quota in mine),
                changes or bool(shared),
            )
        return found

    def begin_change(self) -> None:
        """Record from now on what steps use, so that `change` can add it to what was stored at this moment.

        The caller then sets the `limits` of every endpoint again.
        """
        self._recent = []
        self._limits.clear()

    def change(self, quotas: Sequence[Quota], rows: Iterable[Usage], now: float) -> None:
        """Put other quotas into force. `rows` are all of this week, as stored when `begin_change` was called.

        The caller then sets the `limits` of every endpoint again.
        """
        after = SharedQuotas(quotas)
        if after.needs_sums:
            after.load(rows, now)
            for one in self._recent or ():
                after.apply(one.network, one.group, one.charges)
        self.quotas, self._periods, self._recent = after.quotas, after._periods, None
        self._tallies, self._limits = after._tallies, after._limits
        self._shared, self._sums = after._shared, after._sums

    def abandon_change(self) -> None:
        """Keep the quotas that are in force; the caller then sets the `limits` of every endpoint again."""
        self._recent = None
        self._limits.clear()

    def load(self, rows: Iterable[Usage], now: float) -> None:
        """Take rows of this week, or sums of rows: one for each day, network, group, hour and minute.

        `now` is the wall time.
        """
        for row in sorted(rows, key=_when):
            day = row.day * DAY
            hour, minute = day + HOUR * row.hour, day + MINUTE * row.minute
            used = {
                (Period.DAY, day): row.used(Period.DAY, day),
                (Period.WEEK, monday_of(row.day) * DAY): row.used(Period.DAY, day),
                (Period.HOUR, hour): row.used(Period.HOUR, hour),
                (Period.MINUTE, minute): row.used(Period.MINUTE, minute),
            }
            for tally in self._of(row.network, row.group):
                for (period, start), amount in used.items():
                    tally.load(period, start, amount, now)
        for shared in self._shared.values():
            shared.forget()

    def apply(self, network: str, group: str, charges: Sequence[Charge]) -> list[QuotaWarning]:
        """Count what a step of an endpoint used; return what to warn of."""
        if self._recent is not None:
            self._recent.append(_Step(network, group, charges))
        found: list[QuotaWarning] = []
        for charge in charges:
            shared, tallies = self._sums_of(charge.of or (network, group))
            if charge.sign < 0:
                _take_off(charge, shared, tallies)
                continue
            meters = [one.meter(charge.wall) for one in shared]
            for tally in tallies:
                tally.add(charge.amount, charge.wall)
            for meter in meters:
                text = meter.add(charge.amount)
                if text:
                    found.append(QuotaWarning(meter.quota.name, text))
        return found

    def take_back(self, network: str, group: str, charges: Sequence[Charge]) -> None:
        """Take off what a step used whose commit failed. `charges` are the same object that `apply` took."""
        if self._recent is not None:
            self._recent = [one for one in self._recent if one.charges is not charges]
        for charge in charges:
            shared, tallies = self._sums_of(charge.of or (network, group))
            if charge.sign > 0:
                _take_off(charge, shared, tallies)
                continue
            for tally in tallies:
                tally.put_back(charge.amount, charge.wall)
            for one in shared:
                one.forget()

    def _sums_of(self, of: Whose) -> tuple[list[SharedQuota], list[Tally]]:
        found = self._sums.get(of)
        if found is None:
            shared = [
                self._quota(one, of[1]) for one in self.quotas if one.per is not Per.ENDPOINT and one.concerns(*of)
            ]
            found = self._sums[of] = shared, self._of(*of)
        return found

    def standing(self, wall: float) -> list[tuple[Quota, str, Amount | None]]:
        """Return every quota with each group that uses it, and what was used; None for a quota per endpoint.

        Groups that used nothing since Monday are left out.
        """
        found: list[tuple[Quota, str, Amount | None]] = []
        for quota in self.quotas:
            if quota.per is Per.ENDPOINT:
                found.append((quota, quota.group, None))
                continue
            groups = [quota.group]
            if quota.per is Per.GROUP and not quota.group:
                groups = sorted(group for network, group in self._tallies if network == quota.network and group)
            found += [(quota, one, replace(self._tally(quota, one).used(quota.period, wall))) for one in groups]
        return found

    def _quota(self, quota: Quota, group: str) -> SharedQuota:
        whose = quota.network, quota.group if quota.per is Per.NETWORK else group
        found = self._shared.get((quota.name, whose))
        if found is None:
            found = self._shared[quota.name, whose] = SharedQuota(quota, self._tally_of(whose))
        return found

    def _tally(self, quota: Quota, group: str) -> Tally:
        """Return the counter of a quota: a network quota for one group counts only that group."""
        whose = quota.network, quota.group if quota.per is Per.NETWORK else group
        return self._tally_of(whose)

    def _tally_of(self, whose: Whose) -> Tally:
        found = self._tallies.get(whose)
        if found is None:
            found = self._tallies[whose] = Tally(self._periods)
        return found

    def _of(self, network: str, group: str) -> list[Tally]:
        """Return the sums that a message of an endpoint counts in; none where no quota needs any."""
        if not self.needs_sums:
            return []
        found = [self._tally_of((network, ""))]
        if group:
            found.append(self._tally_of((network, group)))
        return found


def _take_off(charge: Charge, shared: Iterable[SharedQuota], tallies: Iterable[Tally]) -> None:
    for tally in tallies:
        tally.take_off(charge.amount, charge.wall)
    for one in shared:
        one.forget()
