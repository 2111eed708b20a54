"""The command `lwm2m-bridge mock lorawan`: emulated devices and gateways for a ChirpStack v4 behind an MQTT broker."""

from pathlib import Path

import click

from mock_network.command_line import clock_option, control_option, forever, ready, run
from mock_network.lorawan.gateway import GatewayConfig
from mock_network.lorawan.gateway_mqtt import Broker
from mock_network.lorawan.lorawan_service import LorawanService, Options
from mock_network.lorawan.population import Population, read_population
from mock_network.lorawan.regions import REGIONS

DEFAULT_GATEWAY = "0016c001ff10a235"


def _broker(value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon:
        return value, 1883
    if not port.isdecimal():
        raise click.BadParameter("HOST or HOST:PORT", param_hint="--mqtt")
    return host.strip("[]"), int(port)


@click.command()
@click.option("--mqtt", default="127.0.0.1:1883", show_default=True, help="the broker of ChirpStack's gateway backend")
@click.option("--prefix", default="eu868", show_default=True, help="topic prefix of the region; empty: none")
@click.option("--json", "as_json", is_flag=True, help="JSON messages in place of protobuf")
@click.option("--username", envvar="LORAWAN_MQTT_USERNAME", help="for the broker")
@click.option("--password", envvar="LORAWAN_MQTT_PASSWORD", help="for the broker; better by the environment")
@click.option(
    "--population",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of [[device]], [[gateway]] and [[link]]",
)
@click.option("--gateway", "gateway_ids", multiple=True, help=f"gateway id; default without a file: {DEFAULT_GATEWAY}")
@click.option("--region", type=click.Choice(sorted(REGIONS)), default="EU868", show_default=True, help="of --gateway")
@click.option(
    "--memory",
    type=click.Path(dir_okay=False, path_type=Path),
    help="file in which devices keep nonces and sessions; it holds session keys",
)
@control_option()
@click.option("--modem-host", default="127.0.0.1", show_default=True, help="where the modems' UDP ports are")
@click.option("--seed", default=1, show_default=True, help="of everything that is left to chance")
@clock_option
def lorawan(
    mqtt: str,
    prefix: str,
    as_json: bool,
    username: str | None,
    password: str | None,
    population: Path | None,
    gateway_ids: tuple[str, ...],
    region: str,
    memory: Path | None,
    control: tuple[str, int],
    modem_host: str,
    seed: int,
    clock: str,
) -> None:
    """Emulate LoRaWAN devices and gateways for a ChirpStack v4; prints one line of JSON with all addresses when ready.

    Each device has a UDP port, its modem: point any LwM2M client there.
    """
    host, port = _broker(mqtt)
    try:
        found = read_population(population) if population is not None else Population()
        named = tuple(GatewayConfig(name.lower(), REGIONS[region]) for name in gateway_ids)
        options = Options(
            broker=Broker(host, port, prefix.strip("/"), as_json, username, password),
            gateways=(*found.gateways, *named) or (GatewayConfig(DEFAULT_GATEWAY, REGIONS[region]),),
            devices=found.devices,
            links=found.links,
            control=control,
            modem_host=modem_host,
            seed=seed,
            memory=memory,
        )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error

    async def main() -> None:
        service = LorawanService(options)
        try:
            await service.start()
            ready(**service.ready())
            await forever()
        finally:
            await service.stop()

    try:
        run(main, clock)
    except ValueError as error:  # of a device or a link, once it meets the radio
        raise click.ClickException(str(error)) from error
