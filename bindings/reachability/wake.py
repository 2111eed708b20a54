"""When a device listens again, from the timers of its power saving (TS 23.682 §4.5.4, §4.5.13). No I/O, no clock."""

from dataclasses import dataclass
from math import ceil

LONGEST_TIMER = 35_712_000.0  # seconds: 31 times 320 hours (TS 24.008 §10.5.7.4a)
SHORTEST_CYCLE = 1.0  # seconds; also of a periodic update


def plausible(seconds: float | None, least: float) -> float | None:
    """Return a reported timer, seconds; None if it is absent or impossible."""
    return seconds if seconds is not None and least <= seconds <= LONGEST_TIMER else None


@dataclass(frozen=True, slots=True)
class Sleep:
    """The network's report about a device that went idle. Times are wall-clock seconds, spans seconds."""

    idle_since: float
    active: float | None = None  # T3324: it listens this long, then sleeps (PSM)
    periodic: float | None = None  # T3412: it updates its tracking area after this time at the latest
    cycle: float | None = None  # eDRX: it listens once in each cycle
    is_reported: bool = True  # `idle_since`, by the network; else the device was heard then

    def wakes_at(self, now: float) -> float | None:
        """Return when it can be reached next, `now` if it can be now; None if unknown."""
        listens_until = None if self.active is None else self.idle_since + self.active
        if listens_until is not None and now >= listens_until:
            if self.periodic is None:
                return None
            rounds = max(1, ceil((now - self.idle_since) / self.periodic))
            return self.idle_since + rounds * self.periodic
        if not self.cycle:
            return now if listens_until is not None else None
        at = self.idle_since + ceil(max(0.0, now - self.idle_since) / self.cycle) * self.cycle
        if listens_until is not None and at > listens_until:
            return None if self.periodic is None else self.idle_since + self.periodic
        return at
