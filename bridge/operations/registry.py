"""All operations by name: JSON in, JSON out."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from bridge.errors import AccessDenied, BridgeError, NotFound, NotServedHere, RequestError
from bridge.operations import (
    access,
    bulk,
    cluster,
    config,
    direct,
    endpoints,
    events,
    history,
    messages,
    networks,
    quotas,
    state,
    stories,
    tracing,
    waiting,
)
from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.owners import at_owner
from bridge.operations.types.request import Access, Problem, Request
from bridge.store.access import AuditEntry

log = logging.getLogger("bridge.audit")

_ROOMS = (
    endpoints,
    waiting,
    bulk,
    messages,
    direct,
    stories,
    networks,
    quotas,
    state,
    cluster,
    history,
    access,
    events,
    config,
    tracing,
)

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {operation.name: operation for room in _ROOMS for operation in room.OPERATIONS}
)


async def call(bridge: Bridge, name: str, body: bytes, who: str = "", role: Access = Access.ADMIN) -> bytes:
    """Carry out one operation: a request as JSON in, its result as JSON out.

    `who` is the caller for the audit log, "" for none: operations that need more than READ are recorded there, unless
    the request says otherwise.

    Raises AccessDenied if `role` does not cover the operation, NotFound for an unknown name, RequestError for a body
    that is not a valid request, and any BridgeError of the operation itself.
    """
    operation, asked = _read(name, body)
    return msgspec.json.encode(await carried_out(bridge, operation, asked, who, role))


async def call_for_other(bridge: Bridge, name: str, body: bytes, who: str) -> bytes:
    """Do what `call` does for another node, which was asked by `who`, has checked its role, and records it.

    Raises NotServedHere if this node does not serve the endpoint.
    """
    operation, asked = _read(name, body)
    entry = _Entry(bridge, who, name, subject(asked), written=True)
    return msgspec.json.encode(await operation.carry_out(bridge, asked, *([entry] if operation.names_caller else [])))


def _read(name: str, body: bytes) -> tuple[Operation, Request[Any]]:
    """Return an operation and its request. Raises NotFound, RequestError."""
    operation = OPERATIONS.get(name)
    if operation is None:
        raise NotFound(f"no operation {name!r}; there are: {', '.join(OPERATIONS)}")
    try:
        return operation, msgspec.json.decode(body or b"{}", type=operation.request)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError) as error:
        raise RequestError(f"{name}: {error}") from error
    except RecursionError:
        raise RequestError(f"{name}: the request is nested too deeply") from None


async def carried_out(
    bridge: Bridge, operation: Operation, asked: Request[Any], who: str = "", role: Access = Access.ADMIN
) -> Any:
    """Return the result of an operation; otherwise it does what `call` does."""
    if not role.covers(operation.access):
        raise AccessDenied(f"{operation.name} needs the role {operation.access}; this key has the role {role}")
    is_recorded = operation.access is not Access.READ and operation.request.AUDITED and bool(who)
    entry = _Entry(bridge, who, operation.name, subject(asked), written=not is_recorded)
    outcome = "failed"
    try:
        try:
            result = await operation.carry_out(bridge, asked, *([entry] if operation.names_caller else []))
        except NotServedHere as elsewhere:
            result = await at_owner(bridge, elsewhere.shard, asked, entry.who)
        outcome = "done"
    except BridgeError as error:
        outcome = type(error).__name__
        raise
    finally:
        await entry.write(outcome)
    return result


class _Entry:
    """The entry of the audit log about one operation under way (`bridge.operations.operation.Entry`)."""

    def __init__(self, bridge: Bridge, who: str, name: str, subject: str, *, written: bool) -> None:
        self.who = who
        self._bridge = bridge
        self._about = name, subject
        self._written = written

    async def write(self, outcome: str) -> None:
        """Write the entry, unless it is written."""
        if not self._written:
            self._written = True
            await _audit(self._bridge, AuditEntry(0, self._bridge.now(), self.who, *self._about, outcome))


def subject(asked: Request[Any]) -> str:
    """Return the object of a request, for people: the first of its fields that names something."""
    for name in ("endpoint", "name", "id", "network", "address"):
        value = getattr(asked, name, None)
        if isinstance(value, str | int) and value:
            return str(value)
    return ""


async def _audit(bridge: Bridge, entry: AuditEntry) -> None:
    log.info("%s", entry.operation, extra={"who": entry.who, "subject": entry.subject, "outcome": entry.outcome})
    try:
        await bridge.access.note(entry)
    except BridgeError as error:  # the change itself is done: a log line has to be enough
        log.warning("an entry of the audit log could not be stored: %s", error, extra={"sample": "audit"})


def problem(error: BridgeError) -> bytes:
    """Return the JSON that a skin answers for an error."""
    return msgspec.json.encode(Problem(error=type(error).__name__, detail=error.text))
