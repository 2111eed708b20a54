"""The command of the emulated devices."""

import dataclasses
import logging

import click

from mock_network.command_line import clock_option, control_option, forever, parse_address, ready, run
from mock_network.control_api import listening
from mock_network.device.control import describe, make_app
from mock_network.device.fleet import Fleet
from mock_network.device.options import DEFAULT_LIFETIME, REGISTER_PARAMETERS, RESPONSE_TIMEOUT, DeviceOptions
from mock_network.lwm2m.messages import Tuning


@click.command()
@click.option("--connect", required=True, help="coap:// URI of the server, or of a modem's port; {n}: device number")
@click.option("--port-step", default=0, show_default=True, help="added to the port of --connect for each next device")
@click.option("--name", default="urn:dev:os:mock-{n}", show_default=True, help="endpoint names; {n}: device number")
@click.option("--count", default=1, show_default=True, help="how many devices; 0: none yet, see the control API")
@click.option("--first", default=1, show_default=True, help="number of the first device")
@click.option("--ramp", default=0.0, show_default=True, help="seconds over which the devices are started")
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="local address; a port only for one device")
@click.option("--lifetime", default=DEFAULT_LIFETIME, show_default=True, help="seconds")
@click.option("--binding", default="U", show_default=True, help="binding letter: U, or N for Non-IP")
@click.option("--queue-mode", is_flag=True, help="register with Q")
@click.option("--lwm2m", "version", default="1.1", show_default=True, help="LwM2M version said at Register")
@click.option("--omit", multiple=True, type=click.Choice(sorted(REGISTER_PARAMETERS)), help="leave out of Register")
@click.option("--con-notify", is_flag=True, help="notifications are CON, not NON")
@click.option("--no-register", is_flag=True, help="register only when told to by the control API")
@click.option("--ack-timeout", default=2.0, show_default=True, help="seconds (RFC 7252 §4.8)")
@click.option("--max-retransmit", default=4, show_default=True, help="RFC 7252 §4.8")
@click.option("--retry-timer", default=60.0, show_default=True, help="seconds before Register is tried again (/1/x/18)")
@click.option("--seed", default=None, type=int, help="of random numbers")
@control_option()
@clock_option
def device(
    connect: str,
    port_step: int,
    name: str,
    count: int,
    first: int,
    ramp: float,
    listen: str,
    lifetime: int,
    binding: str,
    queue_mode: bool,
    version: str,
    omit: tuple[str, ...],
    con_notify: bool,
    no_register: bool,
    ack_timeout: float,
    max_retransmit: int,
    retry_timer: float,
    seed: int | None,
    control: tuple[str, int],
    clock: str,
) -> None:
    """Emulated LwM2M 1.1 devices; prints one line of JSON with all addresses when they run."""
    if count > 1 and "{n}" not in name:
        raise click.BadParameter("several devices need {n} in their names", param_hint="--name")
    defaults = DeviceOptions(
        endpoint="",
        server_uri="",
        lifetime=lifetime,
        binding=binding,
        queue_mode=queue_mode,
        version=version,
        omit=frozenset(omit),
        bind=parse_address(listen),
        tuning=Tuning(ack_timeout=ack_timeout, max_retransmit=max_retransmit),
        # A patient device repeats its message first: 5 times ACK_TIMEOUT over LoRaWAN (OMA Transport, App. C.2).
        response_timeout=max(RESPONSE_TIMEOUT, ack_timeout * (max_retransmit + 1)),
        confirmable_notifications=con_notify,
        keep_registered=not no_register,
        retry_timer=retry_timer,
        seed=seed,
    )
    many = [
        dataclasses.replace(
            defaults,
            endpoint=name.replace("{n}", str(number)),
            server_uri=_stepped(connect.replace("{n}", str(number)), port_step * (number - first)),
            seed=None if seed is None else seed + number,
        )
        for number in range(first, first + count)
    ]

    async def main() -> None:
        fleet = Fleet()
        try:
            async with listening(make_app(fleet, defaults), control) as bound:
                await fleet.add_all(many, ramp)
                devices = [describe(device) for device in fleet.devices.values()]
                ready(control=f"http://{bound}/control", devices=devices)
                await forever()
        finally:
            await fleet.stop()

    run(main, clock, logging.WARNING)


def _stepped(uri: str, step: int) -> str:
    if not step:
        return uri
    start, _, port = uri.rpartition(":")
    if not port.isdigit():
        raise click.BadParameter("--port-step needs a port in the URI", param_hint="--connect")
    return f"{start}:{int(port) + step}"
