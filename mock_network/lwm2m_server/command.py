"""The command of the emulated server."""

import logging

import click

from mock_network.command_line import clock_option, control_option, forever, parse_address, ready, run
from mock_network.control_api import authority, listening
from mock_network.lwm2m.messages import Tuning
from mock_network.lwm2m_server.control import make_app
from mock_network.lwm2m_server.server import LwM2mServer


@click.command()
@click.option("--listen", default="127.0.0.1:5683", show_default=True, help="UDP address; port 0: any")
@click.option("--nstart-1", "nstart_one", is_flag=True, help="one un-ACKed request per device at a time (RFC 7252)")
@click.option("--ack-timeout", default=2.0, show_default=True, help="seconds (RFC 7252 §4.8)")
@click.option("--max-retransmit", default=4, show_default=True, help="RFC 7252 §4.8")
@click.option("--seed", default=None, type=int, help="of random numbers")
@control_option()
@clock_option
def server(
    listen: str,
    nstart_one: bool,
    ack_timeout: float,
    max_retransmit: int,
    seed: int | None,
    control: tuple[str, int],
    clock: str,
) -> None:
    """An emulated LwM2M 1.1 server; prints one line of JSON with its addresses when it runs."""
    address = parse_address(listen)

    async def main() -> None:
        lwm2m_server = LwM2mServer(
            tuning=Tuning(ack_timeout=ack_timeout, max_retransmit=max_retransmit),
            nstart_unlimited=not nstart_one,
            seed=seed,
        )
        bound = await lwm2m_server.start(address)
        try:
            async with listening(make_app(lwm2m_server), control) as base:
                ready(coap=f"coap://{authority(*bound)}", control=f"http://{base}/control")
                await forever()
        finally:
            await lwm2m_server.stop()

    run(main, clock, logging.WARNING)
