"""What a T8 answer says went wrong (TS 29.122 §5.2.6, ProblemDetails)."""

from typing import Any

import msgspec

from bindings.t8.answer import Answer
from bindings.t8.reading import read_json

_DETAIL_LIMIT = 200  # characters of a peer's text kept in rows and logs
_MEMBERS = frozenset(
    ("cause", "title", "detail", "type", "status", "requestedRetransmissionTime", "problemDetail", "problemDetails")
)


class Problem(msgspec.Struct, gc=False):
    """A failure in either form: ProblemDetails, or NiddDownlinkDataDeliveryFailure with ProblemDetails inside."""

    cause: str | None = None
    title: str | None = None
    detail: str | None = None
    requestedRetransmissionTime: str | None = None  # noqa: N815
    problemDetail: "Problem | None" = None  # noqa: N815

    @property
    def text(self) -> str:
        """Return cause, title and detail as far as they are there."""
        parts = [part for part in (self.cause, self.title, self.detail) if part]
        return (": ".join(parts) or (self.problemDetail.text if self.problemDetail else ""))[:_DETAIL_LIMIT]

    @property
    def reason(self) -> str:
        """Return the application cause, wherever it stands; empty if there is none."""
        return self.cause or (self.problemDetail.cause if self.problemDetail else None) or ""


def read_problem(body: bytes) -> Problem | None:
    """Return a failure's body; None if it is none of T8."""
    raw = read_json(body)
    if not isinstance(raw, dict) or not _MEMBERS & raw.keys():
        return None
    problem = _problem(raw)
    inner = raw.get("problemDetail", raw.get("problemDetails"))
    if isinstance(inner, dict):
        problem.problemDetail = _problem(inner)
    return problem


def _problem(raw: dict[str, Any]) -> Problem:
    def text(name: str) -> str | None:
        value = raw.get(name)
        return value if isinstance(value, str) else None

    return Problem(text("cause"), text("title"), text("detail"), text("requestedRetransmissionTime"))


def describe(answer: Answer) -> str:
    """Return in few words what was answered, for logs and rows."""
    problem = read_problem(answer.body)
    text = problem.text if problem else ""
    return f"{answer.status} {text}".rstrip()
