"""Commands for a running emulated device: `lwm2m-bridge mock device --control … set NAME PATH VALUE`."""

import click

from mock_network.lwm2m.ask import call, json_option, segment, show, value_of

ACTIONS = (
    "register", "update", "deregister", "bootstrap", "poll", "mute", "unmute", "crash", "restart",
)  # fmt: skip


@click.command("list")
@json_option
@click.pass_context
def list_devices(context: click.Context, as_json: bool) -> None:
    """List the devices."""
    columns = ("endpoint", "address", "registered", "location")
    show(call(context.obj, "GET", "/devices"), as_json=as_json, columns=columns)


@click.command()
@click.argument("endpoint")
@click.argument("path")
@json_option
@click.pass_context
def get(context: click.Context, endpoint: str, path: str, as_json: bool) -> None:
    """Show the value of a resource."""
    found = call(context.obj, "GET", f"/devices/{segment(endpoint)}/resources{path}")
    show(found if as_json else found["value"], as_json=as_json)


@click.command("set")
@click.argument("endpoint")
@click.argument("path")
@click.argument("value")
@click.pass_context
def set_value(context: click.Context, endpoint: str, path: str, value: str) -> None:
    """Set the value of a resource, as a sensor would. A value is JSON, or text where it is none."""
    call(context.obj, "PUT", f"/devices/{segment(endpoint)}/resources{path}", {"value": value_of(value)})


@click.command()
@click.argument("endpoint")
@click.argument("paths", nargs=-1, required=True)
@json_option
@click.pass_context
def send(context: click.Context, endpoint: str, paths: tuple[str, ...], as_json: bool) -> None:
    """Send the values at the paths to the server (Send)."""
    show(call(context.obj, "POST", f"/devices/{segment(endpoint)}/send", {"paths": list(paths)}), as_json=as_json)


@click.command()
@click.argument("endpoint")
@click.argument("action", type=click.Choice(ACTIONS))
@click.option("--server", type=int, help="Short Server ID; left out: the lowest one.")
@json_option
@click.pass_context
def do(context: click.Context, endpoint: str, action: str, server: int | None, as_json: bool) -> None:
    """Have a device register, update, deregister, bootstrap, poll, fall silent, crash or restart."""
    body = {} if server is None else {"server": server}
    show(call(context.obj, "POST", f"/devices/{segment(endpoint)}/{action}", body), as_json=as_json)


@click.command()
@click.argument("endpoint")
@json_option
@click.pass_context
def operations(context: click.Context, endpoint: str, as_json: bool) -> None:
    """Show the operations that a device executed for servers."""
    found = call(context.obj, "GET", f"/devices/{segment(endpoint)}/operations")
    shown = [{name: entry[name] for name in ("operation", "path", "code", "size", "times")} for entry in found]
    show(found if as_json else shown, as_json=as_json)


COMMANDS = [list_devices, get, set_value, send, do, operations]
