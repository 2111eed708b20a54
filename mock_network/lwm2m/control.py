"""What the control APIs and commands of the emulated device and server share: a small HTTP server, and a process."""

import asyncio
import contextlib
import ipaddress
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import click
from aiohttp import web

from mock_network.clock import clock_loop_factory
from mock_network.lwm2m.endpoint import Closed, NoAnswer, NotAcknowledged, Reset
from mock_network.lwm2m.formats import UnsupportedFormat
from mock_network.lwm2m.transport import Address

MAX_BODY = 4 << 20  # bytes: a firmware package in base64


def failure(problem: Exception) -> str | None:
    """The name of an outcome without a response, None if `problem` is no such outcome."""
    for kind, name in ((NotAcknowledged, "not acknowledged"), (NoAnswer, "no answer"), (Reset, "reset")):
        if isinstance(problem, kind):
            return name
    return "closed" if isinstance(problem, Closed) else None


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Wrong calls become 400 or 404 with a reason; requests of ours that got no response 200 with the outcome."""
    try:
        return await handler(request)
    except KeyError as error:
        return web.json_response({"error": f"not found: {error}"}, status=404)
    except (ValueError, TypeError, UnsupportedFormat) as error:
        return web.json_response({"error": str(error)}, status=400)
    except (NoAnswer, Reset, Closed) as error:
        return web.json_response({"outcome": failure(error), "detail": str(error)})


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that a request carries, empty if it carries nothing; ValueError."""
    text = await request.text()
    body = json.loads(text) if text.strip() else {}
    if not isinstance(body, dict):
        raise ValueError("the body is a JSON object")  # noqa: TRY004 becomes 400
    return body


@contextlib.asynccontextmanager
async def http_server(app: web.Application, address: Address) -> AsyncIterator[str]:
    """Serve `app` while inside; gives its base URL. OSError if the address cannot be had."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, *address)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}/control" if ":" in host else f"http://{host}:{port}/control"
    finally:
        await runner.cleanup()


def parse_address(text: str) -> Address:
    """`host:port` with a numeric host; port 0 is any. click.BadParameter otherwise."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no numeric address with port") from None
    if not 0 <= number <= 65535:  # noqa: PLR2004 a UDP or TCP port
        raise click.BadParameter(f"{text!r} has no port")
    return host, number


def parse_loopback(text: str) -> Address:
    """As `parse_address`, on loopback only: there is no authentication."""
    host, port = parse_address(text)
    if not ipaddress.ip_address(host).is_loopback:
        raise click.BadParameter("the control API listens on loopback only")
    return host, port


def ready(**addresses: Any) -> None:
    """Print the one line that says where everything is."""
    click.echo(json.dumps(addresses))


def run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]], clock: str) -> None:
    """Run `main` on the clock `clock` ("real" or the URL of a test clock) until SIGINT or SIGTERM set its event."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    async def whole() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    with asyncio.Runner(loop_factory=clock_loop_factory(clock)) as runner:
        runner.run(whole())
