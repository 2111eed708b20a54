"""Usage and quotas: what was used of networks, how much is left, and what a transfer would cost."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.operations.types.request import PAGE, Access, Cursor, Limit, Name, Request, Result
from bridge.quota.limits import AtLimit, Counted, Per
from bridge.quota.periods import Period

Date = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="day in UTC, as 2026-11-30")]


class By(StrEnum):
    """What usage is summed by, in addition to the day."""

    ENDPOINT = "endpoint"
    NETWORK = "network"


class UsageView(Result, frozen=True, kw_only=True):
    """Usage of a network on a day. Bytes are those of CoAP messages, without the network's overhead."""

    date: str
    network: str
    endpoint: str  # its name; "": the whole network, or the endpoint was removed
    endpoint_id: int | None  # null: the whole network
    down_messages: int
    down_bytes: int
    up_messages: int
    up_bytes: int


class UsagePage(Result, frozen=True, kw_only=True):
    """Usage by day, network and endpoint, in this order."""

    items: tuple[UsageView, ...]
    next: str | None  # cursor of the page after this one; null: this is the last


class ListUsage(Request[UsagePage], frozen=True, kw_only=True):
    """List the usage of networks, day by day, a page at a time; the counts are durable."""

    NAME: ClassVar[str] = "usage.list"
    ACCESS: ClassVar[Access] = Access.READ

    by: By = By.ENDPOINT
    endpoint: Annotated[Name | None, Meta(description="only of this endpoint")] = None
    network: Annotated[str | None, Meta(description="only of this network")] = None
    first: Annotated[Date | None, Meta(description="first day; default: the first of this month")] = None
    last: Annotated[Date | None, Meta(description="last day; default: today")] = None
    after: Cursor = ""
    limit: Limit = PAGE


class QuotaView(Result, frozen=True, kw_only=True):
    """A quota and what was used of it. Null if something is not limited, or differs by endpoint."""

    name: str
    network: str
    per: Per
    group: str
    period: Period
    counts: Counted
    at_limit: AtLimit
    messages: int | None  # allowed in a period
    bytes: int | None
    used_messages: int | None
    used_bytes: int | None
    left_messages: int | None  # left for requests: the reserve for answers is subtracted
    left_bytes: int | None
    ends_at: float  # when the next period begins


class QuotaList(Result, frozen=True, kw_only=True):
    items: tuple[QuotaView, ...]


class ListQuotas(Request[QuotaList], frozen=True, kw_only=True):
    """List the configured quotas and how much of each is left, or the quotas of one endpoint."""

    NAME: ClassVar[str] = "quota.list"
    ACCESS: ClassVar[Access] = Access.READ

    endpoint: Annotated[Name | None, Meta(description="only those of this endpoint, with what it used")] = None


class QuotaVerdict(Result, frozen=True, kw_only=True):
    """What a transfer uses of a quota. Null if the quota has no such limit."""

    quota: str
    needs_messages: int
    needs_bytes: int
    left_messages: int | None
    left_bytes: int | None
    fits: bool  # whether it fits into the rest of this period
    periods: int | None  # periods that the transfer takes, this one included; null: it never fits
    ends_at: float  # when the next period begins


class TransferEstimate(Result, frozen=True, kw_only=True):
    """The least that a transfer costs; repetitions are not included."""

    block: int  # bytes of content in one message
    down_messages: int
    down_bytes: int
    up_messages: int
    up_bytes: int
    quotas: tuple[QuotaVerdict, ...]


class EstimateTransfer(Request[TransferEstimate], frozen=True, kw_only=True):
    """Estimate the cost of a content that is sent to a device block by block."""

    NAME: ClassVar[str] = "quota.estimate"
    ACCESS: ClassVar[Access] = Access.READ

    endpoint: Name
    content: Annotated[int, Meta(ge=1, le=1 << 40, description="bytes of the content, such as a firmware image")]
