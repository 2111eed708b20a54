"""Times of a peer, which may have another clock: converted by the peer's own Date headers.

T8 carries absolute times (RFC 3339): how long a configuration lasts, when a device can be reached again. Each is
relative to the peer's clock, as its `Date` header shows it (RFC 9110 §6.6.1), not to ours.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SHORTEST_WAIT = 1.0  # seconds; a time that has passed, or nearly so, is no time to wait for
LONGEST_WAIT = 86_400.0  # seconds; a later time counts as this
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # the years 1 to 9999, seconds since the epoch


class PeerClock:
    """An estimate of a peer's clock.

    `Date` counts whole seconds and is written somewhere between request and answer, so that each answer limits how far
    the peer's clock is ahead of ours. The limits get narrower from answer to answer; if they contradict each other,
    one of the clocks was set, and only the last answer counts.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` returns our wall-clock time, seconds since the epoch."""
        self.now = now
        self._least = self._most = 0.0
        self._known = False
        self._seen = ""

    @property
    def skew(self) -> float | None:
        """Return the seconds that the peer's clock is ahead of ours; None while it is unknown."""
        if not self._known:
            return None
        return 0.0 if self._least <= 0.0 <= self._most else (self._least + self._most) / 2

    def saw(self, date: str | None, began: float, ended: float) -> None:
        """Process the `Date` of an answer. `began` and `ended` are our times of request and answer."""
        if date is None or date == self._seen:
            return
        self._seen = date
        told = http_date(date)
        if told is None:
            return
        least, most = told - ended, told + 1.0 - began
        if self._known:
            narrow = max(least, self._least), min(most, self._most)
            if narrow[0] <= narrow[1]:
                least, most = narrow
        self._least, self._most, self._known = least, most, True

    def ours(self, text: str | None) -> float | None:
        """Return a peer's date-time on our clock; None if there is none or it is unreadable."""
        theirs = parse_time(text)
        return None if theirs is None else theirs - (self.skew or 0.0)

    def theirs(self, ours: float) -> str:
        """Return a time of our clock as the peer's date-time."""
        return format_time(ours + (self.skew or 0.0))

    def wait_until(self, text: str | None) -> float | None:
        """Return until when (our clock) a peer asks to wait by a date-time; None if there is no time to wait for."""
        return self._waited(self.ours(text))

    def wait_for(self, retry_after: str | None) -> float | None:
        """Return the same for a Retry-After header (RFC 9110 §10.2.3), which has seconds or a date."""
        text = (retry_after or "").strip()
        if text.isascii() and text.isdigit():
            return self._waited(self.now() + float(text[:9]))
        theirs = http_date(text)
        return None if theirs is None else self._waited(theirs - (self.skew or 0.0))

    def _waited(self, until: float | None) -> float | None:
        if until is None or until - self.now() < SHORTEST_WAIT:
            return None
        return min(until, self.now() + LONGEST_WAIT)


def http_date(text: str | None) -> float | None:
    """Return an HTTP-date (RFC 9110 §5.6.7) as seconds since the epoch; None if there is none or it is unreadable."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (TypeError, ValueError, OverflowError):
        return None


def parse_time(text: str | None) -> float | None:
    """Return an RFC 3339 date-time as seconds since the epoch; None if there is none or it is unreadable."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def format_time(seconds: float) -> str:
    """Return seconds since the epoch as an RFC 3339 date-time in UTC; one of year 1 or 9999 at most."""
    return datetime.fromtimestamp(int(min(max(seconds, _FIRST), _LAST)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
