"""Operations on keys of the API and on the audit log."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any

from bridge.errors import NotFound, UnknownCaller
from bridge.operations.bridge import Bridge
from bridge.operations.codes import LIFETIME
from bridge.operations.cursors import id_before
from bridge.operations.operation import Operation
from bridge.operations.types.access import (
    AuditEntryView,
    AuditPage,
    CreateKey,
    DashboardLink,
    Keys,
    KeyView,
    ListAudit,
    ListKeys,
    MakeDashboardLink,
    NewKey,
    RevokeKey,
)
from bridge.operations.types.request import Access
from bridge.store.access import ApiKey

_PREFIX = "lnb"  # shows people and secret scanners what kind of key it is
_SECRET_BYTES = 32
_KEY = re.compile(rf"{_PREFIX}_([1-9][0-9]{{0,17}})_([A-Za-z0-9_-]{{43}})")


async def create_key(bridge: Bridge, asked: CreateKey) -> NewKey:
    now = bridge.now()
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    expires_at = None if asked.lifetime is None else now + asked.lifetime
    key = await bridge.access.add_key(ApiKey(0, asked.name, asked.role, digest(secret), now, expires_at))
    return NewKey(**_fields(key, now), key=f"{_PREFIX}_{key.id}_{secret}")


async def make_dashboard_link(bridge: Bridge, asked: MakeDashboardLink) -> DashboardLink:
    codes = bridge.codes  # there is none while the service is down: then no key is made either
    made = await create_key(bridge, CreateKey(name=asked.name, role=asked.role, lifetime=asked.lifetime))
    view = KeyView(**{name: getattr(made, name) for name in KeyView.__struct_fields__})
    return DashboardLink(code=codes.make(made.id), good_until=bridge.now() + LIFETIME, key=view)


async def list_keys(bridge: Bridge, _asked: ListKeys) -> Keys:
    now = bridge.now()
    return Keys(items=tuple(KeyView(**_fields(key, now)) for key in await bridge.access.keys()))


async def revoke_key(bridge: Bridge, asked: RevokeKey) -> KeyView:
    now = bridge.now()
    key = await bridge.access.revoke(asked.id, now)
    if key is None:
        raise NotFound(f"no key {asked.id}")
    return KeyView(**_fields(key, now))


async def list_audit(bridge: Bridge, asked: ListAudit) -> AuditPage:
    entries = await bridge.access.entries(before=id_before(asked.after), limit=asked.limit + 1)
    items = tuple(
        AuditEntryView(
            id=one.id, at=one.at, who=one.who, operation=one.operation, subject=one.subject, outcome=one.outcome
        )
        for one in entries[: asked.limit]
    )
    return AuditPage(items=items, next=str(items[-1].id) if len(entries) > asked.limit else None)


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key."""

    id: int  # of the key
    name: str
    role: Access

    def __str__(self) -> str:
        """Return the caller's name for the audit log."""
        return f"{self.name} (key {self.id})"


async def key_holder(bridge: Bridge, text: str) -> Caller:
    """Return the holder of a caller's key. Raises UnknownCaller if it is not valid, StoreUnavailable."""
    match = _KEY.fullmatch(text)
    key = None if match is None else await bridge.access.key(int(match[1]))
    if match is None or key is None or not hmac.compare_digest(key.digest, digest(match[2])):
        raise UnknownCaller("the bridge does not know this key; make one: lwm2m-bridge key create NAME --role read")
    return _holder(key, bridge.now())


async def holder_of(bridge: Bridge, id_: int) -> Caller:
    """Return the holder of a key that was checked before. Raises UnknownCaller if it is not valid, StoreUnavailable."""
    key = await bridge.access.key(id_)
    if key is None:
        raise UnknownCaller(f"key {id_} is not known")
    return _holder(key, bridge.now())


def _holder(key: ApiKey, now: float) -> Caller:
    if not key.is_valid(now):
        raise UnknownCaller(f"key {key.id} is {'expired' if key.revoked_at is None else 'revoked'}")
    return Caller(key.id, key.name, key.role)


def digest(secret: str) -> bytes:
    """Return the stored hash of a key's secret, which has 256 random bits, so that a plain hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


def _fields(key: ApiKey, now: float) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "valid": key.is_valid(now),
    }


OPERATIONS = (
    Operation(CreateKey, create_key),
    Operation(ListKeys, list_keys),
    Operation(RevokeKey, revoke_key),
    Operation(MakeDashboardLink, make_dashboard_link),
    Operation(ListAudit, list_audit),
)
