"""The command of the clock process."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json

import click

from mock_network.clock.server import serve


@click.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="loopback address and port; port 0: any")
@click.option("--rate", default=1.0, show_default=True, help="virtual seconds per real second; 0: only steps")
@click.option("--start", default=None, help="virtual wall time at the start, RFC 3339; default: now")
def clock(listen: str, rate: float, start: str | None) -> None:
    """Own the virtual time of a test; prints one line of JSON with its URL when ready."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    try:
        if not ipaddress.ip_address(host).is_loopback:
            raise click.BadParameter("the clock listens on loopback only", param_hint="--listen")
        wall = None if start is None else dt.datetime.fromisoformat(start).timestamp()
        number = int(port)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if rate < 0:
        raise click.BadParameter("time does not run backwards", param_hint="--rate")
    click.echo("TEST CLOCK: whoever follows it lives in virtual time; never use it in production", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            serve(
                host=host,
                port=number,
                rate=rate,
                start=wall,
                ready=lambda url: click.echo(json.dumps({"clock": url})),
            )
        )
