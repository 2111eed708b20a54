"""The configuration of a running service."""

from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.config.difference import Applies
from bridge.operations.types.request import Access, Request, Result


class DifferenceView(Result, frozen=True, kw_only=True):
    """A setting whose value in the file differs from the one in force. Secrets are not shown."""

    setting: str
    before: str  # in force; "": absent
    after: str  # in the file
    applies: Applies


class Reloaded(Result, frozen=True, kw_only=True):
    """Differences from the former configuration. `applied`: those that need no restart are in force now."""

    items: tuple[DifferenceView, ...]
    applied: bool


class ReloadConfig(Request[Reloaded], frozen=True, kw_only=True):
    """Read the configuration again and put into force what needs no restart. Needs a running service."""

    NAME: ClassVar[str] = "config.reload"
    ACCESS: ClassVar[Access] = Access.ADMIN

    dry_run: Annotated[bool, Meta(description="change nothing: only show what differs")] = False
