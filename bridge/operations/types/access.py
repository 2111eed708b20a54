"""Keys of the API, and the audit log."""

from typing import Annotated, ClassVar

from msgspec import Meta

from bridge.operations.types.request import PAGE, Access, Cursor, Limit, Request, Result
from bridge.store.access import Role

KeyId = Annotated[int, Meta(ge=1, le=2**63 - 1, description="id of the key, as lists show it")]


class KeyView(Result, frozen=True, kw_only=True):
    """A key, without its secret."""

    id: int
    name: str
    role: Role
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    valid: bool


class NewKey(KeyView, frozen=True, kw_only=True):
    """A new key."""

    key: Annotated[str, Meta(description="the key itself; it is shown once, the bridge stores only its SHA-256")]


class CreateKey(Request[NewKey], frozen=True, kw_only=True):
    """Make a key of the API. Only this answer contains it; it cannot be shown again."""

    NAME: ClassVar[str] = "key.create"
    ACCESS: ClassVar[Access] = Access.ADMIN

    name: Annotated[str, Meta(min_length=1, max_length=100, description="person or program that will use the key")]
    role: Role
    lifetime: Annotated[
        Annotated[float, Meta(gt=0, le=1e9)] | None, Meta(description="seconds until it expires; null: never")
    ] = None


class DashboardLink(Result, frozen=True, kw_only=True):
    """A code that signs one browser in, as the holder of a key that was made for it."""

    code: Annotated[
        str, Meta(description="good once; the dashboard's address with #/sign-in?code= before it is a link")
    ]
    good_until: float
    key: KeyView


class MakeDashboardLink(Request[DashboardLink], frozen=True, kw_only=True):
    """Make a key with a lifetime, and a code that signs one browser in with it. Only a running service can."""

    NAME: ClassVar[str] = "dashboard.link"
    ACCESS: ClassVar[Access] = Access.ADMIN

    name: Annotated[str, Meta(min_length=1, max_length=100, description="person who will use it")] = "dashboard"
    role: Role = Role.READ
    lifetime: Annotated[float, Meta(gt=0, le=1e9, description="seconds until the key expires")] = 43200.0


class Keys(Result, frozen=True, kw_only=True):
    """Keys in the order in which they were made, revoked and expired ones included."""

    items: tuple[KeyView, ...]


class ListKeys(Request[Keys], frozen=True):
    """List the keys of the API."""

    NAME: ClassVar[str] = "key.list"
    ACCESS: ClassVar[Access] = Access.ADMIN


class RevokeKey(Request[KeyView], frozen=True):
    """Revoke a key, immediately and for good."""

    NAME: ClassVar[str] = "key.revoke"
    ACCESS: ClassVar[Access] = Access.ADMIN

    id: KeyId


class AuditEntryView(Result, frozen=True, kw_only=True):
    """A change that a caller requested, or a message's content that a caller read."""

    id: int
    at: float
    who: str
    operation: str
    subject: str  # the endpoint, message, network or key that was changed or read
    outcome: str  # "done", or the name of the error


class AuditPage(Result, frozen=True, kw_only=True):
    """Entries of the audit log, newest first."""

    items: tuple[AuditEntryView, ...]
    next: str | None  # cursor of the page after this one; null: this is the last


class ListAudit(Request[AuditPage], frozen=True, kw_only=True):
    """List who asked for which change, newest first, a page at a time."""

    NAME: ClassVar[str] = "audit.list"
    ACCESS: ClassVar[Access] = Access.ADMIN

    after: Cursor = ""
    limit: Limit = PAGE
