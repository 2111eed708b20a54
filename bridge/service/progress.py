"""Progress of long work: shown by `status`, and logged now and then."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

LOG_EVERY = 10.0  # seconds


class Work:
    """One piece of work. `total` is 0 while it is unknown."""

    def __init__(self, name: str, total: int, now: Callable[[], float]) -> None:
        self.name = name
        self.total = total
        self.done = 0
        self._now = now
        self._logged_at = now()

    def __str__(self) -> str:
        """Return name and progress; a percentage if the total is known."""
        if not self.total:
            return f"{self.name} ({self.done} so far)" if self.done else self.name
        return f"{self.name}, {100 * self.done // self.total} % ({self.done} of {self.total})"

    def step(self, number: int = 1) -> None:
        """Add to the number of items that are done."""
        self.done += number
        now = self._now()
        if now - self._logged_at >= LOG_EVERY:
            self._logged_at = now
            log.info("%s", str(self))


class Progress:
    """All running work, in the order of its beginning. `now` returns monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._works: list[Work] = []

    def __iter__(self) -> Iterator[Work]:
        return iter(self._works)

    @contextmanager
    def work(self, name: str, total: int = 0) -> Iterator[Work]:
        """Show a piece of work for as long as the context lasts."""
        work = Work(name, total, self._now)
        self._works.append(work)
        try:
            yield work
        finally:
            self._works.remove(work)
