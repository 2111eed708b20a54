"""`lwm2m-bridge downlink`, `uplink` and `status`: what became of every message."""

from collections.abc import Mapping
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
    print_table,
    read_config,
    told,
)

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
        ("id", "endpoint", "what", "state", "accepted", "deliver by", "why"),
        (
            [
                *pick(row, "id", "endpoint_name", "operation"),
                _state_shown(row),
                moment(row["accepted_at"]),
                "" if row["over"] else moment_near(row["deliver_by"], row["accepted_at"]),
                row["reason"],
            ]
            for row in rows
        ),
        "no messages to devices",
    )


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
        ("id", "endpoint", "kind", "what", "state", "received", "why"),
        (
            [*pick(row, "id", "endpoint_name", "kind", "operation", "state"), moment(row["received_at"]), row["reason"]]
            for row in rows
        ),
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
