"""The calendar periods of quotas, by Python's own calendar."""

from datetime import UTC, datetime

_FORMS = {"minute": "%Y-%m-%d %H:%M", "hour": "%Y-%m-%d %H", "day": "%Y-%m-%d", "week": "%G-%V"}


def label(period: str, wall: float) -> str:
    """Return a name of the minute, hour, day or week (from Monday) in UTC that contains a wall-clock second."""
    return datetime.fromtimestamp(wall, UTC).strftime(_FORMS[period])
