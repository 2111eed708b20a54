"""Operations of the server on a device behind an LwM2M client that cannot read them: OSCORE in object 19.

The gateway is the client; the device behind it has a context of its own with the server (`PUT /oscore/{name}`).
"""

import asyncio
from typing import Any

from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.messages import GET, PUT, Request, Response
from mock_network.lwm2m.paths import parse_path
from mock_network.lwm2m.tunnelled import Asking
from mock_network.lwm2m_server.server import LwM2mServer, NotRegistered

TO_BEYOND, FROM_BEYOND = "/19/0/0/0", "/19/1/0/0"
_PAUSE = 0.05  # seconds before each Read
_WAIT = 10.0  # seconds for an answer by default


async def ask_beyond(server: LwM2mServer, gateway: str, body: dict[str, Any]) -> dict[str, Any]:
    """Carry out {"device", "operation": read or write, "path", "value", "timeout"}; return code and value.

    A 4.01 with an Echo value is followed by the request with that value, once. NotRegistered, OscoreError; TimeoutError
    if no answer comes.
    """
    context = server.identities.contexts.get(str(body.get("device")))
    if context is None:
        raise NotRegistered
    code = PUT if body.get("operation") == "write" else GET
    path = tuple(str(body["path"]).strip("/").split("/"))
    request = Request(code, path, payload=str(body.get("value", "")).encode())
    wait = float(body.get("timeout", _WAIT))
    response = await _asked(server, gateway, Asking(context, request), wait)
    if response.echo is not None:
        again = Request(code, path, payload=request.payload, echo=response.echo)
        response = await _asked(server, gateway, Asking(context, again), wait)
    return {"outcome": "response", "code": response.code, "value": response.payload.decode(errors="replace")}


async def _asked(server: LwM2mServer, gateway: str, asking: Asking, wait: float) -> Response:
    before = await _read(server, gateway)
    write = Request(PUT, payload=asking.data, content_format=int(ContentFormat.OPAQUE))
    await server.request(gateway, parse_path(TO_BEYOND), write, wait=wait)
    async with asyncio.timeout(wait):
        found = before
        while found == before:
            await asyncio.sleep(_PAUSE)
            found = await _read(server, gateway)
    return asking.verify(found)


async def _read(server: LwM2mServer, gateway: str) -> bytes:
    read = await server.read(gateway, FROM_BEYOND, accept=int(ContentFormat.OPAQUE))
    return read.response.payload
