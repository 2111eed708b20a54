"""One answer of a SCEF or NEF, or of whatever stands in front of it."""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body, and of the headers Location and Retry-After if they were given."""

    status: int
    body: bytes
    location: str | None = None
    retry_after: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004  # RFC 9110 §15.3

    def retry_seconds(self, now: float) -> float | None:
        """Return Retry-After (RFC 9110 §10.2.3), seconds or a date, as seconds from `now`; None if there is none."""
        text = (self.retry_after or "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - now) if text else None
        except (TypeError, ValueError, OverflowError):
            return None
