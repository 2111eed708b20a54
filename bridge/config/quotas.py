"""Quotas of a configuration."""

from typing import Annotated

import msgspec
from msgspec import Meta

from bridge.quota.limits import AtLimit, Counted, Per, Quota
from bridge.quota.periods import Period

_Most = Annotated[int, Meta(ge=1, le=1 << 53)]
_Part = Annotated[float, Meta(ge=0, lt=1)]


class QuotaSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be used of a network in each calendar period (UTC; a week begins on Monday). There may be many."""

    name: Annotated[str, Meta(min_length=1, description="its name in logs and explanations", examples=["plan-day"])]
    network: Annotated[str, Meta(min_length=1, description="the network: NAME of a section [networks.NAME]")]
    period: Annotated[Period, Meta(description="minute, hour, day or week")]
    per: Annotated[
        Per,
        Meta(
            description="endpoint: each endpoint has a quota of its own; group: endpoints with the same option "
            "group share one; network: all share one"
        ),
    ] = Per.ENDPOINT
    group: Annotated[
        str, Meta(description="only for endpoints whose option group is this; empty: for all, or for each group")
    ] = ""
    messages: Annotated[_Most | None, Meta(description="messages in a period", examples=[100])] = None
    bytes: Annotated[_Most | None, Meta(description="payload bytes in a period", examples=[10000])] = None
    counts: Annotated[
        Counted,
        Meta(description="downlinks, uplinks or both; uplinks are only counted and warned of, never refused"),
    ] = Counted.DOWNLINKS
    at_limit: Annotated[
        AtLimit,
        Meta(
            description="hold: messages wait for the next period; refuse: servers are answered 5.03 with Max-Age, and "
            "what was accepted before waits; warn: nothing but a warning"
        ),
    ] = AtLimit.HOLD
    reserve: Annotated[_Part, Meta(description="part of it that is reserved for answers to devices")] = 0.1
    warn_at: Annotated[
        Annotated[float, Meta(gt=0, le=1)], Meta(description="part of it at which a warning is logged")
    ] = 0.8

    def __post_init__(self) -> None:
        if self.messages is None and self.bytes is None:
            raise ValueError(f"quota {self.name} limits nothing; set messages, bytes or both")
        if self.counts is Counted.UPLINKS and self.at_limit is not AtLimit.WARN:
            raise ValueError(
                f'quota {self.name} counts uplinks, which are never held or refused; write at_limit = "warn"'
            )

    def quota(self) -> Quota:
        """Return it as the type of `bridge.quota`."""
        return Quota(**msgspec.structs.asdict(self))
