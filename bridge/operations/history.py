"""The operation on what happened in the last hours."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from bridge.operations.bridge import Bridge
from bridge.operations.minutes import CounterChanges, Key
from bridge.operations.operation import Operation
from bridge.operations.types.history import GetHistory, History, HistoryPoint, Spread

OUTCOME, SUBMISSION, DURATION, CALL = "outcome", "submission", "duration", "call"
"""What the first part of a key says. The others: direction and state; network and result; direction, or network, and
the upper bound of a bucket."""


async def get_history(bridge: Bridge, asked: GetHistory) -> History:
    minutes, now = bridge.minutes(), bridge.now()
    points = tuple(_point(one) for one in minutes.since(now - asked.span, asked.step))
    return History(time=now, begun_at=minutes.begun_at, points=points)


def _point(changes: CounterChanges) -> HistoryPoint:
    outcomes: dict[str, dict[str, int]] = {"down": {}, "up": {}}
    submissions: dict[str, dict[str, int]] = {}
    buckets: dict[Key, dict[float, float]] = defaultdict(dict)
    for (what, of, value), number in changes.by.items():
        if what == OUTCOME:
            outcomes.setdefault(of, {})[value] = round(number)
        elif what == SUBMISSION:
            submissions.setdefault(of, {})[value] = round(number)
        else:
            buckets[what, of][float(value)] = number
    spreads = {key: spread(found) for key, found in buckets.items()}
    return HistoryPoint(
        at=changes.at,
        seconds=changes.seconds,
        downlinks=outcomes["down"],
        uplinks=outcomes["up"],
        submissions=submissions,
        durations={of: one for (what, of), one in spreads.items() if what == DURATION},
        calls={of: one for (what, of), one in spreads.items() if what == CALL},
    )


def spread(buckets: Mapping[float, float]) -> Spread:
    """Return what a histogram says: `buckets` has the number of values up to a bound and above the bound before."""
    count = round(sum(buckets.values()))
    bounds = sorted(buckets)
    return Spread(count=count, median=_quantile(buckets, bounds, 0.5), p95=_quantile(buckets, bounds, 0.95))


def _quantile(buckets: Mapping[float, float], bounds: Sequence[float], part: float) -> float | None:
    """Return the upper bound of the bucket that holds a quantile: the true value is certainly not larger."""
    wanted = part * sum(buckets.values())
    below = 0.0
    for bound in bounds:
        below += buckets[bound]
        if below >= wanted > 0:
            return None if math.isinf(bound) else bound
    return None


OPERATIONS = (Operation(GetHistory, get_history),)
