"""What the commands of all emulators share: addresses, the line with all addresses, running until a signal."""

import asyncio
import contextlib
import errno
import ipaddress
import json
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import click

from mock_network.clock import ClockError, clock_loop_factory
from mock_network.lwm2m.blockwise import exponent_of

clock_option = click.option("--clock", default="real", show_default=True, help="real, or the URL of a test clock")


def parse_address(text: str) -> tuple[str, int]:
    """Read `host:port` with a numeric host; port 0 is any. Raises click.BadParameter."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no numeric ADDRESS:PORT") from None
    if not 0 <= number <= 65535:  # noqa: PLR2004  # a UDP or TCP port
        raise click.BadParameter(f"{text!r} has no port")
    return host, number


def parse_loopback(text: str) -> tuple[str, int]:
    """Read `host:port` on loopback, for what has no credentials. Raises click.BadParameter."""
    host, port = parse_address(text)
    if not ipaddress.ip_address(host).is_loopback:
        raise click.BadParameter(f"{text!r} is not on loopback, and this has no credentials")
    return host, port


def control_option(name: str = "--control", what: str = "control API") -> Callable[[Any], Any]:
    """Return an option for an address on loopback."""
    return click.option(
        name,
        default="127.0.0.1:0",
        show_default=True,
        callback=lambda _context, _parameter, value: parse_loopback(value),
        help=f"{what}, on loopback; port 0: any",
    )


def ready(**addresses: Any) -> None:
    """Print the one line with all addresses."""
    click.echo(json.dumps(addresses))


def told(error: Exception) -> click.ClickException:
    """Return the error with which a command ends, and the cure if an address is in use."""
    text = str(error) or type(error).__name__  # a TimeoutError has no words
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        text += "; end the program that uses it, or choose another port"
    return click.ClickException(text)


def run(main: Callable[[], Coroutine[Any, Any, None]], clock: str, level: int = logging.INFO) -> None:
    """Run `main` on the clock `clock` ("real" or the URL of a test clock) until SIGINT or SIGTERM cancel it.

    Raises click.ClickException if an address cannot be used or no clock answers.
    """
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    async def until_stopped() -> None:
        task = asyncio.ensure_future(main())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    try:
        with asyncio.Runner(loop_factory=clock_loop_factory(clock)) as runner:
            runner.run(until_stopped())
    except (ClockError, OSError) as error:
        raise told(error) from error


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


def _exponent(_context: click.Context, _parameter: click.Parameter, size: int) -> int:
    try:
        return exponent_of(size)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


block_size_option = click.option(
    "--block-size", default=1024, show_default=True, callback=_exponent, help="bytes of the largest block (RFC 7959)"
)
"""`block_size`: the size exponent of the largest block."""
