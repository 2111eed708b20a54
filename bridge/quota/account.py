"""The account of one endpoint: its usage rows of this week, and what its quotas say of a message (`Allowance`)."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from bridge.delivery.allowance import Hold
from bridge.delivery.effects import Count
from bridge.delivery.work import Work
from bridge.quota.limits import NO_LIMITS, AtLimit, Limits, Quota, used_up
from bridge.quota.meter import Meter
from bridge.quota.periods import Period, day_of, end_of, monday_of, spelled
from bridge.quota.usage import Amount, Usage


class Charge(msgspec.Struct, frozen=True):
    """What a step used at a wall time, or with `sign` -1 a refund of what the rows count at a wall time.

    `of`: the network and group that are charged; None: those of the endpoint in this step. `at`: the monotonic time at
    which it was charged, or what is refunded now was; None: not known any more.
    """

    wall: float
    amount: Amount
    sign: int = 1
    of: tuple[str, str] | None = None
    at: float | None = None


class Account:
    """What one endpoint used, and may use. Its rows change in the same step as the message that is charged."""

    __slots__ = (
        "_charged",
        "_endpoint",
        "_ends",
        "_group",
        "_metered_from",
        "_metered_until",
        "_meters",
        "_network",
        "_row",
        "_rows",
        "_shard",
        "_since",
        "_starts",
        "charges",
        "limits",
    )  # fmt: skip

    def __init__(
        self, endpoint: int, shard: int, network: str, group: str, rows: Iterable[Usage] = (), since: int | None = None
    ) -> None:
        """`rows` are all of the endpoint from the day `since` on, as `bridge.quota.usage.needed_since` names it."""
        self._endpoint = endpoint
        self._shard = shard
        self._network = network
        self._group = group
        self._rows = {(row.day, row.network, row.group): row for row in rows}
        self._since = since  # the first day whose rows are known
        self._row: Usage | None = None  # of the current minute, which begins and ends at these wall times
        self._starts = self._ends = 0.0
        # The last message to the device: the wall time that it counts at, who was charged, and when (monotonic).
        self._charged: tuple[float, str, str, float | None] = (0.0, network, group, None)
        self._meters: list[Meter] | None = None  # of the quotas of the endpoint's own; None: to be read from the rows
        self._metered_from = self._metered_until = 0.0  # wall times
        self.limits = NO_LIMITS
        self.charges: list[Charge] = []  # of this step; the caller clears them

    def place(self, network: str, group: str) -> None:
        """Set the network and group that are charged from now on."""
        self._network, self._group = network, group
        self._row = None
        self._meters = None

    def take_limits(self, limits: Limits) -> None:
        """Set the quotas that count from now on."""
        if limits is not self.limits:
            self.limits = limits
            self._meters = None

    # Asked by a step

    def hold(
        self, size: int, now: float, *, is_answer: bool, limited_until: float | None = None, limit: str = ""
    ) -> Hold | None:
        """Return why a message may not be submitted now: the quota whose period ends last."""
        found: Hold | None = None
        if limited_until is not None:
            why = f"{limit}; the next may go at" if limit else "the network's own limit is used up until"
            found = Hold(f"{why} {spelled(limited_until)}", limited_until)
        limits = self.limits
        if limits.own:
            for meter in self._metered(now):
                if not meter.allows(size, is_answer=is_answer):
                    found = _later(found, meter.quota, now)
        for _, shared in limits.shared:
            hold = shared.hold(self._endpoint, size, now, is_answer=is_answer)
            if hold is not None and (found is None or hold.until > found.until):
                found = hold
        return found

    def refusal(self, messages: int, size: int, now: float) -> Hold | None:
        """Return why no further request is accepted while `number` messages of `size` bytes in all wait already."""
        if not self.limits.refuses:
            return None
        for quota, used in self._used(now):
            if quota.at_limit is AtLimit.REFUSE and not quota.allows(used, messages, size, is_answer=False):
                until = end_of(quota.period, now)
                return used_up(quota, until, until)
        return None

    def charge(self, size: int, work: Work) -> float:
        """Count a message to the device; return the wall time that it counts at.

        That is a later time than now where the clock was set back over the end of a minute.
        """
        limits = self.limits
        if limits.own or limits.reports:
            self._spread(Amount(1, size, 0, 0), work)
        row = self._present(work)
        row.down_messages += 1
        row.down_bytes += size
        charged_at = row.counts_at(work.now.wall)
        self._charged = (charged_at, self._network, self._group, work.now.mono)
        return charged_at

    def heard(self, size: int, work: Work) -> None:
        """Count a message of the device."""
        if self.limits.counts_uplinks:
            self._spread(Amount(0, 0, 1, size), work)
        row = self._present(work)
        row.up_messages += 1
        row.up_bytes += size

    def refund(self, size: int, charged_at: float, work: Work) -> None:
        """Refund a message to the device, where it was counted: at the time that `charge` returned.

        The endpoint may have another network or group by now. If it is no longer known where the message was counted,
        it stays counted.
        """
        counts_at, network, group, at = self._charged
        if counts_at != charged_at:  # another message was charged since
            network, group, at = self._network, self._group, None
        row = self._rows.get((self._day(charged_at), network, group))
        if row is None or row.down_messages < 1 or row.down_bytes < size:
            return
        row.refund(size, charged_at)
        self._meters = None
        work.update(row)
        has_moved = (network, group) != (self._network, self._group)
        if self.limits.reports or has_moved:
            of = (network, group) if has_moved else None
            self.charges.append(Charge(charged_at, Amount(1, size, 0, 0), -1, of, at))

    # For people

    def used(self, period: Period, now: float) -> Amount:
        """Return the usage of the network in the period that contains wall time `now`, in all groups."""
        today = self._day(now)
        if period is Period.DAY and self._row is not None and len(self._rows) == 1 and self._row.day == today:
            return self._row.used(period, now)
        total = Amount()
        monday = monday_of(today)
        for (day, network, _), row in self._rows.items():
            if network != self._network:
                continue
            if period is Period.WEEK:
                if monday <= day < monday + 7:
                    total.add(row.used(Period.DAY, now))
            elif day == today:
                total.add(row.used(period, now))
        return total

    def standing(self, limits: Limits, now: float) -> list[tuple[Quota, Amount]]:
        """Return quotas with what was used of each in its current period."""
        self.take_limits(limits)
        return [(quota, replace(used)) for quota, used in self._used(now)]

    def _used(self, now: float) -> Iterable[tuple[Quota, Amount]]:
        for quota in self.limits.own:
            yield quota, self.used(quota.period, now)
        for quota, shared in self.limits.shared:
            yield quota, shared.used(quota.period, now)

    def _spread(self, amount: Amount, work: Work) -> None:
        """Report an amount to the caller, and warn if a quota of the endpoint itself is nearly used up.

        Call it before the amount is in the rows.
        """
        now = work.now.wall
        if self.limits.reports:
            self.charges.append(Charge(now, amount, at=work.now.mono))
        if self.limits.own:
            for meter in self._metered(now):
                text = meter.add(amount)
                if text:
                    work.effect(Count("quota_warnings", meter.quota.name, text))

    def _metered(self, now: float) -> list[Meter]:
        """Return how the quotas of the endpoint itself stand, in the periods that contain a wall time."""
        meters = self._meters
        if meters is None or not self._metered_from <= now < self._metered_until:
            meters = self._meters = [Meter.read(quota, self.used(quota.period, now), now) for quota in self.limits.own]
            self._metered_from = max(meter.starts for meter in meters)
            self._metered_until = min(meter.ends for meter in meters)
        return meters

    def _present(self, work: Work) -> Usage:
        """Return the row of this day, begun for this minute, as one of the step's changes."""
        now = work.now.wall
        row = self._row
        if row is None or not self._starts <= now < self._ends:
            row = self._turn(now, work)
        work.update(row)
        return row

    def _turn(self, now: float, work: Work) -> Usage:
        if self._since is None:
            self._since = monday_of(day_of(now))
        key = self._day(now), self._network, self._group
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = Usage(self._endpoint, *key, self._shard)
            work.insert(row)
            self._forget(key[0])
        row.turn(now)
        self._row, self._starts, self._ends = row, now, end_of(Period.MINUTE, now)
        return row

    def _day(self, wall: float) -> int:
        """Return the day that a wall time counts for: none before those whose rows are known."""
        day = day_of(wall)
        return day if self._since is None or day >= self._since else self._since

    def _forget(self, today: int) -> None:
        """Drop the rows of earlier weeks except the last one: a clock may be set back."""
        oldest = monday_of(today) - 7
        for key in [key for key in self._rows if key[0] < oldest]:
            del self._rows[key]
        if self._since is not None and self._since < oldest:
            self._since = oldest


def _later(found: Hold | None, quota: Quota, now: float) -> Hold | None:
    """Return the hold of a quota that is used up, where it lasts longer than one that was found."""
    if quota.at_limit is AtLimit.WARN:
        return found
    until = end_of(quota.period, now)
    return found if found is not None and until <= found.until else used_up(quota, until, until)
