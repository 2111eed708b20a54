"""Progress of provisioning, and the remaining time: for status, and for the log while there is much to do."""

import logging
from collections import deque
from typing import Any

log = logging.getLogger(__name__)

_SPAN = 30.0  # seconds over which the rate is measured
_STEPS = 64  # counts kept of that span
_MANY = 100  # remaining devices from which on progress is logged...
_EVERY = 60.0  # ... once in this many seconds


class Progress:
    """Counts finished devices. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.total = 0  # done since the start
        self._counts: deque[tuple[float, int]] = deque([(0.0, 0)], maxlen=_STEPS)
        self._told_at: float | None = None

    def done(self, now: float) -> None:
        """Count one."""
        self.total += 1
        if now - self._counts[-1][0] >= _SPAN / _STEPS:
            self._counts.append((now, self.total))

    def rate(self, now: float) -> float:
        """Return the recent rate per second; 0 if there was none."""
        at, count = next((one for one in self._counts if now - one[0] <= _SPAN), self._counts[-1])
        return (self.total - count) / (now - at) if now - at >= 1.0 and now - at <= 2 * _SPAN else 0.0

    def seconds_left(self, remaining: int, now: float) -> float | None:
        """Return how long the rest takes at this rate; None if unknown."""
        rate = self.rate(now)
        return remaining / rate if rate else None

    def tell(self, remaining: int, now: float) -> None:
        """Log the progress from time to time, while there is much to do."""
        if self._told_at is None:
            if remaining >= _MANY:
                self._told_at = now
                log.info("provisioning: %d devices to do", remaining)
        elif not remaining:
            self._told_at = None
            log.info("provisioning: all devices are done")
        elif now - self._told_at >= _EVERY:
            self._told_at = now
            left = self.seconds_left(remaining, now)
            about = "" if left is None else f", about {_span(left)} left"
            log.info("provisioning: %d devices left, %.0f a second%s", remaining, self.rate(now), about)

    def status(self, remaining: int, now: float) -> dict[str, Any]:
        """Return the figures, as JSON values."""
        left = self.seconds_left(remaining, now) if remaining else None
        return {
            "done": self.total,
            "remaining": remaining,
            "per_second": round(self.rate(now), 1),
            "seconds_left": None if left is None else round(left),
        }


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:  # noqa: PLR2004  # below that, seconds say more
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004  # two hours
