"""`lwm2m-bridge cluster`: the nodes that share a ledger."""

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, moment, print_json
from bridge.cli.tables import print_table
from bridge.operations.types.cluster import Cluster, ClusterNode, DrainNode, GetCluster


@click.group("cluster")
def cluster_group() -> None:
    """Show the nodes that share the ledger, and let one hand over what it serves."""


@cluster_group.command("status")
@json_option
@target_options
@errors_shown
def status(target: Target, as_json: bool) -> None:
    """Show all nodes with their leases and shards. Any running node knows all of them."""
    _show(target.ask(GetCluster()), as_json=as_json)


@cluster_group.command("drain")
@click.argument("node")
@click.option("--off", is_flag=True, help="Let it serve shards again.")
@json_option
@target_options
@errors_shown
def drain(target: Target, node: str, off: bool, as_json: bool) -> None:
    """Let NODE hand its shards over to the others, a few at a time. It stays so until it is started anew."""
    _show(target.ask(DrainNode(node=node, on=not off)), as_json=as_json)


def _show(found: Cluster, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_table(
        ("node", "state", "lease", "shards", "release", "started"),
        (_cells(one, found.node) for one in found.nodes),
        "there are no nodes",
    )
    if found.unserved:
        click.echo(f"{found.unserved} of {found.shards} shards are served by nobody at this moment")


def _cells(one: ClusterNode, asked: str) -> list[object]:
    state = "lease over" if not one.alive else "draining" if one.draining else "serves"
    name = f"{one.name} (asked)" if one.name == asked else one.name
    return [name, state, f"{one.lease:.1f} s", one.shards, one.release, moment(one.started_at)]
