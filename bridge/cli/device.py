"""`lwm2m-bridge device`: devices in a network that can create or list them, and their endpoints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from bindings.contract import MakesDevices
from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, pairs, print_json
from bridge.cli.tables import print_table
from bridge.config.reading import binding_class, installed_bindings
from bridge.config.secrets import reveal
from bridge.config.shape import Field, shape
from bridge.control.contract import Client
from bridge.errors import ConfigurationError
from bridge.operations.types.networks import AddDevice, AdoptDevices, DeviceAdded, SetIntegration

network_option = click.option("--network", required=True, help="NAME of its section [networks.NAME].")


@click.group("device")
def device_group() -> None:
    """Make devices in their network, or adopt those that are there, where the network can."""


class WithDeviceSettings(click.Command):
    """A command with an option for each device setting of every installed binding that can create devices."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *settings_options()]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [option for option in super().get_params(ctx) if isinstance(option, click.Option)]
        titles: dict[str, list[click.Option]] = {"Options": own}
        titles |= {f"Device in a network of binding {binding}": [*_options(binding)] for binding in makers()}
        for title, options in titles.items():
            with formatter.section(title):
                formatter.write_dl([record for option in options if (record := option.get_help_record(ctx))])


def makers() -> dict[str, type[msgspec.Struct]]:
    """Return the device settings of each installed binding that can create devices."""
    found = {}
    for name in installed_bindings():
        try:
            kind = binding_class(name)
        except ConfigurationError:
            continue  # it cannot be loaded: if a network uses it, reading the configuration says so
        if issubclass(kind, MakesDevices):
            found[name] = kind.device_settings()
    return found


def settings_options() -> list[click.Option]:
    """Return the options of all bindings; an option of several bindings is there once."""
    return [*{option.name: option for binding in makers() for option in _options(binding)}.values()]


def _options(binding: str) -> Iterator[click.Option]:
    for field in shape(makers()[binding]):
        yield click.Option(
            ["--" + field.name.replace("_", "-"), _PREFIX + field.name],
            type=_type(field),
            is_flag=field.kind is bool,
            help=_help(field),
        )


_PREFIX = "device_setting_"


def _type(field: Field) -> Any:
    if field.choices:
        return click.Choice(field.choices)
    return field.kind if field.kind in (int, float, bool) else str


def _help(field: Field) -> str:
    about = field.description[:1].upper() + field.description[1:]
    if field.secret:
        return f"{about}; as file:PATH, env:NAME, or itself."
    return f"{about}." if field.default in (None, "") else f"{about}.  [default: {field.default}]"


def _given_settings() -> dict[str, Any]:
    """Return the device settings of the command line, with references to secrets resolved."""
    context = click.get_current_context()
    secret = {field.name for kind in makers().values() for field in shape(kind) if field.secret}
    found = {}
    for option, value in context.params.items():
        given = context.get_parameter_source(option) is ParameterSource.COMMANDLINE
        if option.startswith(_PREFIX) and given:
            name = option.removeprefix(_PREFIX)
            found[name] = reveal(value, Path.cwd(), set()) if name in secret else value
    return found


@device_group.command("add", cls=WithDeviceSettings)
@target_options
@json_option
@click.argument("address")
@click.argument("name", default="")
@network_option
@click.option("--server", "servers", multiple=True, help="Its LwM2M server; the first is the default.")
@click.option("--confirmed", is_flag=True, help="Send requests in the network's confirmed mode.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Setting of its endpoint.")
@click.option("--integration", is_flag=True, help="Have the network send everything to the running bridge, too.")
@errors_shown
def add(
    target: Target,
    as_json: bool,
    address: str,
    name: str,
    network: str,
    servers: tuple[str, ...],
    confirmed: bool,
    options: tuple[str, ...],
    integration: bool,
    **_settings: Any,
) -> None:
    """Create a device in its network, with all that it needs there, and its endpoint. A second time changes nothing."""
    wanted = AddDevice(
        network=network,
        address=address,
        name=name,
        servers=servers,
        confirmed=confirmed,
        options=pairs(options),
        settings=_given_settings(),
    )

    async def work(client: Client) -> DeviceAdded:
        done = await client.ask(wanted)
        if integration and (await client.ask(SetIntegration(network=network, scope=done.scope))).changed:
            return msgspec.structs.replace(done, changes=(*done.changes, "integration"))
        return done

    done = target.use(work, changes=True)
    if as_json:
        print_json(done)
        return
    where = f" in {done.scope}" if done.scope else ""
    click.echo(f"{done.endpoint.name}: {done.endpoint.address} of network {network}{where}")
    click.echo("made: " + ", ".join(done.changes) if done.changes else "the network had everything already")
    for advice in done.advice:
        click.echo(advice)


@device_group.command("adopt")
@target_options
@json_option
@network_option
@click.option("--server", "servers", multiple=True, help="Their LwM2M server; the first is the default.")
@click.option("--dry-run", is_flag=True, help="Only show what would be adopted.")
@errors_shown
def adopt(target: Target, as_json: bool, network: str, servers: tuple[str, ...], dry_run: bool) -> None:
    """Add an endpoint for every device that the network knows, named by its name_template."""
    done = target.ask(AdoptDevices(network=network, servers=servers, dry_run=dry_run))
    if as_json:
        print_json(done)
        return
    print_table(
        ("device", "in the network", "endpoint"),
        ([one.address, one.name, one.endpoint] for one in done.items),
        f"all {done.known} devices of network {network} have an endpoint",
    )


@device_group.command("integration")
@target_options
@network_option
@errors_shown
def integration(target: Target, network: str) -> None:
    """Let the network send the messages of its devices to the running bridge."""
    changed = target.ask(SetIntegration(network=network)).changed
    click.echo("the integration is set" if changed else "the integration was set already")
