"""An operation about an endpoint that another node of the cluster serves: that node carries it out."""

import secrets
from typing import Any

import msgspec

from bridge.operations.bridge import Bridge
from bridge.operations.types.request import Request, result_type


async def at_owner(bridge: Bridge, shard: int, asked: Request[Any], who: str = "") -> Any:
    """Have the node that holds a shard carry out a request; return the result.

    The request can be repeated, also a direct one: it gets an idempotency key if the caller gave none. Raises the error
    of the operation; NotServedHere if no node serves the shard, StoreUnavailable.
    """
    if getattr(asked, "idempotency_key", "") is None:
        asked = msgspec.structs.replace(asked, idempotency_key=f"node-{secrets.token_hex(16)}")
    wait = float(getattr(asked, "wait", 0.0))
    found = await bridge.ask_owner(shard, asked.NAME, msgspec.json.encode(asked), who, wait)
    return msgspec.json.decode(found, type=result_type(type(asked)))
