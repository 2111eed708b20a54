"""Times in T8 bodies: RFC 3339 date-times (TS 29.571 DateTime)."""

from datetime import UTC, datetime


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
    """Return seconds since the epoch as an RFC 3339 date-time in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
