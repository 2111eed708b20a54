"""`lwm2m-bridge downlink`, `uplink` and `status`: what became of every message."""

from pathlib import Path
from typing import Any

import click

from bridge.cli.access import Client, use
from bridge.cli.common import config_option, json_option, moment, pick, print_json, print_table, read_config, told

_limit = click.option("--limit", default=50, show_default=True, help="Rows, newest first.")
_endpoint = click.option("--endpoint", help="Only this endpoint's.")
_state = click.option("--state", help="Only those in this state.")


@click.group("downlink")
def downlink_group() -> None:
    """Messages to devices."""


@click.group("uplink")
def uplink_group() -> None:
    """Messages from devices."""


@downlink_group.command("list")
@config_option
@json_option
@_endpoint
@_state
@_limit
@told
def list_downlinks(config_path: Path, as_json: bool, endpoint: str | None, state: str | None, limit: int) -> None:
    """List messages to devices with their state or outcome."""

    async def work(client: Client) -> Any:
        return await client.ask("GET", "/downlinks", endpoint=endpoint, state=state, limit=limit)

    rows = use(read_config(config_path), work)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("id", "what", "state", "", "accepted", "deliver by", "why"),
        (
            [
                row["id"],
                row["operation"],
                row["state"],
                "over" if row["over"] else "",
                moment(row["accepted_at"]),
                moment(row["deliver_by"]),
                row["reason"],
            ]
            for row in rows
        ),
        "no messages to devices",
    )


@downlink_group.command("cancel")
@config_option
@click.argument("id", type=int)
@told
def cancel(config_path: Path, id: int) -> None:  # noqa: A002  # the argument's name in the usage line
    """Cancel a message; says what that achieved."""

    async def work(client: Client) -> Any:
        return await client.ask("POST", f"/downlinks/{id}/cancel")

    row = use(read_config(config_path), work)
    click.echo(f"{row['id']}: {row['state']}{' (being taken back)' if not row['over'] else ''} {row['reason']}")


@uplink_group.command("list")
@config_option
@json_option
@_endpoint
@_state
@_limit
@told
def list_uplinks(config_path: Path, as_json: bool, endpoint: str | None, state: str | None, limit: int) -> None:
    """List messages from devices with their state or outcome."""

    async def work(client: Client) -> Any:
        return await client.ask("GET", "/uplinks", endpoint=endpoint, state=state, limit=limit)

    rows = use(read_config(config_path), work)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("id", "kind", "what", "state", "received", "why"),
        ([*pick(row, "id", "kind", "operation", "state"), moment(row["received_at"]), row["reason"]] for row in rows),
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
    click.echo("running" if found["ready"] else "the service is down")
    for key, value in found.items():
        if isinstance(value, dict):
            for name, part in value.items():
                click.echo(f"{key:12} {name}: {part}")
        else:
            click.echo(f"{key:12} {value}")
    print_table(
        ("direction", "state", "", "messages"),
        [
            *(["down", row["state"], "over" if row["over"] else "", row["rows"]] for row in counts["downlinks"]),
            *(["up", row["state"], "", row["rows"]] for row in counts["uplinks"]),
        ],
        "no messages yet",
    )
