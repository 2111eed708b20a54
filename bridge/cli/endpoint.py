"""`lwm2m-bridge endpoint`: endpoints, their networks, device addresses and servers."""

import csv
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from bindings.option_names import ONE_PORT, SERVER_PORTS
from bindings.provisioning import ProvisioningState
from bridge.cli.access import Target, target_options
from bridge.cli.common import SPAN, errors_shown, json_option, moment, moment_near, outline, pairs, print_json, span
from bridge.cli.tables import in_words, print_table
from bridge.control.contract import Client
from bridge.errors import NotRunning, NotServedHere
from bridge.operations.types.endpoints import (
    IMPORTING,
    AddEndpoints,
    DisableEndpoint,
    EnableEndpoint,
    EndpointItem,
    EndpointPage,
    EndpointsImported,
    ExplainEndpoint,
    GetEndpointState,
    ImportEndpoints,
    ListEndpoints,
    NewEndpoint,
    ProvisionEndpoint,
    RegistrationState,
    RemoveEndpoint,
    SeenView,
    UpdateEndpoint,
    Waiting,
)
from bridge.operations.types.request import LARGEST_PAGE
from bridge.spreadsheet import guarded
from bridge.store.order import Order

_PAGE = 1000


@click.group("endpoint")
def endpoint_group() -> None:
    """Add, import, show and remove endpoints; show why a message is not sent yet."""


async def pages(client: Client, asked: ListEndpoints) -> AsyncIterator[EndpointPage]:
    """Yield page after page until the last one."""
    cursor: str | None = asked.after
    while cursor is not None:
        page = await client.ask(msgspec.structs.replace(asked, after=cursor))
        yield page
        cursor = page.next


@endpoint_group.command("list")
@target_options
@json_option
@click.option("--network", help="Only endpoints of this network.")
@click.option("--server", help="Only endpoints of this server.")
@click.option("--enabled/--disabled", default=None, help="Only enabled, or only disabled, endpoints.")
@click.option("--prefix", default="", help="Only names that begin like this.")
@click.option("--text", default="", help="Only endpoints with this text in their name or address.")
@click.option(
    "--provisioning",
    type=click.Choice([state.value for state in ProvisioningState]),
    multiple=True,
    help="Only endpoints in this state of provisioning.",
)
@click.option("--registered/--unregistered", default=None, help="Only those with a live registration, or without.")
@click.option(
    "--waiting/--idle", default=None, help="Only endpoints for which a message waits, or for which none does."
)
@click.option("--silent", type=SPAN, help="Only endpoints from which nothing came for this long: 90, 15min, 6h, 2d.")
@click.option(
    "--sort", type=click.Choice([order.value for order in Order]), default=Order.NAME.value, show_default=True
)
@click.option("--descending", is_flag=True, help="The largest, latest or last first.")
@click.option("--limit", type=click.IntRange(1, LARGEST_PAGE), default=100, show_default=True, help="Endpoints a page.")
@click.option("--after", default="", help="The page after this: `next` of the page before.")
@click.option("--all", "everything", is_flag=True, help="Page after page to the last; with --json an endpoint a line.")
@errors_shown
def list_endpoints(
    target: Target,
    as_json: bool,
    everything: bool,
    silent: float | None,
    sort: str,
    provisioning: tuple[str, ...],
    **asked: Any,
) -> None:
    """List endpoints: whether they are provisioned and registered, and the times of their latest messages."""
    states = tuple(map(ProvisioningState, provisioning))
    request = ListEndpoints(silent_for=silent, sort=Order(sort), provisioning=states, **asked)
    if everything:
        target.use(lambda client: _list_all(client, request, as_json=as_json))
        return
    found = target.ask(request)
    if as_json:
        print_json(found)
        return
    _print_page(found, "no endpoints; add one with `lwm2m-bridge endpoint add`")
    if found.next is not None:
        click.echo(f"there are more: --after {found.next}")


async def _list_all(client: Client, asked: ListEndpoints, *, as_json: bool) -> None:
    asked = msgspec.structs.replace(asked, limit=_PAGE)
    empty = "no endpoints"
    async for page in pages(client, asked):
        if as_json:
            for one in page.items:
                click.echo(msgspec.json.encode(one))
        elif page.items or empty:
            _print_page(page, empty)
        empty = ""


def _print_page(page: EndpointPage, empty: str) -> None:
    now = page.time
    print_table(
        ("endpoint", "network", "address", "provisioned", "registered", "last uplink", "last downlink", "waiting", ""),
        (
            [
                one.name,
                one.network,
                one.address,
                one.provisioning.state,
                _registered(one),
                ago(one.last_uplink, now),
                ago(one.last_downlink, now),
                one.waiting or "",
                "" if one.enabled else "disabled",
            ]
            for one in page.items
        ),
        empty,
    )


def _registered(endpoint: EndpointItem) -> str:
    """Return the servers at which an endpoint is registered, and where the registration is late or lapsed."""
    return " ".join(_at(one) for one in endpoint.registrations)


def _at(one: RegistrationState) -> str:
    if not one.live:
        return f"({one.server}, lapsed)"
    return f"{one.server} (late)" if one.late else one.server


def ago(seen: SeenView | None, now: float) -> str:
    """Return how long ago a message was, for people."""
    return "" if seen is None else f"{span(max(now - seen.at, 0))} ago"


@endpoint_group.command("add")
@target_options
@json_option
@click.argument("name", default="")
@click.option("--network", required=True, help="Network that the device is on.")
@click.option("--address", required=True, help="Its address there: External Identifier, MSISDN, DevEUI.")
@click.option("--server", "servers", multiple=True, help="Its LwM2M server; the first is the default.")
@click.option("--profile", default="", help="Server profile, if not the server's own.")
@click.option("--default-ttl", type=float, help="Seconds that a request may wait for this device.")
@click.option("--object-list", help="CoRE links for a Register that has none.")
@click.option("--confirmed", is_flag=True, help="Ask the network for confirmed delivery.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Setting for the binding.")
@errors_shown
def add(target: Target, as_json: bool, options: tuple[str, ...], **fields: Any) -> None:
    """Add an endpoint. Without NAME, the network's template makes one."""
    (made,) = target.ask(AddEndpoints((NewEndpoint(**fields, options=pairs(options)),))).items
    if as_json:
        print_json(made)
        return
    seen = " ".join(made.seen_as) or "gets its address at the next start"
    click.echo(f"{made.name}: {made.network} {made.address}, {seen}")


@endpoint_group.command("import")
@target_options
@json_option
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--partial", is_flag=True, help="Import the correct lines even if others are wrong.")
@click.option("--update", is_flag=True, help="Also change existing endpoints whose settings differ.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("--rows", is_flag=True, help="Report on each line.")
@errors_shown
def import_file(
    target: Target, as_json: bool, file: Path, partial: bool, update: bool, dry_run: bool, rows: bool
) -> None:
    """Import a CSV file: endpoint,network,address,servers,profile,default_ttl,object_list."""
    asked = ImportEndpoints(csv=file.read_bytes(), partial=partial, update=update, dry_run=dry_run, rows=rows)

    async def work(client: Client) -> EndpointsImported:
        from bridge.cli.progress import progress_shown  # it loads an event loop, which help texts can do without

        async with progress_shown(client, IMPORTING, "importing"):
            return await client.ask(asked)

    done = target.use(work, changes=True)
    if as_json:
        print_json(done)
    else:
        for fault in done.faults:
            click.echo(f"{file}:{fault.line}: {fault.reason}", err=True)
        if rows:
            print_table(("line", "endpoint", "outcome"), [(row.line, row.name, row.outcome) for row in done.rows], "")
        counts = f"{done.added} added, {done.changed} changed, {done.unchanged} unchanged, {len(done.faults)} wrong"
        click.echo(f"dry run, nothing is changed: {counts}" if dry_run else counts)
        if done.faults and not partial:
            click.echo("nothing was imported; correct the lines above, or import the others with --partial", err=True)
    if done.faults:
        sys.exit(1)


@endpoint_group.command("export")
@target_options
@errors_shown
def export_file(target: Target) -> None:
    """Print all endpoints as CSV, for `endpoint import`."""
    from bridge.directory.csvfile import COLUMNS

    csv.writer(sys.stdout, lineterminator="\n").writerow(COLUMNS)
    # In quotes, also where a spreadsheet takes another character for the end of a cell.
    writer = csv.writer(sys.stdout, lineterminator="\n", quoting=csv.QUOTE_ALL)

    async def work(client: Client) -> None:
        async for page in pages(client, ListEndpoints(limit=_PAGE)):
            for one in page.items:
                ttl = "" if one.default_ttl is None else f"{one.default_ttl:g}"
                servers = " ".join(one.servers)
                texts = (one.name, one.network, one.address, servers, one.profile, ttl, one.object_list or "")
                writer.writerow(map(guarded, texts))

    target.use(work)


@endpoint_group.command("set")
@target_options
@json_option
@click.argument("name")
@click.argument("settings", nargs=-1, required=True, metavar="FIELD=VALUE...")
@errors_shown
def change(target: Target, as_json: bool, name: str, settings: tuple[str, ...]) -> None:
    """Change settings of an endpoint.

    \b
    FIELD is one of:
      name, network, address
      servers           several with commas; the first is the default
      profile           empty: the server's own
      default_ttl       seconds; empty: none
      object_list       CoRE links; empty: none
      confirmed         true or false
      enabled           true or false; messages that wait for a disabled endpoint get their outcome
      option.NAME       a setting for the binding; empty: it is removed
    """
    fields: dict[str, Any] = {}
    options: dict[str, str | None] = {}
    for setting in settings:
        field, equals, value = setting.partition("=")
        if not equals:
            raise click.BadParameter(f"{setting!r} is not of the form FIELD=VALUE")
        if field.startswith("option."):
            options[field.removeprefix("option.")] = value or None
        elif field not in _FIELDS:
            raise click.BadParameter(f"there is no field {field!r}; there are: {', '.join(_FIELDS)}, option.NAME")
        else:
            fields[field] = _value(field, value)
    if options:
        fields["options"] = options
    made = target.ask(UpdateEndpoint(endpoint=name, **fields))
    if as_json:
        print_json(made)
        return
    state = "" if made.enabled else ", disabled"
    click.echo(f"{made.name}: {made.network} {made.address}, servers {' '.join(made.servers)}{state}")


_FIELDS = ("name", "network", "address", "servers", "profile", "default_ttl", "object_list", "confirmed", "enabled")


def _value(field: str, value: str) -> Any:
    if field == "servers":
        return tuple(value.replace(",", " ").replace(";", " ").split())
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


@endpoint_group.command("enable")
@target_options
@click.argument("name")
@errors_shown
def enable(target: Target, name: str) -> None:
    """Enable a disabled endpoint: its messages pass again."""
    click.echo(f"{target.ask(EnableEndpoint(name)).name} is enabled")


@endpoint_group.command("disable")
@target_options
@click.argument("name")
@errors_shown
def disable(target: Target, name: str) -> None:
    """Disable an endpoint: nothing more is accepted, waiting messages get their outcome.

    The endpoint keeps its address.
    """
    click.echo(f"{target.ask(DisableEndpoint(name)).name} is disabled")


@endpoint_group.command("provision")
@target_options
@click.argument("name")
@errors_shown
def provision(target: Target, name: str) -> None:
    """Ask the endpoint's network again to carry the data of its device."""
    asked = target.ask(ProvisionEndpoint(name))
    click.echo(f"{asked.name}: network {asked.network} was asked again to carry its data")


@endpoint_group.command("remove")
@target_options
@click.argument("name")
@errors_shown
def remove(target: Target, name: str) -> None:
    """Remove an endpoint, also from its network; messages that wait for it get their outcome."""
    click.echo(f"{target.ask(RemoveEndpoint(name)).name} is removed")


@endpoint_group.command("show")
@target_options
@json_option
@click.argument("name")
@errors_shown
def show(target: Target, as_json: bool, name: str) -> None:
    """Show an endpoint, and why each message to it is not sent yet."""
    try:
        explained = target.ask(ExplainEndpoint(name))
    except NotRunning:
        endpoint = target.ask(GetEndpointState(name))
        if as_json:
            print_json({"endpoint": endpoint, "time": None, "waiting": ()})
            return
        _print_endpoint(endpoint, endpoint.registrations, time.time())
        click.echo("the service is down: nothing is sent")
        return
    except NotServedHere as error:
        endpoint = target.ask(GetEndpointState(name))
        if as_json:
            print_json({"endpoint": endpoint, "time": None, "waiting": ()})
            return
        _print_endpoint(endpoint, endpoint.registrations, time.time())
        click.echo(f"why messages wait is known to the node that serves it: {error}")
        return
    if as_json:
        print_json(explained)
        return
    _print_endpoint(explained.endpoint, (), explained.time)
    if explained.unreachable is not None:
        report = explained.unreachable
        until = "" if report.until is None else f"; it listens again {moment(report.until)}"
        click.echo(f"{'not reachable':<24} since {moment(report.since)}: {report.detail}{until}")
    for link in explained.links:
        reason = f": {link.reason}" if link.reason else ""
        click.echo(f"{'toward ' + link.server:<24} {link.state.value}{reason}")
    for one in explained.registrations:
        ends = moment_near(one.renewed_at + one.lifetime, explained.time)
        seen = f", {one.observations} observed" if one.observations else ""
        belief = ""
        if one.awake_until is not None:
            awake = one.awake_until > explained.time
            belief = f", {'awake' if awake else 'asleep'} for it"
            belief += f" until {moment_near(one.awake_until, explained.time)}" if awake else ""
        left = one.renewed_at + one.lifetime - explained.time
        until = f"until {ends} unless renewed" if left > 0 else f"lapsed {ends}"
        warning = f"; late: the device should have renewed it, {span(left)} are left" if one.late else ""
        click.echo(f"{'registered at ' + one.server:<24} {one.path}, {until}{seen}{belief}{warning}")
    click.echo("")
    print_table(
        ("downlink", "state", "what", "waits", "next at", "why"),
        (_waiting(one, explained.time) for one in explained.waiting),
        "nothing waits for this device",
    )


def _print_endpoint(endpoint: EndpointItem, registrations: Sequence[RegistrationState], now: float) -> None:
    shown = msgspec.structs.asdict(endpoint)
    for name in (
        "provisioning",
        "registrations",
        "last_uplink",
        "last_downlink",
        "waiting",
        "application_ports",
        "shard",
        "node",
    ):
        del shown[name]
    times = {"created_at": moment(endpoint.created_at), "changed_at": moment(endpoint.changed_at)}
    for line in outline({**shown, **times}):
        click.echo(line)
    for name, text in _state_lines(endpoint, registrations, now):
        click.echo(f"{name:<24} {text}")


def _state_lines(
    endpoint: EndpointItem, registrations: Sequence[RegistrationState], now: float
) -> Iterator[tuple[str, str]]:
    """Yield the lines about an endpoint's state; `now`: by the bridge's clock."""
    if endpoint.node is not None:
        yield "shard", f"{endpoint.shard}, served by {endpoint.node or 'no node at this moment'}"
    provisioning = endpoint.provisioning
    text = str(provisioning.state)
    if provisioning.since is not None:
        text += f" since {moment(provisioning.since)}"
    if provisioning.reason:
        text += f": {provisioning.reason}"
    if provisioning.retry_at is not None:
        text += f"; next try {moment(provisioning.retry_at)}"
    yield "provisioning", text
    if endpoint.application_ports:
        whose = "its own" if endpoint.options.keys() & (ONE_PORT | {SERVER_PORTS}) else "its network's"
        ports = ", ".join(f"{server} {port}" for server, port in endpoint.application_ports.items())
        yield "ports of servers", f"{ports} ({whose})"
    for one in registrations:
        yield f"registered at {one.server}", f"{one.path}, {'until' if one.live else 'lapsed'} {moment(one.lapses_at)}"
    if not endpoint.registrations:
        yield "registered", "no registration that the bridge can read"
    for name, seen in (("last uplink", endpoint.last_uplink), ("last downlink", endpoint.last_downlink)):
        yield name, "none" if seen is None else f"{moment(seen.at)}, {ago(seen, now)} (id {seen.id})"


def _waiting(one: Waiting, now: float) -> list[object]:
    return [one.downlink, one.state, one.operation, span(now - one.since), moment(one.next_at), in_words(one.why)]
