"""Changes of many endpoints, with a report for each."""

from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from bridge.operations.types.endpoints import EndpointFilter
from bridge.operations.types.request import Access, Name, Request, Result

MOST = 100_000  # endpoints in one request


class Selected(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The selected endpoints: by names, or by a filter. One of the two must be given."""

    names: Annotated[tuple[Name, ...], Meta(max_length=MOST)] = ()
    filter: Annotated[EndpointFilter | None, Meta(description="{} selects every endpoint")] = None
    dry_run: Annotated[bool, Meta(description="change nothing: only show what would be done")] = False


class BulkOutcome(StrEnum):
    DONE = "done"
    WOULD_BE_DONE = "would be done"
    FAILED = "failed"


class BulkRow(Result, frozen=True, kw_only=True):
    """The result for one endpoint."""

    name: str
    outcome: BulkOutcome
    detail: str  # why it failed; how many messages are cancelled


class BulkReport(Result, frozen=True, kw_only=True):
    """The result for each selected endpoint. Successful changes stay, even if others failed."""

    items: tuple[BulkRow, ...]
    done: int
    failed: int


class Action(StrEnum):
    """What is done with each endpoint."""

    ENABLE = "enable"
    DISABLE = "disable"
    PROVISION = "provision"  # ask its network again to carry its data
    CANCEL = "cancel"  # every message to it that has no outcome


class ActOnEndpoints(Selected, Request[BulkReport], frozen=True, kw_only=True):
    """Enable, disable or provision many endpoints, or cancel all messages that wait for them."""

    NAME: ClassVar[str] = "endpoints.act"
    ACCESS: ClassVar[Access] = Access.OPERATE

    action: Action


class MoveEndpoints(Selected, Request[BulkReport], frozen=True, kw_only=True):
    """Assign other servers to many endpoints, or another network with the same device addresses."""

    NAME: ClassVar[str] = "endpoints.move"
    ACCESS: ClassVar[Access] = Access.ADMIN

    servers: Annotated[tuple[str, ...], Meta(description="none: their servers stay")] = ()
    network: Annotated[str, Meta(description="empty: their network stays")] = ""


class RemoveEndpoints(Selected, Request[BulkReport], frozen=True, kw_only=True):
    """Remove many endpoints, also from their networks; messages that wait get their outcome."""

    NAME: ClassVar[str] = "endpoints.remove"
    ACCESS: ClassVar[Access] = Access.ADMIN
