"""What the control APIs of all emulators share: JSON in and out, errors, faults to arm, a listener.

They have no credentials, so they listen on loopback only (see `command_line`).
"""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from mock_network.faults import Fault, Faults

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """The answer to a call that failed: an HTTP status, and a text with the cure."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a wrong call with 400, 404 or 409 and the reason, `{"error": …}`.

    Every JSON ends with a newline: people call these with curl, whose next output would be on the same line.
    """
    response = await _answered(request, handler)
    if isinstance(response, web.Response) and response.content_type == "application/json" and response.text:
        response.text += "\n"
    return response


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as error:
        status, text = error.status, str(error)
    except KeyError as error:
        status, text = 404, f"not found: {error}"
    except (ValueError, TypeError) as error:
        status, text = 400, str(error)
    except OSError as error:  # a port that is taken, for one
        status, text = 409, str(error)
    return web.json_response({"error": text}, status=status)


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that a request carries, empty if it carries nothing. Raises ValueError."""
    text = await request.text()
    try:
        body = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004  # any bad input is a 400
    return body


def fault_routes(faults: Callable[[], Faults]) -> list[web.RouteDef]:
    """Return GET, POST and DELETE /faults and DELETE /faults/{number}; `faults` returns those of the emulator."""

    async def listing(_: web.Request) -> web.Response:
        now = faults()
        return web.json_response({"armed": now.listing(), "known": dict(now.kinds), "happened": now.happened})

    async def arm(request: web.Request) -> web.Response:
        return web.json_response({"id": faults().add(Fault.parse(await body_of(request)))}, status=201)

    async def disarm(request: web.Request) -> web.Response:
        if not faults().remove(int(request.match_info["number"])):
            raise Problem(404, "no such fault")
        return web.Response(status=204)

    async def disarm_all(_: web.Request) -> web.Response:
        faults().clear()
        return web.Response(status=204)

    return [
        web.get("/faults", listing),
        web.post("/faults", arm),
        web.delete("/faults", disarm_all),
        web.delete("/faults/{number:[0-9]+}", disarm),
    ]


def authority(host: str, port: int) -> str:
    """Write an address as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def listen(app: web.Application, address: tuple[str, int], **options: Any) -> tuple[web.AppRunner, str]:
    """Serve `app`; return what to clean up, and the address in a URL's form. OSError if it cannot be used.

    `options` are those of aiohttp's AppRunner, and `ssl_context`.
    """
    context = options.pop("ssl_context", None)
    runner = web.AppRunner(app, access_log=None, **{"shutdown_timeout": 0.1, **options})
    await runner.setup()
    try:
        await web.TCPSite(runner, *address, ssl_context=context).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner, authority(*runner.addresses[0][:2])


@contextlib.asynccontextmanager
async def listening(app: web.Application, address: tuple[str, int]) -> AsyncIterator[str]:
    """Serve `app` while inside; yields its address in a URL's form. OSError if it cannot be used."""
    runner, bound = await listen(app, address)
    try:
        yield bound
    finally:
        await runner.cleanup()
