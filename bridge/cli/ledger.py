"""`lwm2m-bridge downlink`, `uplink` and `status`: what became of every message."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bridge.cli.access import Client, use
from bridge.cli.common import (
    config_option,
    json_option,
    moment,
    moment_near,
    outline,
    pick,
    print_json,
    read_config,
    told,
)
from bridge.cli.tables import print_table


def _listing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what it takes to list rows: the options that choose them, and the form of the output."""
    for option in (
        told,
        click.option("--limit", default=50, show_default=True, help="Rows, newest first."),
        click.option("--state", help="Only those in this state."),
        click.option("--endpoint", help="Only this endpoint's."),
        json_option,
        config_option,
    ):
        command = option(command)
    return command


def _print(
    config_path: Path,
    as_json: bool,
    path: str,
    asked: Mapping[str, Any],
    columns: Sequence[str],
    cells: Callable[[Any], Sequence[object]],
    nothing: str,
) -> None:
    """Print the rows that the bridge gives at `path`: as JSON, or as a table of their `cells`."""

    async def work(client: Client) -> Any:
        return await client.ask("GET", path, **asked)

    rows = use(read_config(config_path), work)
    if as_json:
        print_json(rows)
    else:
        print_table(columns, map(cells, rows), nothing)


@click.group("downlink")
def downlink_group() -> None:
    """Messages to devices."""


@click.group("uplink")
def uplink_group() -> None:
    """Messages from devices."""


@downlink_group.command("list")
@_listing
def list_downlinks(config_path: Path, as_json: bool, **asked: Any) -> None:
    """List messages to devices with their state or outcome."""
    _print(
        config_path,
        as_json,
        "/downlinks",
        asked,
        ("id", "state", "endpoint", "what", "accepted", "deliver by", "why"),
        lambda row: [
            row["id"],
            _state_shown(row),
            *pick(row, "endpoint_name", "operation"),
            moment(row["accepted_at"]),
            "" if row["over"] else moment_near(row["deliver_by"], row["accepted_at"]),
            "" if row["state"] in _SUCCESSES else row["reason"],
        ],
        "no messages to devices",
    )


_SUCCESSES = "RESPONDED", "DELIVERED"
"""States beside which a reason is one of an earlier attempt, and would read as a fault; JSON has it."""


def _state_shown(row: Mapping[str, Any]) -> str:
    """Give the state, and whether it is the outcome where it need not be."""
    return f"{row['state']}, over" if row["over"] and row["state"] in ("SENT", "DELIVERED", "UNKNOWN") else row["state"]


@downlink_group.command("cancel")
@config_option
@click.argument("id", type=int)
@told
def cancel(config_path: Path, id: int) -> None:  # noqa: A002  # the argument's name in the usage line
    """Cancel a message; says what that achieved."""

    async def work(client: Client) -> Any:
        return await client.ask("POST", f"/downlinks/{id}/cancel")

    row = use(read_config(config_path), work)
    note = "" if row["over"] else _CANCELLING.get(row["state"], "")
    click.echo(f"{row['id']}: {row['state']}{note}{'; ' if row['reason'] else ''}{row['reason']}")


_CANCELLING = {
    "SUBMITTING": ", will be taken back if its network takes it",
    "BUFFERED": ", being taken back",
    "UNKNOWN": ", will be taken back if its network has it",
    "SENT": ", not cancelled: it has left for the device; it is not sent again",
    "DELIVERED": ", not cancelled: the device has it",
}


@uplink_group.command("list")
@_listing
def list_uplinks(config_path: Path, as_json: bool, **asked: Any) -> None:
    """List messages from devices with their state or outcome."""
    _print(
        config_path,
        as_json,
        "/uplinks",
        asked,
        ("id", "state", "endpoint", "kind", "what", "received", "why"),
        lambda row: [
            *pick(row, "id", "state", "endpoint_name", "kind", "operation"),
            moment(row["received_at"]),
            row["reason"],
        ],
        "no messages from devices",
    )


@click.command("status")
@config_option
@json_option
@told
def status(config_path: Path, as_json: bool) -> None:
    """Show how the bridge is, and how many messages are in which state."""

    async def work(client: Client) -> Any:
        return {**await client.ask("GET", "/status"), "counts": await client.ask("GET", "/counts")}

    found = use(read_config(config_path), work)
    if as_json:
        print_json(found)
        return
    counts = found.pop("counts")
    click.echo("the service is running" if found.pop("ready") else "the service is down")
    for line in outline({**found, "time": moment(found["time"])}):
        click.echo(line)
    click.echo("")
    print_table(
        ("direction", "state", "", "messages"),
        [
            *(["down", row["state"], "over" if row["over"] else "", row["rows"]] for row in counts["downlinks"]),
            *(["up", row["state"], "", row["rows"]] for row in counts["uplinks"]),
        ],
        "no messages yet",
    )
