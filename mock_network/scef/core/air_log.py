"""What really happened, line by line: the record that tests judge by."""

from collections import Counter, deque
from typing import Any

from mock_network.scef.core.effects import AirEntry

LENGTH = 200_000  # lines


class AirLog:
    """The latest lines, and how often each kind of line was written."""

    def __init__(self) -> None:
        self.lines: deque[AirEntry] = deque(maxlen=LENGTH)
        self.counts: Counter[str] = Counter()
        self._numbers = 0

    def write(self, now: float, ue: str, what: str, **detail: Any) -> int:
        """Write one line and return its number, from 1 on."""
        self._numbers += 1
        self.lines.append(AirEntry(self._numbers, now, ue, what, detail))
        self.counts[what] += 1
        return self._numbers
