"""`lwm2m-bridge network`: the networks of a bridge, and what each can do."""

import sys

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, outline, print_json
from bridge.cli.tables import print_table
from bridge.errors import NotFound
from bridge.operations.types.networks import ForgetLimits, ListNetworks


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


@network_group.command("show")
@click.argument("name")
@target_options
@json_option
@errors_shown
def show(name: str, target: Target, as_json: bool) -> None:
    """Show the state of network NAME: its calls, and the limits that it was seen to keep, with their age."""
    found = target.ask(ListNetworks()).items
    one = next((one for one in found if one.name == name), None)
    if one is None:
        raise NotFound(f"network {name!r} is not configured (known: {', '.join(one.name for one in found) or 'none'})")
    if as_json:
        print_json(one)
        return
    state = {None: "not known", True: "yes", False: "no"}
    for line in outline({"network": one.name, "can": ", ".join(one.abilities), "up": state[one.up], **one.status}):
        click.echo(line)
    calls = one.status.get("calls")
    if calls and calls["limits"]:
        click.echo(f"The limits are learned from refusals; to forget them: lwm2m-bridge network forget-limits {name}")


@network_group.command("forget-limits")
@click.argument("name")
@target_options
@json_option
@errors_shown
def forget_limits(name: str, target: Target, as_json: bool) -> None:
    """Forget the limits that network NAME was seen to keep, for example after the operator raised them.

    Messages that only these limits held go at once. A time to wait that the network named for one message stays. In a
    cluster all nodes forget them; the exit code is 1 if one was not reached.
    """
    found = target.ask(ForgetLimits(name))
    if as_json:
        print_json(found)
    else:
        click.echo(_forgotten(found.limits))
        for node, limits in found.nodes.items():
            click.echo(f"node {node}: {_forgotten(limits)}")
        for node, why in found.not_reached.items():
            click.echo(f"node {node} may still know limits: {why}; ask again later", err=True)
    if found.not_reached:
        sys.exit(1)


def _forgotten(limits: str | None) -> str:
    return f"forgotten: {limits}" if limits else "no limits of this network were known"
