"""What one node remembers of the quotas that it shares with others: its allotments, and messages that wait for one.

The caller passes what `Allotments.due` returns to the ledger, at once when `wanted` was called and otherwise every
second, and hands the answer to `apply_grants`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from bridge.delivery.allowance import Hold
from bridge.quota.allotment import Claim, Grant, key_of, used_before
from bridge.quota.limits import AtLimit, Quota, used_up
from bridge.quota.pairs import NONE, Pair, added, fits, larger, reduced, smaller
from bridge.quota.periods import end_of

WAIT = 5.0  # seconds after which a message that waits for an allotment asks by itself; mostly it is woken before
KEPT = 1.0  # seconds that what was given is kept unused: the message that it is for may wait for another quota, too
EDGE = 0.01  # seconds after the end of a period: wall times are too large to tell moments that are closer together
ANEW = 10.0  # seconds after which what other nodes used is read again, also where nothing is used here
READ_AT_ONCE = 50  # budgets that are only read, in one request


class Allotment:
    """What this node has of one quota. Times are of the monotonic clock `now`, but for those that are called `wall`."""

    def __init__(self, quota: Quota, group: str, now: Callable[[], float], wanted: Callable[[], None]) -> None:
        self.key = key_of(quota, group)
        self.quota = quota
        self.before: tuple[int, Pair] | None = None  # `Claim.before`, until the ledger has it
        self._now = now
        self._wanted = wanted
        self._starts = 0  # wall-clock second at which the period began, by the ledger's clock
        self._since = now()  # what was charged from then on is in `_used` or `_later`
        self._ends = 0.0  # when the period is over for this node: not later than for the ledger
        self._used = self._later = NONE
        self._requests = self._all = NONE  # what `_used` may reach
        self._elsewhere = NONE
        self._asked_at = -ANEW
        self._grown_at = -KEPT
        self._used_when_asked = NONE
        self._waiting: dict[int, tuple[int, bool]] = {}  # endpoint → bytes of its next message, whether it is an answer
        self._is_short = False  # not all that waited fitted into what the ledger had left
        self._changed = True

    @property
    def is_current(self) -> bool:
        """Return whether the period of the ledger's latest answer goes on."""
        return self._now() < self._ends

    @property
    def here(self) -> Pair:
        """Return what this node used in the present period."""
        return added(self._used, self._later) if self.is_current else self._later

    @property
    def used(self) -> Pair:
        """Return what all nodes used in the present period, as this one knows."""
        return added(self.here, self._elsewhere) if self.is_current else self._later

    def limit(self, quota: Quota) -> None:
        """Set other limits: what was given under the former ones is given back."""
        if quota != self.quota:
            self.quota = quota
            self._requests = self._all = self._used
            self._is_short = False
            self._changed = True

    def hold(self, endpoint: int, size: int, wall: float, *, is_answer: bool) -> Hold | None:
        """Return why a message of `size` bytes may not be submitted; None if it may.

        A message that may not has the ledger asked, and its endpoint is woken when something was given.
        """
        most = self._all if is_answer else self._requests
        if self.is_current and self._used[0] < most[0] and self._used[1] + size <= most[1]:
            self._waiting.pop(endpoint, None)
            return None
        if self.is_current and self._is_used_up(size, is_answer=is_answer):
            self._waiting.pop(endpoint, None)
            until = wall + self._ends - self._now() + EDGE
            return used_up(self.quota, end_of(self.quota.period, self._starts), until)
        self._waiting[endpoint] = size, is_answer
        if not (self._is_short and self.is_current):  # else the ledger is asked every second
            self._wanted()
        return Hold(f"quota {self.quota.name}: this node waits for an allotment of it", wall + WAIT)

    def _is_used_up(self, size: int, *, is_answer: bool) -> bool:
        """Return whether a message would not fit even if other nodes returned all that they have not used."""
        most = self.quota.most(is_answer=is_answer)
        return not fits(added(self.used, (1, size)), most)

    def spend(self, used: Pair) -> str:
        """Count messages and bytes; return what to warn of, "" of nothing."""
        before = self.used
        if self.is_current:
            self._used = added(self._used, used)
        else:
            self._later = added(self._later, used)
        self._changed = True
        return self.quota.passed(before, added(before, used))

    def correct(self, used: Pair, at: float | None, sign: int) -> None:
        """Take off (`sign` -1) or count again what was charged at a monotonic time, if that is in this period."""
        if at is not None and at >= self._since:
            self._used = self._used[0] + sign * used[0], self._used[1] + sign * used[1]
            self._changed = True

    def ask(self, *, leaves: bool = False) -> Claim:
        """Return what to ask the ledger. From now on only what it keeps is used, until `take`.

        `leaves`: this node stops, and returns everything.
        """
        if leaves:
            self._waiting.clear()
            self._used_when_asked = self._used
        waiting = [*self._waiting.values()]
        requests = [size for size, is_answer in waiting if not is_answer]
        answers = [size for size, is_answer in waiting if is_answer]
        # What was used since the last request is used again until the next one; twice that, so that it need not wait.
        recent = reduced(self._used, self._used_when_asked)
        if leaves or self._now() - self._grown_at >= KEPT:
            wish = added(added(self._used, recent), recent)
            self._requests = larger(smaller(self._requests, wish), self._used)
            self._all = larger(smaller(self._all, wish), self._used)
        self._used_when_asked = self._used
        self._asked_at = self._now()
        self._changed = False
        return Claim(
            self.key,
            self.quota,
            self._starts,
            self._used,
            self._later,
            self._requests,
            self._all,
            (len(requests), sum(requests)),
            min(requests, default=None),
            (len(answers), sum(answers)),
            min(answers, default=None),
            added(recent, recent) if self.quota.at_limit is not AtLimit.WARN else NONE,
            self.before,
        )

    def apply_grant(self, asked: Claim, answer: Grant) -> str:
        """Use what the ledger gave; return what to warn of, "" of nothing."""
        before = self.used
        if answer.starts != self._starts:
            if self._starts:
                self._since = min(self._ends, self._now())
            self._starts, self._used, self._later = answer.starts, self._later, NONE
            self._used_when_asked = NONE
        else:  # also if the period was over for this node, but not for the ledger
            self._used, self._later = added(self._used, self._later), NONE
        is_first = answer.starts != asked.starts
        self._ends = self._asked_at + answer.left
        self._elsewhere = answer.elsewhere
        if is_first or not fits(answer.all, self._all):
            self._grown_at = self._now()
        self._requests, self._all = answer.requests, answer.all
        if asked.quota != self.quota:
            self._requests = self._all = self._used
        self.before = None
        self._is_short = not fits(added(asked.requests, asked.answers), reduced(answer.all, answer.used))
        self._changed = self._changed or answer.all != answer.used
        return "" if is_first else self.quota.passed(before, self.used)

    def woken(self) -> list[int]:
        """Return the endpoints whose messages fit into what is there now, and those that learn that it is used up."""
        left, left_all = reduced(self._requests, self._used), reduced(self._all, self._used)
        found = []
        for endpoint, (size, is_answer) in self._waiting.items():
            there = left_all if is_answer else left
            if there[0] >= 1 and there[1] >= size:
                left, left_all = reduced(left, (1, size)), reduced(left_all, (1, size))
                found.append(endpoint)
        for endpoint in found:
            del self._waiting[endpoint]
        return found

    def is_due(self, *, only_read: bool) -> bool:
        """Return whether the ledger should be asked now; `only_read`: to know what other nodes used."""
        if only_read:
            return self._now() - self._asked_at >= ANEW
        return self._changed or bool(self._waiting) or not (self.is_current or self._all == self._used)


class Allotments:
    """All allotments of one node, by key. `now` returns monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._known: dict[str, Allotment] = {}
        self._before: dict[str, tuple[int, Pair]] = {}
        self.wanted: Callable[[], None] = lambda: None  # is called when the ledger should be asked at once

    def of(self, quota: Quota, group: str) -> Allotment:
        """Return the allotment of a quota for a group."""
        key = key_of(quota, group)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Allotment(quota, group, self._now, self._want)
            found.before = self._before.pop(key, None)
        else:
            found.limit(quota)
        return found

    def begin(
        self,
        quota: Quota,
        group: str,
        used: Pair,
        accounted: Mapping[str, tuple[int, Pair]],
        wall: float,
    ) -> None:
        """Record what was used of a quota before this node knew it: see `used_before`."""
        key = key_of(quota, group)
        before = used_before(quota, used, accounted.get(key, (0, NONE)), wall)
        there = self._known.get(key)
        if there is None:
            self._before[key] = before
        else:
            there.before = before

    def due(self, *, leaves: bool = False) -> list[Claim]:
        """Return what to ask the ledger now. `leaves`: this node stops, and returns everything."""
        if leaves:
            return [one.ask(leaves=True) for one in self._known.values()]
        due: list[Allotment] = []
        read: list[Allotment] = []
        for one in self._known.values():
            if one.is_due(only_read=False):
                due.append(one)
            elif one.is_due(only_read=True):
                read.append(one)
        return [one.ask() for one in (*due, *read[:READ_AT_ONCE])]

    def apply_grants(self, asked: Sequence[Claim], answers: Iterable[Grant]) -> tuple[list[tuple[str, str]], list[int]]:
        """Use the ledger's answers.

        Return warnings, as the quota's name and a text, and endpoints whose messages can go now.
        """
        warnings, woken = [], []
        for one, answer in zip(asked, answers, strict=True):
            allotment = self._known[one.key]
            text = allotment.apply_grant(one, answer)
            if text:
                warnings.append((allotment.quota.name, text))
            woken += allotment.woken()
        return warnings, woken

    def _want(self) -> None:
        self.wanted()
