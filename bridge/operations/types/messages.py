"""Downlinks and uplinks: what became of every message."""

from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.delivery.states import DownlinkState, UplinkState
from bridge.operations.types.request import PAGE, Access, Cursor, Id, Limit, Name, Request, Result

OnlyEndpoint = Annotated[Name | None, Meta(description="only messages of this endpoint")]


class BlockView(Result, frozen=True, kw_only=True):
    """The part of a block-wise write that a request carries (Block1)."""

    number: int
    offset: int  # bytes of the whole before this block
    bytes: int
    more: bool  # blocks follow
    total: int | None  # bytes of the whole; null: the server does not say


class DownlinkView(Result, frozen=True, kw_only=True):
    """A message to a device, without its bytes."""

    id: int
    endpoint: str  # its name; "": the endpoint was removed
    endpoint_id: int
    kind: str
    operation: str
    target: str  # path and queries of a server's request; "" if the bridge cannot read them
    block: BlockView | None  # null: the request is no part of a block-wise write
    server: str  # that sent it; "(API)": a direct request; "": the bridge's answer to the device's own request
    state: DownlinkState
    over: bool  # whether `state` is the outcome
    cancel_asked: bool
    late: bool  # the device's answer came after the server got 5.04
    response: str | None  # code of the device's response: 2.05; null: none yet
    verdict: str | None  # code of the bridge's own answer to the server; null: none
    reason: str
    attempts: int
    sent: int  # how often the network sent it
    bytes: int
    accepted_at: float
    deliver_by: float | None
    answer_by: float | None
    not_before: float | None
    finished_at: float | None


class DownlinkPage(Result, frozen=True, kw_only=True):
    """Downlinks, newest first."""

    items: tuple[DownlinkView, ...]
    next: str | None  # cursor of the page after this one; null: this is the last


class ListDownlinks(Request[DownlinkPage], frozen=True, kw_only=True):
    """List messages to devices with their state or outcome, newest first, a page at a time."""

    NAME: ClassVar[str] = "downlink.list"
    ACCESS: ClassVar[Access] = Access.READ

    endpoint: OnlyEndpoint = None
    state: DownlinkState | None = None
    over: bool | None = None
    after: Cursor = ""
    limit: Limit = PAGE


class CancelDownlink(Request[DownlinkView], frozen=True):
    """Cancel a message to a device; the result says what was achieved. Needs a running service."""

    NAME: ClassVar[str] = "downlink.cancel"
    ACCESS: ClassVar[Access] = Access.OPERATE

    id: Id


class UplinkView(Result, frozen=True, kw_only=True):
    """A message from a device, or the bridge's own verdict on a downlink (`kind` verdict), without its bytes."""

    id: int
    endpoint: str  # its name; "": the endpoint was removed
    endpoint_id: int
    kind: str
    operation: str
    code: str | None  # method or response code; null if the bridge cannot read it
    target: str  # path and queries of the device's request
    server: str
    state: UplinkState
    acknowledged: bool  # by the server
    reason: str
    bytes: int
    downlink: int | None  # the request that it answers
    received_at: float
    expires_at: float | None
    finished_at: float | None


class UplinkPage(Result, frozen=True, kw_only=True):
    """Uplinks, newest first."""

    items: tuple[UplinkView, ...]
    next: str | None  # cursor of the page after this one; null: this is the last


class ListUplinks(Request[UplinkPage], frozen=True, kw_only=True):
    """List messages from devices with their state or outcome, newest first, a page at a time."""

    NAME: ClassVar[str] = "uplink.list"
    ACCESS: ClassVar[Access] = Access.READ

    endpoint: OnlyEndpoint = None
    state: UplinkState | None = None
    after: Cursor = ""
    limit: Limit = PAGE


class DownlinkCount(Result, frozen=True, kw_only=True):
    state: DownlinkState
    over: bool
    messages: int


class UplinkCount(Result, frozen=True, kw_only=True):
    state: UplinkState
    messages: int


class MessageCounts(Result, frozen=True, kw_only=True):
    """The number of messages in each state."""

    downlinks: tuple[DownlinkCount, ...]
    uplinks: tuple[UplinkCount, ...]


class CountMessages(Request[MessageCounts], frozen=True, kw_only=True):
    """Count messages by state. Without an endpoint this reads the whole ledger."""

    NAME: ClassVar[str] = "message.count"
    ACCESS: ClassVar[Access] = Access.READ

    endpoint: OnlyEndpoint = None
