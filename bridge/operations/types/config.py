"""The configuration of a running service."""

from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.config.difference import Applies
from bridge.operations.types.request import Access, Request, Result


class DifferenceView(Result, frozen=True, kw_only=True):
    """A setting whose value in the file is another one than that in force. Secrets are not shown."""

    setting: str
    before: str  # in force; "": it is not there
    after: str  # in the file
    applies: Applies


class Reloaded(Result, frozen=True, kw_only=True):
    """What differs between the file and what was in force. `applied`: what applies now is in force now."""

    items: tuple[DifferenceView, ...]
    applied: bool


class ReloadConfig(Request[Reloaded], frozen=True, kw_only=True):
    """Read the configuration again and bring into force what can be at once. Only a running service can."""

    NAME: ClassVar[str] = "config.reload"
    ACCESS: ClassVar[Access] = Access.ADMIN

    dry_run: Annotated[bool, Meta(description="change nothing: only show what differs")] = False
