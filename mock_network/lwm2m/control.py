"""What the control APIs of the emulated device and server share: the outcome of a request that got no response."""

from aiohttp import web

from mock_network.control_api import Handler
from mock_network.lwm2m.formats import UnsupportedFormat
from mock_network.lwm2m.messages import Closed, NoAnswer, NotAcknowledged, Reset

MAX_BODY = 4 << 20  # bytes: a firmware package in base64


def failure(problem: Exception) -> str | None:
    """Return the name of an outcome without a response, None if `problem` is no such outcome."""
    for kind, name in ((NotAcknowledged, "not acknowledged"), (NoAnswer, "no answer"), (Reset, "reset")):
        if isinstance(problem, kind):
            return name
    return "closed" if isinstance(problem, Closed) else None


@web.middleware
async def outcomes_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 200 with the outcome where a request had no response, 400 for an unknown format."""
    try:
        return await handler(request)
    except UnsupportedFormat as error:
        return web.json_response({"error": str(error)}, status=400)
    except (NoAnswer, Reset, Closed) as error:
        return web.json_response({"outcome": failure(error), "detail": str(error)})
