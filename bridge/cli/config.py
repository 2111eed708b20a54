"""`lwm2m-bridge config`: a template, and a check."""

from pathlib import Path

import click

from bridge.cli.common import config_option, errors_shown, read_config


@click.group("config")
def config_group() -> None:
    """Write and check configurations."""


@config_group.command("template")
def print_template() -> None:
    """Print a commented configuration with every setting and its default."""
    from bridge.config import template

    click.echo(template(), nl=False)


@config_group.command("check")
@config_option
@errors_shown
def check(config_path: Path) -> None:
    """Say whether a configuration can be used, or what is wrong and the cure."""
    from bridge.config import checked

    config = read_config(config_path)
    checked(config)
    parts = (("server", config.servers), ("network", config.networks), ("endpoint", config.endpoints))
    counts = ", ".join(f"{len(part)} {name}{'' if len(part) == 1 else 's'}" for name, part in parts)
    idle = f", but it {config.idle}" if config.idle else ""
    click.echo(f"{config_path}: {counts}; nothing is wrong{idle}")
