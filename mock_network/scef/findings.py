"""What a client does that another SCEF may refuse, or that costs it messages: logged once, counted, never refused."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

ABOUT = {
    "unknown-member": "a body has a member that the API does not have; it was ignored",
    "feature-not-negotiated": "an operation was used whose feature was not negotiated by supportedFeatures",
    "asked-too-early": "a request came again before the time that its refusal named",
    "same-data-pending": "a downlink has the same data as one that is pending: the UE will get it twice",
    "second-configuration": "a second NIDD configuration was made for a subscriber; uplinks go to the newest alone",
    "notification-answer": "a notification was answered with a success that the API does not list",
    "notification-slow": "a notification was answered after more than two seconds",
    "token-too-often": "an access token was asked for although the last one was valid for more than half its time",
}
SLOW = 2.0  # seconds
_WAITS_KEPT = 10_000  # refused requests whose next time is known


@dataclass(slots=True)
class Finding:
    """One kind of finding."""

    count: int = 0
    first: float = 0.0  # wall-clock seconds
    last: float = 0.0
    example: str = ""  # the latest


class Findings:
    """All that was found, by kind; `wall` returns wall-clock seconds."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.found: dict[str, Finding] = {}
        self._wall = wall
        self._not_before: dict[str, float] = {}

    def note(self, kind: str, example: str) -> None:
        """Count a finding, and log it if it is the first of its kind."""
        now, finding = self._wall(), self.found.get(kind)
        if finding is None:
            finding = self.found[kind] = Finding(first=now)
            log.warning("%s: %s (%s)", kind, ABOUT[kind], example)
        finding.count += 1
        finding.last, finding.example = now, example

    def refused_until(self, request: str, until: float) -> None:
        """Remember the moment before which a request should not come again."""
        self._not_before[request] = until
        while len(self._not_before) > _WAITS_KEPT:
            del self._not_before[next(iter(self._not_before))]

    def asked(self, request: str) -> None:
        """Record a finding if a request comes too early."""
        early = self._not_before.pop(request, 0.0) - self._wall()
        if early >= 1:
            self.note("asked-too-early", f"{request}: {early:.0f} s too early")

    def to_json(self) -> list[dict[str, Any]]:
        """Return all as JSON values."""
        return [
            {
                "kind": kind,
                "about": ABOUT[kind],
                "count": one.count,
                "first": round(one.first, 6),
                "last": round(one.last, 6),
                "example": one.example,
            }
            for kind, one in self.found.items()
        ]
