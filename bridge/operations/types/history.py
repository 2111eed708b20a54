"""What happened in the last hours, minute by minute: outcomes, network calls, and how long both took."""

from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.operations.types.request import Access, Request, Result

HOUR = 3600
DAY = 24 * HOUR


class Spread(Result, frozen=True, kw_only=True):
    """How long something took, in seconds: bounds of a histogram's buckets. Null: longer than the last bound."""

    count: int
    median: float | None  # half of them took no longer
    p95: float | None  # 95 of 100 took no longer


class HistoryPoint(Result, frozen=True, kw_only=True):
    """One span of time."""

    at: float  # when it ended, or will end
    seconds: float  # how long the counters were followed in it
    downlinks: dict[str, int]  # messages to devices that reached their outcome, by outcome
    uplinks: dict[str, int]  # messages from devices, likewise
    submissions: dict[str, dict[str, int]]  # by network and what it answered
    durations: dict[str, Spread]  # from accepting or receiving a message to its outcome; by direction, down or up
    calls: dict[str, Spread]  # that a network took to answer a submission; by network


class History(Result, frozen=True, kw_only=True):
    """Spans of time in which something happened, oldest first; between them nothing did."""

    time: float  # now
    begun_at: float  # nothing is known from before
    points: tuple[HistoryPoint, ...]


class GetHistory(Request[History], frozen=True, kw_only=True):
    """Say what happened in the last hours.

    The history is kept in memory for a day, from the start of the service on.
    """

    NAME: ClassVar[str] = "history"
    ACCESS: ClassVar[Access] = Access.READ

    span: Annotated[int, Meta(ge=60, le=DAY, description="seconds back from now")] = HOUR
    step: Annotated[int, Meta(ge=60, le=HOUR, description="seconds that are put together to one point")] = 60
