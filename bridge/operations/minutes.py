"""A day of counters, minute by minute: a bounded ring of what changed. A minute without traffic takes no memory."""

import math
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MINUTE = 60.0  # seconds
KEPT = 24 * 60  # minutes
SERIES = 2000  # counters whose changes are kept, at most
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Minute:
    end: float
    seconds: float  # that the counters were followed in it
    series: "array[int]"
    rises: "array[float]"


@dataclass(frozen=True, slots=True)
class CounterChanges:
    """By how much counters rose in a span of time that ended at `at`, or is under way until then."""

    at: float
    seconds: float  # that they were followed
    by: Mapping[Key, float]


class Minutes:
    """Holds by how much counters rose."""

    def __init__(self, at: float, counters: Mapping[Key, float]) -> None:
        """`counters`: as they are now, at wall time `at`."""
        self.begun_at = at
        self._at = at
        self._before = dict(counters)
        self._keys: list[Key] = []
        self._numbers: dict[Key, int] = {}
        self._ring: deque[_Minute] = deque(maxlen=KEPT)

    def note(self, at: float, counters: Mapping[Key, float]) -> None:
        """Take counters as they are now, as often as you like. Of those beyond SERIES nothing is kept."""
        rises: dict[int, float] = {}
        for key, value in counters.items():
            rise = value - self._before.get(key, 0.0)
            if rise > 0 and (number := self._number(key)) is not None:
                rises[number] = rise
        seconds = max(at - self._at, 0.0)
        self._at, self._before = at, dict(counters)
        if not rises:
            return
        end = math.ceil(at / MINUTE) * MINUTE
        if self._ring and self._ring[-1].end == end:
            same = self._ring.pop()
            seconds += same.seconds
            for number, rise in zip(same.series, same.rises, strict=True):
                rises[number] = rises.get(number, 0.0) + rise
        self._ring.append(_Minute(end, seconds, array("H", rises), array("d", rises.values())))

    def since(self, at: float, step: float) -> Iterator[CounterChanges]:
        """Yield what changed after wall time `at`, oldest first, put together to spans of `step` seconds."""
        found: dict[float, tuple[float, dict[Key, float]]] = {}
        for minute in self._ring:
            if minute.end <= at:
                continue
            end = math.ceil(minute.end / step) * step
            seconds, by = found.get(end, (0.0, {}))
            for number, rise in zip(minute.series, minute.rises, strict=True):
                key = self._keys[number]
                by[key] = by.get(key, 0.0) + rise
            found[end] = seconds + minute.seconds, by
        for end, (seconds, by) in sorted(found.items()):
            yield CounterChanges(end, seconds, by)

    def _number(self, key: Key) -> int | None:
        number = self._numbers.get(key)
        if number is None and len(self._keys) < SERIES:
            number = self._numbers[key] = len(self._keys)
            self._keys.append(key)
        return number
