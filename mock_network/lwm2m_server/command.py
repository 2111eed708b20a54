"""The command of the emulated server."""

import asyncio

import click

from mock_network.lwm2m.control import http_server, parse_address, parse_loopback, ready, run
from mock_network.lwm2m.endpoint import Tuning
from mock_network.lwm2m_server.control import make_app
from mock_network.lwm2m_server.server import LwM2mServer


@click.command()
@click.option("--listen", default="127.0.0.1:5683", show_default=True, help="UDP address; port 0: any")
@click.option("--nstart-1", "nstart_one", is_flag=True, help="one un-ACKed request per device at a time (RFC 7252)")
@click.option("--ack-timeout", default=2.0, show_default=True, help="seconds (RFC 7252 §4.8)")
@click.option("--max-retransmit", default=4, show_default=True, help="RFC 7252 §4.8")
@click.option("--seed", default=None, type=int, help="of random numbers")
@click.option("--control", default="127.0.0.1:0", show_default=True, help="loopback address of the control API")
@click.option("--clock", default="real", show_default=True, help='"real", or the URL of a test clock')
def server(
    listen: str,
    nstart_one: bool,
    ack_timeout: float,
    max_retransmit: int,
    seed: int | None,
    control: str,
    clock: str,
) -> None:
    """An emulated LwM2M 1.1 server; prints one line of JSON with its addresses when it runs."""
    address, control_address = parse_address(listen), parse_loopback(control)

    async def main(stop: asyncio.Event) -> None:
        lwm2m_server = LwM2mServer(
            tuning=Tuning(ack_timeout=ack_timeout, max_retransmit=max_retransmit),
            nstart_unlimited=not nstart_one,
            seed=seed,
        )
        host, port = await lwm2m_server.start(address)
        try:
            async with http_server(make_app(lwm2m_server), control_address) as url:
                ready(coap=f"coap://[{host}]:{port}" if ":" in host else f"coap://{host}:{port}", control=url)
                await stop.wait()
        finally:
            await lwm2m_server.stop()

    run(main, clock)
