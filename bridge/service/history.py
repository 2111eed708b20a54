"""Takes the counters once a minute, for those who ask what happened in the last hours."""

import asyncio
from collections.abc import Mapping

from bridge.metrics import Metrics
from bridge.operations.history import CALL, DURATION, OUTCOME, SUBMISSION
from bridge.operations.minutes import Key, Minutes
from bridge.service.clock import Clock

GRAIN = 60.0  # seconds


def counters(metrics: Metrics) -> Mapping[Key, float]:
    """Return the counters whose history is kept."""
    found: dict[Key, float] = {}
    for what, name, of, value in (
        (OUTCOME, "outcomes", "direction", "state"),
        (SUBMISSION, "submits", "network", "result"),
    ):
        for labels, number in metrics.series(name).items():
            named = dict(labels)
            if of in named and value in named:
                found[what, named[of], named[value]] = number
    for what, name, of in (
        (DURATION, "message_duration_seconds", "direction"),
        (CALL, "submit_duration_seconds", "network"),
    ):
        for labels, buckets in metrics.buckets(name).items():
            named = dict(labels)
            if of in named:
                found.update({(what, named[of], str(bound)): number for bound, number in buckets.items()})
    return found


async def sample_each_minute(minutes: Minutes, metrics: Metrics, clock: Clock) -> None:
    """Take the counters at the end of each minute, for ever."""
    while True:
        await asyncio.sleep(GRAIN - clock.wall() % GRAIN)
        minutes.note(clock.wall(), counters(metrics))
