"""The command of the emulated ChirpStack."""

import json
from pathlib import Path
from typing import Any

import click

from mock_network.command_line import clock_option, control_option, forever, ready, run
from mock_network.control_api import authority
from mock_network.faults import Fault, FaultError
from mock_network.lorawan.control import Control as RadioControl
from mock_network.lorawan.radio_process import RadioProcess

from .api_internal import VERSION
from .model import Settings
from .mqtt import BrokerAddress
from .population import Population, give_first_tenant, provision, read
from .region import REGIONS
from .service import ChirpStack, Options


def _broker(_context: click.Context, _parameter: click.Parameter, value: str | None) -> BrokerAddress | None:
    try:
        return None if value is None else BrokerAddress.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{value} is not HOST:PORT") from error


def _faults(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Fault, ...]:
    try:
        return tuple(Fault.parse(json.loads(value)) for value in values)
    except (FaultError, ValueError, AttributeError, TypeError) as error:
        raise click.BadParameter(str(error)) from error


def _rx2_dr(region: str, number: int | None) -> int | None:
    possible = REGIONS[region].down
    if number is not None and number not in possible:
        raise click.BadParameter(f"--rx2-dr: {region} has {', '.join(map(str, possible))}")
    return number


@click.command()
@control_option("--grpc", "gRPC API")
@control_option()
@click.option("--mqtt", callback=_broker, help="broker for events and commands, HOST:PORT; without: HTTP only")
@click.option("--mqtt-qos", default=0, show_default=True, type=click.IntRange(0, 2), help="of events and commands")
@click.option("--mqtt-encoding", default="json", show_default=True, type=click.Choice(["json", "protobuf"]))
@click.option("--gateway-mqtt", callback=_broker, help="broker that gateways are connected to, HOST:PORT")
@click.option(
    "--population",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of [[device]], [[gateway]] and [[link]] in this process, and of [server] rows for them",
)
@click.option("--memory", type=click.Path(dir_okay=False, path_type=Path), help="file in which devices keep nonces")
@click.option("--modem-host", default="127.0.0.1", show_default=True, help="where the modems' UDP ports are")
@click.option("--token", default="emulated", show_default=True, envvar="CHIRPSTACK_TOKEN", help="the API key")
@click.option("--user-token", default="", help="token of somebody who logged in: some calls take no API key")
@click.option("--region", default="eu868", show_default=True, type=click.Choice(sorted(REGIONS)))
@click.option("--rx1-delay", default=1, show_default=True, type=click.IntRange(1, 15), help="system RX1 delay, s")
@click.option("--rx2-dr", type=int, help="data rate of RX2, as `rx2_dr` of a region; else the region's default")
@click.option("--mac-commands/--no-mac-commands", default=True, show_default=True, help="let the server send its own")
@click.option("--already-exists", is_flag=True, help="ALREADY_EXISTS for a second object; 4.20 says INTERNAL")
@click.option("--history", default=10, show_default=True, help="events kept per device for StreamDeviceEvents")
@click.option("--api-version", default=VERSION, show_default=True, help="what GetVersion says")
@click.option("--fault", "faults", multiple=True, callback=_faults, help='JSON, such as {"kind": "tx_ack_lost"}')
@click.option("--seed", default=1, show_default=True, help="of everything that is left to chance")
@clock_option
def chirpstack(**given: Any) -> None:
    """Emulate a ChirpStack v4 network server; prints one line of JSON with all addresses when ready."""
    settings = Settings(
        region=given["region"],
        rx1_delay=given["rx1_delay"],
        rx2_dr=_rx2_dr(given["region"], given["rx2_dr"]),
        mac_commands_disabled=not given["mac_commands"],
        history_per_device=given["history"],
        duplicates_already_exist=given["already_exists"],
    )
    options = Options(
        grpc=given["grpc"],
        control=given["control"],
        token=given["token"],
        user_token=given["user_token"],
        mqtt=given["mqtt"],
        mqtt_qos=given["mqtt_qos"],
        mqtt_json=given["mqtt_encoding"] == "json",
        gateway_mqtt=given["gateway_mqtt"],
        seed=given["seed"],
        version=given["api_version"],
        settings=settings,
        faults=given["faults"],
    )
    try:
        population = Population() if given["population"] is None else read(given["population"])
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error

    async def main() -> None:
        modem_host, memory = given["modem_host"], given["memory"]
        server, radio, addresses = await serve(options, population, modem_host=modem_host, memory=memory)
        try:
            ready(**addresses)
            await forever()
        finally:
            await radio.stop()
            await server.stop()

    try:
        run(main, given["clock"])
    except ValueError as error:  # of the population or the faults, once they meet the server
        raise click.ClickException(str(error)) from error


async def serve(
    options: Options, population: Population, *, modem_host: str = "127.0.0.1", memory: Path | None = None
) -> "tuple[ChirpStack, RadioProcess, dict[str, Any]]":
    """Start a server with the devices in its process; return both and the addresses. Stop the radio side first.

    Raises ValueError or OSError (TimeoutError is one).
    """
    server = ChirpStack(options)
    radio = RadioProcess(server.radio, seed=options.seed, modem_host=modem_host, memory=memory)
    server.radio.radio_side, server.radio_control = radio, RadioControl(radio).app()
    try:
        await server.start()
        found: dict[str, Any] = {
            "grpc": server.grpc_address,
            "control": server.control_address,
            "region": options.settings.region,
        }
        if population.provision:
            found["application_id"] = provision(server.driver.server.context, population)
        else:
            give_first_tenant(server.driver.server.context)
        for gateway in population.radio.gateways:
            radio.add_gateway(gateway)
        modems = await radio.populate(population.radio.devices, population.radio.links)
        found["devices"] = {dev_eui: {"modem": authority(*modem)} for dev_eui, modem in modems.items()}
    except BaseException:
        await radio.stop()
        await server.stop()
        raise
    return server, radio, found
