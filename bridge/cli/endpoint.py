"""`lwm2m-bridge endpoint`: who is who, on which network, for which server."""

import sys
from pathlib import Path
from typing import Any

import click

from bridge.cli.access import Client, endpoint_path, use
from bridge.cli.common import (
    config_option,
    json_option,
    moment,
    outline,
    pick,
    print_json,
    read_config,
    span,
    told,
)
from bridge.cli.tables import print_table

_PAGE = 1000


@click.group("endpoint")
def endpoint_group() -> None:
    """Add, import, show and remove endpoints; ask why a message is not out yet."""


@endpoint_group.command("list")
@config_option
@json_option
@click.option("--network", help="Only endpoints of this network.")
@click.option("--server", help="Only endpoints of this server.")
@click.option("--prefix", default="", help="Only names that begin like this.")
@told
def list_endpoints(config_path: Path, as_json: bool, network: str | None, server: str | None, prefix: str) -> None:
    """List endpoints in the order of their names."""

    async def work(client: Client) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = ""
        while page := await client.ask(
            "GET", "/endpoints", network=network, server=server, prefix=prefix, after=after, limit=_PAGE
        ):
            found += page
            after = page[-1]["name"]
        return found

    rows = use(read_config(config_path), work)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("endpoint", "network", "address", "servers", "seen as"),
        ([*pick(r, "name", "network", "device"), " ".join(r["servers"]), " ".join(r["locals"])] for r in rows),
        "no endpoints; add one with `lwm2m-bridge endpoint add`",
    )


@endpoint_group.command("add")
@config_option
@click.argument("name", default="")
@click.option("--network", required=True, help="Network that the device is on.")
@click.option("--address", required=True, help="Its address there: External Identifier, MSISDN, DevEUI.")
@click.option("--server", "servers", multiple=True, help="Its LwM2M server; the first is the default.")
@click.option("--profile", default="", help="Server profile, if not the server's own.")
@click.option("--default-ttl", type=float, help="Seconds that a request may wait for this device.")
@click.option("--object-list", help="CoRE links for a Register that has none.")
@click.option("--confirmed", is_flag=True, help="Ask the network for confirmed delivery.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Setting for the binding.")
@told
def add(config_path: Path, options: tuple[str, ...], address: str, **fields: Any) -> None:
    """Add an endpoint. Without NAME, the network's template gives it one."""
    pairs = dict(option.split("=", 1) for option in options if "=" in option)
    if len(pairs) != len(options):
        raise click.BadParameter("write NAME=VALUE", param_hint="--option")
    draft = {**fields, "device": address, "options": pairs}

    async def work(client: Client) -> Any:
        return await client.ask("POST", "/endpoints", [draft])

    (made,) = use(read_config(config_path), work)
    seen = " ".join(made["locals"]) or "gets its address at the next start"
    click.echo(f"{made['name']}: {made['network']} {made['device']}, {seen}")


@endpoint_group.command("import")
@config_option
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--partial", is_flag=True, help="Take the good lines even if others are wrong.")
@click.option("--update", is_flag=True, help="Also change endpoints that are there with other settings.")
@told
def import_file(config_path: Path, file: Path, partial: bool, update: bool) -> None:
    """Import a CSV file: endpoint,network,address,servers,profile,default_ttl,object_list."""
    flags = {"partial": str(partial).lower(), "update": str(update).lower()}
    content = file.read_bytes()

    async def work(client: Client) -> Any:
        return await client.ask("POST", "/endpoints.csv", content=content, **flags)

    done = use(read_config(config_path), work)
    for fault in done["faults"]:
        click.echo(f"{file}:{fault['line']}: {fault['reason']}", err=True)
    click.echo(
        f"{done['added']} added, {done['changed']} changed, {done['unchanged']} unchanged, {len(done['faults'])} wrong"
    )
    if done["faults"]:
        if not partial:
            click.echo("nothing was taken; mend the lines above, or take the others with --partial", err=True)
        sys.exit(1)


@endpoint_group.command("export")
@config_option
@told
def export_file(config_path: Path) -> None:
    """Print all endpoints as CSV."""

    async def work(client: Client) -> Any:
        return await client.ask("GET", "/endpoints.csv")

    click.echo(use(read_config(config_path), work), nl=False)


@endpoint_group.command("set")
@config_option
@click.argument("name")
@click.argument("settings", nargs=-1, required=True, metavar="FIELD=VALUE...")
@told
def change(config_path: Path, name: str, settings: tuple[str, ...]) -> None:
    """Change settings of an endpoint.

    \b
    FIELD is one of:
      name, network, address
      servers           several with commas; the first is the default
      profile           empty: the server's own
      default_ttl       seconds; empty: none
      object_list       CoRE links; empty: none
      confirmed         true or false
      enabled           true or false; what waits for a disabled endpoint gets its outcome
      option.NAME       a setting for the binding; empty: removed
    """
    fields: dict[str, Any] = {}
    options: dict[str, str] = {}
    for setting in settings:
        field, equals, value = setting.partition("=")
        if not equals:
            raise click.BadParameter(f"{setting!r} is not FIELD=VALUE")
        if field.startswith("option."):
            options[field.removeprefix("option.")] = value
        else:
            fields["device" if field == "address" else field] = _value(field, value)

    async def work(client: Client) -> Any:
        path = endpoint_path(name)
        if options:
            before = (await client.ask("GET", path)).get("options", {})
            fields["options"] = {key: value for key, value in {**before, **options}.items() if value}
        return await client.ask("PATCH", path, fields)

    made = use(read_config(config_path), work)
    state = "" if made["enabled"] else ", disabled"
    click.echo(f"{made['name']}: {made['network']} {made['device']}, servers {' '.join(made['servers'])}{state}")


def _value(field: str, value: str) -> Any:
    if field == "servers":
        return value.replace(",", " ").replace(";", " ").split()
    if field == "default_ttl":
        try:
            return float(value) if value else None
        except ValueError:
            raise click.BadParameter(f"default_ttl is seconds, not {value!r}") from None
    if field in ("confirmed", "enabled"):
        if value not in ("true", "false"):
            raise click.BadParameter(f"{field} is true or false")
        return value == "true"
    return value or None if field == "object_list" else value


@endpoint_group.command("remove")
@config_option
@click.argument("name")
@told
def remove(config_path: Path, name: str) -> None:
    """Remove an endpoint: what waits for it gets its outcome, its network is told."""

    async def work(client: Client) -> Any:
        return await client.ask("DELETE", endpoint_path(name))

    gone = use(read_config(config_path), work)
    click.echo(f"{gone['name']} is removed")


@endpoint_group.command("show")
@config_option
@json_option
@click.argument("name")
@told
def show(config_path: Path, as_json: bool, name: str) -> None:
    """Show an endpoint, and why each message for it is not out yet."""

    async def work(client: Client) -> Any:
        if client.running:
            return await client.ask("GET", f"{endpoint_path(name)}/explain")
        return {"endpoint": await client.ask("GET", endpoint_path(name)), "time": None, "waiting": []}

    found = use(read_config(config_path), work)
    if as_json:
        print_json(found)
        return
    endpoint = found["endpoint"]
    for line in outline({**endpoint, **{key: moment(endpoint[key]) for key in ("created_at", "changed_at")}}):
        click.echo(line)
    now = found["time"]
    if now is None:
        click.echo("the service is down: nothing moves")
        return
    click.echo("")
    print_table(
        ("downlink", "state", "what", "waits", "next at", "why"),
        (
            [w["downlink"], w["state"], w["operation"], span(now - w["since"]), moment(w["next_at"]), w["why"]]
            for w in found["waiting"]
        ),
        "nothing waits for this device",
    )
