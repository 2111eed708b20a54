"""`lwm2m-bridge config`: a template, a check, and comparison with a running service."""

from pathlib import Path

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import config_option, errors_shown, json_option, print_json, read_config
from bridge.cli.tables import print_table


@click.group("config")
def config_group() -> None:
    """Write, check, compare and reload configurations."""


@config_group.command("template")
def print_template() -> None:
    """Print a commented configuration with every setting and its default."""
    from bridge.config import template

    click.echo(template(), nl=False)


@config_group.command("check")
@config_option
@errors_shown
def check(config_path: Path) -> None:
    """Check whether a configuration can be used; say what is wrong, and the cure."""
    from bindings.contract import ExplainsOptions, ExplainsSettings
    from bindings.option_names import SERVER_PORTS
    from bindings.server_ports import written
    from bridge.config import checked

    config = read_config(config_path)
    networks = checked(config)
    parts = (("server", config.servers), ("network", config.networks), ("endpoint", config.endpoints))
    counts = ", ".join(f"{len(part)} {name}{'' if len(part) == 1 else 's'}" for name, part in parts)
    idle = f", but it {config.idle}" if config.idle else ""
    click.echo(f"{config_path}: {counts}; nothing is wrong{idle}")
    for name, network in networks.items():
        if isinstance(network, ExplainsSettings):
            for sentence in network.explain_settings():
                click.echo(f"{config.networks[name].where} {sentence}")
        ports = config.networks[name].server_ports
        if ports and isinstance(network, ExplainsOptions):
            for sentence in network.explain_options({SERVER_PORTS: written(ports)}):
                click.echo(f"{config.networks[name].where} {SERVER_PORTS}: {sentence}")


@config_group.command("diff")
@target_options
@json_option
@errors_shown
def diff(target: Target, as_json: bool) -> None:
    """Compare the file with the configuration that the running service uses; say when each difference would apply."""
    _reload(target, as_json, dry_run=True)


@config_group.command("reload")
@target_options
@json_option
@click.option("--dry-run", is_flag=True, help="Change nothing: only say what differs, and when it would apply.")
@errors_shown
def reload(target: Target, as_json: bool, dry_run: bool) -> None:
    """Let the running service read its file again, as SIGHUP does; a file with an error changes nothing."""
    _reload(target, as_json, dry_run=dry_run)


def _reload(target: Target, as_json: bool, *, dry_run: bool) -> None:
    from bridge.operations.types.config import ReloadConfig

    found = target.ask(ReloadConfig(dry_run=dry_run))
    if as_json:
        print_json(found)
        return
    print_table(
        ("setting", "in force", "in the file", "applies"),
        ([one.setting, one.before, one.after, one.applies] for one in found.items),
        "the file says what is in force",
    )
