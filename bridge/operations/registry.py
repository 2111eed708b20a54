"""All operations by name: JSON in, JSON out."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from bridge.errors import BridgeError, NotFound, RequestError
from bridge.operations import endpoints, messages, networks, state
from bridge.operations.bridge import Bridge
from bridge.operations.operation import Operation
from bridge.operations.types.request import Problem

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        operation.name: operation
        for operation in (*endpoints.OPERATIONS, *messages.OPERATIONS, *networks.OPERATIONS, *state.OPERATIONS)
    }
)


async def call(bridge: Bridge, name: str, body: bytes) -> bytes:
    """Carry out one operation: a request as JSON in, its result as JSON out.

    Raises NotFound for a name that is none, RequestError for a body that is no such request, and any BridgeError of the
    operation itself.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        raise NotFound(f"no operation {name!r}; there are: {', '.join(OPERATIONS)}")
    try:
        asked = msgspec.json.decode(body or b"{}", type=operation.request)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError) as error:
        raise RequestError(f"{name}: {error}") from error
    return msgspec.json.encode(await operation.carry_out(bridge, asked))


def problem(error: BridgeError) -> bytes:
    """Return an error as a skin answers it, as JSON."""
    return msgspec.json.encode(Problem(error=type(error).__name__, detail=str(error)))
