"""Keys of the REST API with their roles, and the audit log. Part of `bridge.store.contract`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Role(StrEnum):
    """What the holder of a key may do; each role includes the roles before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, other: "Role") -> bool:
        """Return whether this role includes another one."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bearer key, without its secret: only the SHA-256 of that is stored. Times are wall-clock seconds."""

    id: int
    name: str  # name of the person or program that uses it
    role: Role
    digest: bytes
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Return whether the key may be used at wall time `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A change that a caller asked for. `id` is 0 until it is stored."""

    id: int
    at: float
    who: str  # name of a key with its id, or the local user
    operation: str
    subject: str  # the object of the change: an endpoint's name, a message's id
    outcome: str  # "done", or the name of the error


class AccessTable(Protocol):
    """All raise StoreUnavailable."""

    async def add_key(self, key: ApiKey) -> ApiKey:
        """Store a key whose `id` is 0, and return it with its id; an id is never used twice."""

    async def keys(self) -> list[ApiKey]:
        """Return all keys, revoked ones included, in the order of their ids."""

    async def key(self, id_: int) -> ApiKey | None: ...

    async def revoke(self, id_: int, now: float) -> ApiKey | None:
        """Revoke a key; return it, or None if there is none. The time of the first revocation stays."""

    async def note(self, entry: AuditEntry) -> None:
        """Store an entry of the audit log."""

    async def entries(self, *, before: int | None = None, limit: int) -> list[AuditEntry]:
        """Return entries of the audit log, newest first; with `before` only those with a smaller id."""

    async def forget_entries(self, before: float) -> int:
        """Remove entries of the audit log from before wall time `before`; return how many."""
