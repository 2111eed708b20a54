"""Problems in T8 bodies: ProblemDetails, or a failure with ProblemDetails inside (TS 29.122 §5.2.1.2.12)."""

from typing import Any

import msgspec

from bindings.t8.reading import read_json

_DETAIL_LIMIT = 200  # characters of a peer's text kept in rows and logs
_TEXTS = ("cause", "title", "detail", "requestedRetransmissionTime")
_INNER = ("problemDetail", "problemDetails")  # the first by TS 29.122, the second a common mistake


class Problem(msgspec.Struct, frozen=True, gc=False):
    """A failure in either form. Texts are empty where they are not given."""

    cause: str = ""
    title: str = ""
    detail: str = ""
    requestedRetransmissionTime: str = ""  # noqa: N815  # the standard's spelling
    is_delivery_failure: bool = False  # only in NiddDownlinkDataDeliveryFailure

    @property
    def text(self) -> str:
        """Return cause, title and detail, if present."""
        return ": ".join(part for part in (self.cause, self.title, self.detail) if part)[:_DETAIL_LIMIT]


def read_problem(body: bytes) -> Problem | None:
    """Return the problem in a body; None if there is none of T8.

    A `status` alone is not enough: frameworks without T8 write one into their own JSON.
    """
    raw = read_json(body)
    if not isinstance(raw, dict):
        return None
    inner: Any = next((raw[name] for name in _INNER if isinstance(raw.get(name), dict)), None)
    texts = _texts(raw) if inner is None else _texts(inner) | _texts(raw)
    if not texts and inner is None:
        return None
    return Problem(**texts, is_delivery_failure=inner is not None)


def _texts(raw: dict[str, Any]) -> dict[str, str]:
    return {name: raw[name] for name in _TEXTS if isinstance(raw.get(name), str)}
