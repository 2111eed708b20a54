"""Commands for a running emulated server: `lwm2m-bridge mock server --control … read ENDPOINT PATH`."""

from typing import Any

import click

from mock_network.lwm2m.ask import call, json_option, pairs_of, segment, show, value_of

_FORMATS = ["text", "opaque", "cbor", "tlv", "json", "senml_json", "senml_cbor"]
_format = click.option("--format", "content", type=click.Choice(_FORMATS), help="Content format of the request.")
_accept = click.option("--accept", type=click.Choice(_FORMATS), help="Content format asked for.")
_timeout = click.option("--timeout", type=float, help="Seconds to wait; left out: the patience of the profile.")
_ttl = click.option("--ttl", type=int, help="Seconds that the request may wait for the device (option 65052).")
_endpoint = click.argument("endpoint")
_path = click.argument("path")
_paths = click.argument("paths", nargs=-1, required=True)


def _operate(context: click.Context, operation: str, endpoint: str, as_json: bool, **body: Any) -> None:
    given = {name: value for name, value in body.items() if value is not None}
    found = call(context.obj, "POST", f"/clients/{segment(endpoint)}/{operation}", given)
    show(found, as_json=as_json)
    if found.get("outcome") not in {"response", "done"} or not found.get("ok", True):
        context.exit(1)


def _common(command: Any) -> Any:
    for option in (json_option, _ttl, _timeout):
        command = option(command)
    return click.pass_context(command)


@click.command()
@json_option
@click.pass_context
def clients(context: click.Context, as_json: bool) -> None:
    """List the registered clients."""
    columns = ("endpoint", "address", "lifetime", "binding", "location")
    show(call(context.obj, "GET", "/clients"), as_json=as_json, columns=columns)


@click.command()
@_endpoint
@_path
@_accept
@_common
def read(context: click.Context, endpoint: str, path: str, accept: str | None, **more: Any) -> None:
    """Read a path."""
    _operate(context, "read", endpoint, path=path, accept=accept, **more)


@click.command()
@_endpoint
@_path
@_common
def discover(context: click.Context, endpoint: str, path: str, **more: Any) -> None:
    """Discover a path: what is at and below it, with attributes."""
    _operate(context, "discover", endpoint, path=path, **more)


@click.command()
@_endpoint
@_path
@click.argument("value", nargs=-1, required=True)
@_format
@click.option("--partial", is_flag=True, help="Keep what the payload does not name.")
@_common
def write(
    context: click.Context,
    endpoint: str,
    path: str,
    value: tuple[str, ...],
    content: str | None,
    partial: bool,
    **more: Any,
) -> None:
    """Write a VALUE, or PATH=VALUE for several below a path. A value is JSON, or text where it is none."""
    several = len(value) > 1 or value[0].startswith("/")
    body: dict[str, Any] = {"values": pairs_of(value)} if several else {"value": value_of(value[0])}
    _operate(context, "write", endpoint, path=path, format=content, replace=not partial, **body, **more)


@click.command()
@_endpoint
@_path
@click.argument("arguments", default="")
@_common
def execute(context: click.Context, endpoint: str, path: str, arguments: str, **more: Any) -> None:
    """Execute a resource, with ARGUMENTS as `0='text',1`."""
    _operate(context, "execute", endpoint, path=path, arguments=arguments, **more)


@click.command()
@_endpoint
@_path
@click.argument("values", nargs=-1)
@_format
@_common
def create(
    context: click.Context, endpoint: str, path: str, values: tuple[str, ...], content: str | None, **more: Any
) -> None:
    """Create an instance of the object at PATH, with values as /3303/1/5750=cellar."""
    given = pairs_of(values) if values else None
    _operate(context, "create", endpoint, path=path, format=content, values=given, **more)


@click.command()
@_endpoint
@_path
@_common
def delete(context: click.Context, endpoint: str, path: str, **more: Any) -> None:
    """Delete an object instance or a resource instance."""
    _operate(context, "delete", endpoint, path=path, **more)


@click.command()
@_endpoint
@_path
@click.argument("attributes", nargs=-1, required=True)
@_common
def attributes(context: click.Context, endpoint: str, path: str, attributes: tuple[str, ...], **more: Any) -> None:
    """Write attributes, as pmin=10 or st=0.5; a name alone removes it."""
    _operate(context, "write_attributes", endpoint, path=path, attributes=pairs_of(attributes), **more)


@click.command()
@_endpoint
@_paths
@_accept
@_common
def observe(context: click.Context, endpoint: str, paths: tuple[str, ...], accept: str | None, **more: Any) -> None:
    """Observe a path, or several together by Observe-Composite."""
    if len(paths) == 1:
        _operate(context, "observe", endpoint, path=paths[0], accept=accept, **more)
    else:
        _operate(context, "observe_composite", endpoint, paths=list(paths), format=accept, **more)


@click.command()
@_endpoint
@_paths
@click.option("--forget", is_flag=True, help="Say nothing: the next notification is answered by a Reset.")
@_common
def cancel(context: click.Context, endpoint: str, paths: tuple[str, ...], forget: bool, **more: Any) -> None:
    """Cancel an observation of a path, or of several together."""
    given: dict[str, Any] = {"path": paths[0]} if len(paths) == 1 else {"paths": list(paths)}
    _operate(context, "forget" if forget else "cancel", endpoint, **given, **more)


@click.command("read-composite")
@_endpoint
@_paths
@_format
@_common
def read_composite(
    context: click.Context, endpoint: str, paths: tuple[str, ...], content: str | None, **more: Any
) -> None:
    """Read several paths with one request."""
    _operate(context, "read_composite", endpoint, paths=list(paths), format=content, **more)


@click.command("write-composite")
@_endpoint
@click.argument("values", nargs=-1, required=True)
@_format
@_common
def write_composite(
    context: click.Context, endpoint: str, values: tuple[str, ...], content: str | None, **more: Any
) -> None:
    """Write several values, as /3/0/14=+02:00, with one request."""
    _operate(context, "write_composite", endpoint, values=pairs_of(values), format=content, **more)


@click.command()
@json_option
@click.pass_context
def observations(context: click.Context, as_json: bool) -> None:
    """Show the observations and what was notified."""
    found = call(context.obj, "GET", "/observations")
    if as_json:
        show(found, as_json=True)
        return
    for observed in found:
        click.echo(f"{observed['endpoint']}  {' '.join(observed.get('paths') or [observed['path']])}")
        for notification in observed["notifications"]:
            line = "  ".join(f"{path} {value}" for path, value in (notification["values"] or {}).items())
            click.echo(f"  {notification['code']} {notification['type']}  {line}")


@click.command()
@json_option
@click.pass_context
def sends(context: click.Context, as_json: bool) -> None:
    """Show what devices sent."""
    found = call(context.obj, "GET", "/sends")
    if as_json:
        show(found, as_json=True)
        return
    for sent in found:
        line = "  ".join(f"{record['path']} {record['value']}" for record in sent["records"])
        click.echo(f"{sent['endpoint']}  {line}")


@click.command()
@json_option
@click.pass_context
def bootstraps(context: click.Context, as_json: bool) -> None:
    """Show the bootstrap sessions and their steps."""
    found = call(context.obj, "GET", "/bootstrap")
    if as_json:
        show(found, as_json=True)
        return
    for session in found["sessions"]:
        click.echo(f"{session['endpoint']}  {session['state']}")
        for step in session["steps"]:
            words = [
                step.get("operation"),
                step.get("path"),
                step.get("code"),
                step.get("diagnostic"),
                step.get("problem"),
            ]
            click.echo("  " + "  ".join(str(word) for word in words if word))


COMMANDS = [
    clients, read, discover, write, execute, create, delete, attributes, observe, cancel, read_composite,
    write_composite, observations, sends, bootstraps,
]  # fmt: skip
