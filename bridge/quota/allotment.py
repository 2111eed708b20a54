"""Allotments: how several nodes share one quota, so that all of them together never exceed it.

The ledger has one budget for each shared quota and period. A node uses nothing that the ledger has not given it before.
What a node has and does not need, it returns within seconds. What a node has that dies is lost until the period
ends: nobody knows how much of it was used.

The ledger's clock says which period it is, so that a node whose clock is wrong uses no more than others. All here is
pure: `grant` is what a ledger answers, `bridge.quota.allotments` is what a node remembers.
"""

import msgspec

from bridge.quota.limits import Quota
from bridge.quota.pairs import NONE, Pair, added, larger, reduced, smaller
from bridge.quota.periods import DAY, end_of, start_of


class Claim(msgspec.Struct, frozen=True):
    """What a node used of a quota, and what it needs of it.

    A claim replaces what the node asked before. Until the answer comes, the node uses no more than it keeps; the rest
    of what it was given goes back.
    """

    key: str  # see `key_of`
    quota: Quota
    starts: int  # wall-clock second at which the period of `used` began; 0 if the node was given nothing yet
    used: Pair
    later: Pair  # used since that period ended for the node: such as uplinks, which nobody holds
    kept: Pair = NONE  # what requests may reach while the ledger has not answered; it was given to the node before
    kept_all: Pair = NONE  # the same of all messages
    requests: Pair = NONE  # of requests that wait
    least_request: int | None = None  # bytes of the smallest of them; None: none waits
    answers: Pair = NONE  # of answers to devices that wait
    least_answer: int | None = None
    further: Pair = NONE  # to have when the next messages come
    before: tuple[int, Pair] | None = None  # the start of a period, and what was used of it outside all allotments


class Grant(msgspec.Struct, frozen=True):
    """What a node may use of a quota in one period, with what it used already."""

    starts: int  # wall-clock second at which the period began
    left: float  # seconds until it ends, by the ledger's clock
    used: Pair  # by this node, as it said
    requests: Pair  # that this node's requests may reach
    all: Pair  # that all its messages may reach
    elsewhere: Pair  # used by other nodes, as they said last; all of an allotment whose node has died


class Budget(msgspec.Struct):
    """The budget of a quota as a ledger has it: the period that it is for, and what is given to other nodes."""

    starts: int
    before: Pair = NONE  # used outside all allotments
    given: Pair = NONE  # to others, with what they used of it
    used: Pair = NONE  # by others
    is_new: bool = False  # whether its period has just begun

    def begin(self, asked: Claim, wall: float) -> bool:
        """Begin the period of a wall time of the ledger, and record what was used before; return whether it changed.

        What was given in the former period is over then: `is_new` says so.
        """
        starts, before = period_at(asked.quota, wall, self.starts), self.before
        self.is_new = starts != self.starts
        if starts < self.starts:  # the ledger's clock was a day ahead or more: what was used in between is not known
            before = asked.quota.most(is_answer=True)
        elif self.is_new:
            before = NONE
        if asked.before is not None and asked.before[0] == starts:
            before = larger(before, asked.before[1])
        changes = (starts, before) != (self.starts, self.before)
        self.starts, self.before = starts, before
        return changes


def key_of(quota: Quota, group: str) -> str:
    """Return the name of a quota's budget; `group` is whose messages it counts, "" for all of the network.

    The name does not depend on the limits: these may change within a period.
    """
    return msgspec.json.encode((quota.name, quota.network, group, quota.period, quota.counts)).decode()


def period_at(quota: Quota, wall: float, former: int) -> int:
    """Return the start of the period that a budget is for at a wall time of the ledger; it was for `former` before.

    As with usage, a clock that was set back does not restart a period, unless it was more than a day ahead.
    """
    present = start_of(quota.period, wall)
    return former if present < former <= present + DAY else present


def grant(asked: Claim, budget: Budget, wall: float) -> Grant:
    """Return what a node may use, if nobody else is given anything of this budget meanwhile.

    What a node may use is at least what it used, since uplinks are never held, and what it keeps. Nothing beyond that
    is given to it unless all nodes together stay within the quota. Half of what is left after the messages that wait
    can be had in advance.
    """
    is_same = asked.starts == budget.starts
    used = added(asked.used, asked.later) if is_same else asked.later
    kept, kept_all = (asked.kept, asked.kept_all) if is_same else (NONE, NONE)
    gone = added(added(budget.before, budget.given), used)
    free = reduced(asked.quota.most(is_answer=False), gone)
    requests = _fitting(asked.requests, asked.least_request, free)
    left = reduced(free, requests)
    further = smaller(asked.further, (left[0] // 2, left[1] // 2))
    requests = added(requests, further)
    free = reduced(reduced(asked.quota.most(is_answer=True), gone), requests)
    answers = _fitting(asked.answers, asked.least_answer, free)
    return Grant(
        budget.starts,
        max(end_of(asked.quota.period, budget.starts) - wall, 0.0),
        used,
        larger(added(used, requests), kept),
        larger(added(added(used, requests), answers), kept_all),
        added(budget.before, budget.used),
    )


def used_before(quota: Quota, used: Pair, accounted: tuple[int, Pair], wall: float) -> tuple[int, Pair]:
    """Return `Claim.before` of a node that begins to know a quota at a wall time of the ledger.

    `used` is the usage of the period as the ledger's rows have it. `accounted` is what all nodes had said before to
    have used out of allotments, with the start of the period of that.
    """
    starts, of_allotments = accounted
    present = period_at(quota, wall, starts)
    return present, reduced(used, of_allotments if starts == present else NONE)


def _fitting(waiting: Pair, least: int | None, free: Pair) -> Pair:
    """Return what to give to messages that wait: nothing if not even the smallest fits, since others may use it."""
    if least is None or free[0] < 1 or free[1] < least:
        return NONE
    return smaller(waiting, free)
