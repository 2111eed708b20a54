"""What groups and networks used together: sums over the rows of their endpoints, kept in memory while the service runs.

Only the rows are durable. The sums are made from them at the start, and change with each step. If a commit fails, the
sums of its step are undone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from bridge.delivery.allowance import Hold
from bridge.quota.account import Charge
from bridge.quota.allotment import key_of
from bridge.quota.allotments import Allotment, Allotments
from bridge.quota.limits import AtLimit, Counted, Limits, Per, Quota, used_up
from bridge.quota.meter import Meter
from bridge.quota.pairs import Pair
from bridge.quota.periods import DAY, HOUR, MINUTE, Period, end_of, monday_of
from bridge.quota.tally import Tally
from bridge.quota.usage import Amount, Usage

Whose = tuple[str, str]
"""Network and group; the group is "" for all of the network."""

Accounted = tuple[Mapping[str, tuple[int, Pair]], float]
"""What all nodes said to have used of allotments, by key, with the start of the period; and the ledger's wall time."""


def _counts(quota: Quota, whose: Whose) -> bool:
    """Return whether these sums are what a shared quota counts."""
    network, group = whose
    if network != quota.network:
        return False
    if quota.per is Per.NETWORK:
        return group == quota.group
    return group == quota.group if quota.group else bool(group)


def _when(row: Usage) -> tuple[int, int]:
    return row.day, row.minute


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

    __slots__ = ("_meter", "allotment", "quota", "tally")

    def __init__(self, quota: Quota, tally: Tally, allotment: Allotment | None = None) -> None:
        """`allotment`: what this node has of it, if several nodes share it; then that counts, and not the tally."""
        self.quota = quota
        self.tally = tally
        self.allotment = allotment
        self._meter: Meter | None = None  # None: to be read from the sums

    @property
    def key(self) -> str:
        """Return the name of its budget in the ledger."""
        return "" if self.allotment is None else self.allotment.key

    def used(self, period: Period, wall: float) -> Amount:
        """Return what was used in the period that contains a wall time."""
        if self.allotment is None:
            return self.tally.used(period, wall)
        messages, size = self.allotment.used
        return Amount(0, 0, messages, size) if self.quota.counts is Counted.UPLINKS else Amount(messages, size)

    def hold(self, endpoint: int, size: int, wall: float, *, is_answer: bool) -> Hold | None:
        """Return why one message of `size` bytes to an endpoint may not be submitted at a wall time; None: it may."""
        if self.quota.at_limit is AtLimit.WARN:
            return None
        if self.allotment is not None:
            return self.allotment.hold(endpoint, size, wall, is_answer=is_answer)
        if self.meter(wall).allows(size, is_answer=is_answer):
            return None
        until = end_of(self.quota.period, wall)
        return used_up(self.quota, until, until)

    def spend(self, charge: Charge) -> str:
        """Count a charge in the allotment; return what to warn of, "" of nothing."""
        return "" if self.allotment is None else self.allotment.spend(self.quota.used(charge.amount))

    def correct(self, charge: Charge, sign: int) -> None:
        """Take a charge off the allotment (`sign` -1), or count it again."""
        if self.allotment is not None:
            self.allotment.correct(self.quota.used(charge.amount), charge.at, sign)

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

    def __init__(self, quotas: Sequence[Quota] = (), allotments: Allotments | None = None) -> None:
        """`allotments`: of this node, if several nodes share the ledger."""
        self.quotas = tuple(quotas)
        self.allotments = allotments
        self._tallies: dict[Whose, Tally] = {}
        self._limits: dict[Whose, Limits] = {}
        self._shared: dict[tuple[str, Whose], SharedQuota] = {}  # by the quota's name
        self._sums: dict[Whose, tuple[list[SharedQuota], list[Tally]]] = {}  # that a message of an endpoint counts in
        self._recent: list[_Step] | None = None  # what was used since a change of the quotas began
        self._periods = frozenset(quota.period for quota in quotas if quota.per is not Per.ENDPOINT)

    @property
    def needs_sums(self) -> bool:
        """Return whether any quota is shared: then the sums of this week are needed at the start."""
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

    def change(
        self, quotas: Sequence[Quota], rows: Iterable[Usage], now: float, accounted: Accounted | None = None
    ) -> None:
        """Put other quotas into force. `rows` are all of this week, as stored when `begin_change` was called.

        `accounted`: see `load`. The caller then sets the `limits` of every endpoint again.
        """
        after = SharedQuotas(quotas, self.allotments)
        if after.needs_sums:
            known = frozenset(one.key for one in self._shared.values())
            if self.allotments is not None:
                after._limit_again(self._shared)
            after.load(rows, now, accounted, known)
            for one in self._recent or ():
                after.apply(one.network, one.group, one.charges, known)
        self.quotas, self._periods, self._recent = after.quotas, after._periods, None
        self._tallies, self._limits = after._tallies, after._limits
        self._shared, self._sums = after._shared, after._sums

    def abandon_change(self) -> None:
        """Keep the quotas that are in force; the caller then sets the `limits` of every endpoint again."""
        self._recent = None
        self._limits.clear()

    def load(
        self,
        rows: Iterable[Usage],
        now: float,
        accounted: Accounted | None = None,
        known: Collection[str] = (),
    ) -> None:
        """Take rows of this week, or sums of rows: one for each day, network, group, hour and minute.

        `now` is the wall time. `accounted`: in a cluster, what all nodes had said before to have used of allotments.
        Quotas in `known` were in force here before.
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
        if accounted is not None:
            self._begin(accounted, known)

    def _begin(self, accounted: Accounted, known: Collection[str]) -> None:
        """Tell the allotments of quotas that are new here what was used before."""
        used, wall = accounted
        if self.allotments is None:
            return
        for quota in self.quotas:
            for whose in [*self._tallies] if quota.per is not Per.ENDPOINT else ():
                if _counts(quota, whose) and key_of(quota, whose[1]) not in known:
                    before = quota.used(self._tallies[whose].used(quota.period, wall))
                    self.allotments.begin(quota, whose[1], before, used, wall)

    def apply(
        self, network: str, group: str, charges: Sequence[Charge], known: Collection[str] = ()
    ) -> list[QuotaWarning]:
        """Count what a step of an endpoint used; return what to warn of. Allotments of `known` have it already."""
        if self._recent is not None:
            self._recent.append(_Step(network, group, charges))
        found: list[QuotaWarning] = []
        for charge in charges:
            shared, tallies = self._sums_of(charge.of or (network, group))
            if self.allotments is not None:
                found += _count_in_allotments(charge, [one for one in shared if one.key not in known])
            elif charge.sign < 0:
                _take_off(charge, shared, tallies)
            else:
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
            if self.allotments is not None:
                for one in shared:
                    one.correct(charge, -charge.sign)
                continue
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
            found += [(quota, one, replace(self._quota(quota, one).used(quota.period, wall))) for one in groups]
        return found

    def _quota(self, quota: Quota, group: str) -> SharedQuota:
        whose = quota.network, quota.group if quota.per is Per.NETWORK else group
        name = quota.name, whose
        found = self._shared.get(name)
        if found is None:
            allotment = None if self.allotments is None else self.allotments.of(quota, whose[1])
            found = self._shared[name] = SharedQuota(quota, self._tally_of(whose), allotment)
        return found

    def _limit_again(self, former: Iterable[tuple[str, Whose]]) -> None:
        """Set the limits of allotments that are there: they may differ now."""
        for name, whose in former:
            for quota in self.quotas:
                if quota.name == name and quota.per is not Per.ENDPOINT and _counts(quota, whose):
                    self._quota(quota, whose[1])

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


def _count_in_allotments(charge: Charge, shared: Iterable[SharedQuota]) -> Iterator[QuotaWarning]:
    for one in shared:
        if charge.sign < 0:
            one.correct(charge, -1)
        elif text := one.spend(charge):
            yield QuotaWarning(one.quota.name, text)


def _take_off(charge: Charge, shared: Iterable[SharedQuota], tallies: Iterable[Tally]) -> None:
    for tally in tallies:
        tally.take_off(charge.amount, charge.wall)
    for one in shared:
        one.forget()
