"""`lwm2m-bridge device`: devices in a LoRaWAN network server, and their endpoints here."""

import asyncio
from pathlib import Path
from typing import Any

import click

from bridge.cli.access import Target
from bridge.cli.common import config_option, errors_shown, json_option, print_json, read_config
from bridge.cli.endpoint import pages
from bridge.cli.tables import print_table
from bridge.config import Config
from bridge.config.secrets import reveal
from bridge.control.client import Client
from bridge.errors import ConfigurationError
from bridge.operations.types.endpoints import AddEndpoints, EndpointView, ListEndpoints, NewEndpoint
from bridge.operations.types.networks import SetIntegration

VERSIONS = "1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0"
KEYS = "app_key", "nwk_key", "app_s_key", "nwk_s_key", "f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key"

network_option = click.option("--network", required=True, help="LoRaWAN network: NAME of [networks.NAME].")


@click.group("device")
def device_group() -> None:
    """Make LoRaWAN devices in ChirpStack, or adopt those that are there."""


def network_of(config: Config, network: str, ability: str) -> Any:
    """Make a network's binding, unstarted, if it can do this. Raises ConfigurationError."""
    found = config.networks.get(network)
    if found is None:
        known = ", ".join(config.networks) or "none"
        raise ConfigurationError(f"network {network!r} is not configured (known: {known})")
    if not hasattr(found.factory, ability):
        raise ConfigurationError(f"network {network!r} is of binding {found.binding!r}: its devices are made elsewhere")
    return found.create()


@device_group.command("add")
@config_option
@json_option
@click.argument("dev_eui")
@click.argument("name", default="")
@network_option
@click.option("--region", default="EU868", show_default=True, help="As LoRaWAN calls it.")
@click.option("--mac-version", default="1.0.3", show_default=True, type=click.Choice(VERSIONS))
@click.option("--class", "device_class", default="A", show_default=True, type=click.Choice(["A", "B", "C"]))
@click.option("--join-eui", default="0" * 16, show_default=True, help="OTAA.")
@click.option("--app-key", default="", help="OTAA root key: file:PATH, env:NAME, or the key itself.")
@click.option("--nwk-key", default="", help="OTAA root key of LoRaWAN 1.1, as above.")
@click.option("--dev-addr", default="", help="ABP: 8 hexadecimal digits; then no root keys but session keys.")
@click.option("--app-s-key", default="", help="ABP session key, as above.")
@click.option("--nwk-s-key", default="", help="ABP session key of LoRaWAN 1.0.x.")
@click.option("--f-nwk-s-int-key", default="", help="ABP session key of LoRaWAN 1.1.")
@click.option("--s-nwk-s-int-key", default="", help="ABP session key of LoRaWAN 1.1.")
@click.option("--nwk-s-enc-key", default="", help="ABP session key of LoRaWAN 1.1.")
@click.option("--application", default="lwm2m", show_default=True, help="Made if the network names none by its id.")
@click.option("--tenant", "tenant_id", default="", help="Its id, if the API key can see several.")
@click.option("--profile", "profile_id", default="", help="Id of a device profile; without: one made to fit LwM2M.")
@click.option("--rx1-delay", default=5, show_default=True, type=click.IntRange(1, 15), help="Seconds.")
@click.option("--class-c-timeout", default=30, show_default=True, type=click.IntRange(1), help="Seconds.")
@click.option("--server", "servers", multiple=True, help="Its LwM2M server; the first is the default.")
@click.option("--f-port", type=click.IntRange(1, 223), help="FPort of LwM2M, if not the network's.")
@click.option("--confirmed", is_flag=True, help="Send requests in confirmed frames.")
@click.option("--integration", is_flag=True, help="Have ChirpStack post events to the running bridge.")
@errors_shown
def add(config_path: Path, as_json: bool, dev_eui: str, name: str, network: str, **given: Any) -> None:
    """Make a device in ChirpStack, with profile, keys or session, and its endpoint. Doing it twice changes nothing."""
    config = read_config(config_path)
    binding = network_of(config, network, "make_device")
    device = binding.canonical_device(dev_eui)
    servers, f_port = given.pop("servers"), given.pop("f_port")
    confirmed, integration = given.pop("confirmed"), given.pop("integration")
    wanted = {**given, "name": name, **{key: reveal(given[key], Path.cwd(), set()) for key in KEYS}}
    if wanted["dev_addr"]:
        wanted["join_eui"] = ""
    done = dict(asyncio.run(binding.make_device(device, wanted)))
    options = {"f_port": str(f_port)} if f_port else {}
    draft = NewEndpoint(
        network=network, address=device, name=name, servers=servers, confirmed=confirmed, options=options
    )

    async def enter(client: Client) -> EndpointView:
        found = (await _known(client, network)).get(device)
        if found is None:
            (found,) = (await client.ask(AddEndpoints((draft,)))).items
            done["changes"].append(f"endpoint {found.name}")
        if (
            integration
            and (await client.ask(SetIntegration(network=network, application_id=done["application_id"]))).changed
        ):
            done["changes"].append("HTTP integration")
        return found

    endpoint = Target(config_path).use(enter)
    if as_json:
        print_json(
            {
                "device": device,
                "endpoint": endpoint.name,
                "application_id": done["application_id"],
                "profile_id": done["profile_id"],
                "changes": done["changes"],
            }
        )
        return
    application = done["application_id"]
    click.echo(f"{endpoint.name}: {device} in application {done['application_id']}")
    click.echo("made: " + ", ".join(done["changes"]) if done["changes"] else "everything was there already")
    if application not in config_path.read_text():
        click.echo(f'put application_id = "{application}" into [networks.{network}]')


async def _known(client: Client, network: str) -> dict[str, EndpointView]:
    asked = ListEndpoints(network=network, limit=1000)
    return {one.address: one async for page in pages(client, asked) for one in page.items}


@device_group.command("adopt")
@config_option
@network_option
@click.option("--server", "servers", multiple=True, help="Their LwM2M server; the first is the default.")
@click.option("--dry-run", is_flag=True, help="Only show what would be adopted.")
@errors_shown
def adopt(config_path: Path, network: str, servers: tuple[str, ...], dry_run: bool) -> None:
    """Give every device of the ChirpStack application an endpoint, named by the network's name_template."""
    config = read_config(config_path)
    binding = network_of(config, network, "network_devices")
    listed = asyncio.run(binding.network_devices())

    async def enter(client: Client) -> list[tuple[str, str]]:
        there = await _known(client, network)
        new = [(device, name) for device, name in listed if device not in there]
        if dry_run or not new:
            return new
        wanted = AddEndpoints(tuple(NewEndpoint(network=network, address=d, servers=servers) for d, _ in new))
        return [(made.address, made.name) for made in (await client.ask(wanted)).items]

    print_table(
        ("device", "in ChirpStack" if dry_run else "endpoint"),
        Target(config_path).use(enter),
        f"all {len(listed)} devices of the application have an endpoint",
    )


@device_group.command("integration")
@config_option
@network_option
@errors_shown
def integration(config_path: Path, network: str) -> None:
    """Have ChirpStack post the application's events to the running bridge."""
    config = read_config(config_path)
    network_of(config, network, "set_integration")

    changed = Target(config_path).ask(SetIntegration(network=network)).changed
    click.echo("the HTTP integration is set" if changed else "the HTTP integration was set already")
