"""The command of the clock process."""

import asyncio
import contextlib
import datetime as dt

import click

from mock_network.clock.server import serve
from mock_network.command_line import control_option, ready, told


@click.command()
@control_option("--listen", "address of the clock")
@click.option("--rate", default=1.0, show_default=True, help="virtual seconds per real second; 0: only steps")
@click.option("--start", default=None, help="virtual wall time at the start, RFC 3339; default: now")
def clock(listen: tuple[str, int], rate: float, start: str | None) -> None:
    """Own the virtual time of a test; prints one line of JSON with its URL when ready."""
    try:
        wall = None if start is None else dt.datetime.fromisoformat(start).timestamp()
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if rate < 0:
        raise click.BadParameter("time does not run backwards", param_hint="--rate")
    click.echo("TEST CLOCK: whoever follows it lives in virtual time; never use it in production", err=True)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(
                serve(
                    host=listen[0],
                    port=listen[1],
                    rate=rate,
                    start=wall,
                    ready=lambda url: ready(clock=url),
                )
            )
    except OSError as error:
        raise told(error) from error
