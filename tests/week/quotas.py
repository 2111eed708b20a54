"""The quotas of a week, and what was used of them, counted by what the emulated SCEF took and by Python's calendar."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tests.periods import label

GROUPS = ("", "", "metered", "", "", "pooled", "")
"""Groups of the UEs, one after the other; seven, so that each group has UEs of every kind."""

LATE = 60.0
"""Seconds that a message may be under way: what the SCEF takes so soon after midnight may count for the day before."""


class Taken(NamedTuple):
    """A downlink that the SCEF took: when (wall-clock seconds), for which UE, and how many bytes."""

    time: float
    ue: str
    size: int


@dataclass(frozen=True)
class Quota:
    """A quota of the configuration; those that are shared grow with the number of UEs."""

    name: str
    per: str
    group: str
    period: str
    messages: float | None = None
    bytes: float | None = None
    at_limit: str = "hold"

    def limits(self, ues: int) -> tuple[int | None, int | None]:
        """Return how many messages and bytes it allows in a fleet of that size."""
        by = 1 if self.per == "endpoint" else ues
        return tuple(None if each is None else max(1, round(each * by)) for each in (self.messages, self.bytes))  # type: ignore[return-value]

    def toml(self, ues: int) -> str:
        """Return its section of the configuration."""
        messages, size = self.limits(ues)
        lines = [f'[[quotas]]\nname = "{self.name}"\nnetwork = "nidd"\nper = "{self.per}"\nperiod = "{self.period}"']
        lines += [f'group = "{self.group}"'] if self.group else []
        lines += [f"messages = {messages}"] if messages is not None else []
        lines += [f"bytes = {size}"] if size is not None else []
        return "\n".join([*lines, f'at_limit = "{self.at_limit}"\n'])

    def usage(self, taken: Iterable[Taken]) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        """Return messages and bytes for each that has this quota and each period, without what may be late."""
        messages, sizes = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for one in taken:
            if self.group and self.group != _group(one.ue):
                continue
            when = label(self.period, one.time)
            if when == label(self.period, one.time - LATE):
                whose = one.ue if self.per == "endpoint" else "all"
                messages[whose, when] += 1
                sizes[whose, when] += one.size
        return messages, sizes


QUOTAS = (
    Quota("own-day", "endpoint", "metered", "day", messages=6, bytes=150),
    Quota("own-week", "endpoint", "metered", "week", messages=30),
    Quota("pool-hour", "group", "pooled", "hour", messages=0.04, at_limit="refuse"),
    Quota("all-day", "network", "", "day", messages=4.8, bytes=240),
)


def overruns(taken: list[Taken], ues: int) -> list[str]:
    """Return each quota that was exceeded, with by whom, when and how much was used."""
    found = []
    for quota in QUOTAS:
        for limit, used, unit in zip(quota.limits(ues), quota.usage(taken), ("messages", "bytes"), strict=True):
            if limit is not None:
                found += [
                    f"quota {quota.name} of {limit} {unit}: {whose} used {number} in {when}"
                    for (whose, when), number in used.items()
                    if number > limit
                ]
    return found


def most_used(taken: list[Taken], ues: int) -> list[str]:
    """Return a line for each quota: its limits, and the most that was used of it in one period."""
    return [f"quota {quota.name}, limits {quota.limits(ues)}: at most {_peaks(quota, taken)}" for quota in QUOTAS]


def unreached(taken: list[Taken], ues: int) -> list[str]:
    """Return each quota that never held anybody back: a week proves nothing of it."""
    found = []
    for quota in QUOTAS:
        limits, peaks = quota.limits(ues), _peaks(quota, taken)
        # Requests stop at 90 %, which leaves the rest to answers.
        if not any(limit is not None and peak >= 0.85 * limit for limit, peak in zip(limits, peaks, strict=True)):
            found.append(f"quota {quota.name} was never nearly used up: {peaks}")
    return found


def _peaks(quota: Quota, taken: list[Taken]) -> list[int]:
    """Return the most messages and the most bytes that were used in one period."""
    return [max(used.values(), default=0) for used in quota.usage(taken)]


def _group(ue: str) -> str:
    return GROUPS[int(ue.rpartition("-")[2]) % len(GROUPS)]
