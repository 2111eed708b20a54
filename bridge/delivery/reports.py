"""Delivery reports whose handle belongs to no downlink yet."""

from typing import ClassVar

from bindings.contract import NetworkState, Refusal
from bridge.delivery.rows import Fixed, Row


class UnattributedReport(Row):
    """A delivery report whose handle no downlink has yet: kept until a downlink has it (R7), bounded (R30)."""

    TABLE: ClassVar[str] = "report"

    id: int
    endpoint: Fixed[int]
    shard: Fixed[int]
    handle: Fixed[str]
    outcome: Fixed[str]  # value of a NetworkState or Refusal; "" if unknown
    detail: Fixed[str]
    retry_at: Fixed[float | None]
    nack: Fixed[bool]
    received_at: Fixed[float]


def parse_outcome(value: str) -> NetworkState | Refusal | None:
    """Return the parsed `UnattributedReport.outcome`."""
    if not value:
        return None
    try:
        return NetworkState(value)
    except ValueError:
        return Refusal(value)
