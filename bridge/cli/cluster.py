"""`lwm2m-bridge cluster`: the nodes that share a ledger."""

import sys
import time
from pathlib import Path

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import SPAN, config_option, errors_shown, json_option, moment, print_json, read_config
from bridge.cli.tables import print_table
from bridge.errors import ConfigurationError
from bridge.operations.types.cluster import Cluster, ClusterNode, DrainNode, GetCluster, ListShards, ShardList

_PAUSE = 0.5  # seconds between two looks at a node that hands over


@click.group("cluster")
def cluster_group() -> None:
    """Show the nodes that share the ledger, what moves between them, and let one hand over what it serves."""


@cluster_group.command("status")
@json_option
@target_options
@click.option("--shards", is_flag=True, help="Show which node serves each shard.")
@errors_shown
def status(target: Target, as_json: bool, shards: bool) -> None:
    """Show all nodes with their leases and shards. Any running node knows all of them."""
    if shards:
        _show_shards(target.ask(ListShards()), as_json=as_json)
    else:
        _show(target.ask(GetCluster()), as_json=as_json)


@cluster_group.command("drain")
@click.argument("node", default="")
@click.option("--off", is_flag=True, help="Let it serve shards again.")
@click.option("--wait", type=SPAN, help="Wait until it has no shards, for at most so long: 45, 2min.")
@json_option
@target_options
@errors_shown
def drain(target: Target, node: str, off: bool, wait: float | None, as_json: bool) -> None:
    """Let NODE hand its shards over to the others, a few at a time. The node takes no shard until it is started again.

    Without NODE it is the node that is asked. The exit code is 1 if it still has shards after --wait, although others
    could take them.
    """
    asked = node or target.ask(GetCluster()).node
    found = target.ask(DrainNode(node=asked, on=not off))
    ends = time.monotonic() + (wait or 0.0)
    while not off and _hands_over(found, asked) and time.monotonic() < ends:
        time.sleep(_PAUSE)
        found = target.ask(GetCluster())
    _show(found, as_json=as_json)
    if wait is not None and not off and _hands_over(found, asked):
        sys.exit(1)


@cluster_group.command("prefixes")
@click.option("--shard", "shards", type=click.IntRange(0, 255), multiple=True, help="Only this shard; may be repeated.")
@json_option
@config_option
@errors_shown
def prefixes(config_path: Path, shards: tuple[int, ...], as_json: bool) -> None:
    """Print which networks move with each shard, by [north] prefixes of the configuration: a line for each shard.

    They are what take_command and release_command get as arguments. No service needs to run.
    """
    from bridge.north.udp.prefixes import SHARDS, networks_of_shard, pools

    config = read_config(config_path, secrets=False)
    found = pools(config.north.prefixes)
    if not found:
        where = config.where("[north] prefixes")
        raise ConfigurationError(f"{where}: there are none, so that nothing moves with a shard; set them")
    parts = {shard: [str(one) for one in networks_of_shard(found, shard)] for shard in shards or range(SHARDS)}
    if as_json:
        print_json([{"shard": shard, "networks": networks} for shard, networks in parts.items()])
        return
    for shard, networks in parts.items():
        click.echo(f"{shard:3} {' '.join(networks)}")


def _hands_over(found: Cluster, node: str) -> bool:
    """Return whether a node has shards that another one could take."""
    others = [one for one in found.nodes if one.name != node and one.alive and not (one.draining or one.leaving)]
    return bool(others) and any(one.shards for one in found.nodes if one.name == node)


def _show(found: Cluster, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_table(
        ("node", "state", "lease", "shards", "endpoints", "release", "started"),
        (_cells(one, found.node) for one in found.nodes),
        "there are no nodes",
    )
    if found.to_move:
        click.echo(f"{found.to_move} of {found.shards} shards are to move to another node, a few at a time")
    if found.unserved:
        click.echo(f"{found.unserved} of {found.shards} shards are served by nobody at this moment")
    for one in found.nodes:
        if one.failing:
            click.echo(f"{one.name} could not serve {one.failing} of the shards that it tried: {one.failing_why}")
        for what in one.contradictions:
            click.echo(f"{one.name} contradicts {found.node}: {what}")
        for what in one.differences:
            click.echo(f"{one.name} differs from {found.node}: {what}")


def _cells(one: ClusterNode, asked: str) -> list[object]:
    name = f"{one.name} (asked)" if one.name == asked else one.name
    return [name, _state(one), f"{one.lease:.1f} s", one.shards, one.endpoints, one.release, moment(one.started_at)]


def _state(one: ClusterNode) -> str:
    if not one.alive:
        return "lease over"
    if one.leaving:
        return "stopping"
    if one.draining:
        return "draining"
    if one.unfit:
        return "takes no more" if one.shards else "cannot serve"
    return "serves"


def _show_shards(found: ShardList, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_table(
        ("shard", "node", "since", "epoch", "endpoints"),
        ([one.shard, one.node or "nobody", moment(one.since), one.epoch, one.endpoints] for one in found.items),
        "there are no shards",
    )
