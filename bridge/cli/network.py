"""`lwm2m-bridge network`: the networks of a bridge, and what each can do."""

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, print_json
from bridge.cli.tables import print_table
from bridge.operations.types.networks import ListNetworks


@click.group("network")
def network_group() -> None:
    """Networks that carry messages of devices."""


@network_group.command("list")
@target_options
@json_option
@errors_shown
def list_networks(target: Target, as_json: bool) -> None:
    """List the networks and what each can do: check itself, list or create devices, set where it sends events."""
    found = target.ask(ListNetworks())
    if as_json:
        print_json(found)
        return
    print_table(
        ("network", "can"),
        ([one.name, ", ".join(one.abilities)] for one in found.items),
        "no network is configured",
    )
