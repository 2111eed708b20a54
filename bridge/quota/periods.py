"""Calendar periods in UTC: a quota starts at zero in each. A week begins on Monday."""

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

MINUTE = 60
HOUR = 3600
DAY = 86400  # seconds; UTC has no other days in POSIX time
WEEK = 7 * DAY
_EPOCH = date(1970, 1, 1)
_MONDAY = 3  # the first day of POSIX time was a Thursday


class Period(StrEnum):
    """How long a quota lasts."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


_LENGTH = {Period.MINUTE: MINUTE, Period.HOUR: HOUR, Period.DAY: DAY, Period.WEEK: WEEK}


def day_of(wall: float) -> int:
    """Return the number of the day that a wall-clock time is in, counted from 1 January 1970."""
    return int(wall // DAY)


def monday_of(day: int) -> int:
    """Return the number of the day on which the week of a day began."""
    return day - (day + _MONDAY) % 7


def start_of(period: Period, wall: float) -> int:
    """Return the wall-clock second at which the period that contains `wall` began."""
    if period is Period.WEEK:
        return monday_of(day_of(wall)) * DAY
    length = _LENGTH[period]
    return int(wall // length) * length


def end_of(period: Period, wall: float) -> int:
    """Return the wall-clock second at which the next period begins."""
    return start_of(period, wall) + _LENGTH[period]


def date_of(day: int) -> date:
    """Return the date of a day's number."""
    return _EPOCH + timedelta(days=day)


def number_of(day: date) -> int:
    """Return the number of a date."""
    return (day - _EPOCH).days


def spelled(wall: float) -> str:
    """Return a wall-clock time for people and logs, to the second, in UTC."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
