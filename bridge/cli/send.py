"""`lwm2m-bridge downlink send`: an operation or a CoAP request for a device, without a server."""

import re
from collections.abc import Sequence
from typing import Any

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import SPAN, errors_shown, json_option, pairs, print_json
from bridge.cli.tables import plain, print_table
from bridge.lwm2m.objects import resource_at
from bridge.lwm2m.paths import read_path
from bridge.lwm2m.requests import FORMATS, Format, Operation
from bridge.lwm2m.values import Json
from bridge.operations.types.direct import (
    LONGEST_WAIT,
    CoapOption,
    CoapRequest,
    DirectView,
    GetOutcome,
    Method,
    Priority,
    SendDownlink,
)

_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_FRACTION = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}")
_OPERATIONS = frozenset(one.value for one in Operation)
_METHODS = {method.value.upper(): method for method in Method}
_WAIT = click.FloatRange(0, LONGEST_WAIT)
_FORMATS = click.Choice([one.value for one in Format])

_wait_option = click.option(
    "--wait", type=_WAIT, default=30.0, show_default=True, help="Seconds to wait for the outcome."
)


@click.command("send")
@target_options
@json_option
@_wait_option
@click.option("--value", help="What is written to a resource; bytes in base64.")
@click.option("--set", "values", multiple=True, metavar="PATH=VALUE", help="One of several values, by path below PATH.")
@click.option("--format", "format_", type=_FORMATS, help="How it is written; else text for one value, and TLV.")
@click.option("--accept", type=_FORMATS, help="Format of the answer; else the device chooses.")
@click.option("--payload", type=click.File("rb"), metavar="FILE", help="What is written, as it is; -: standard input.")
@click.option("--content-format", type=click.IntRange(0, 65535), help="Number of the payload's format.")
@click.option("--instance", type=click.IntRange(0, 65534), help="That a create makes; else the device chooses.")
@click.option("--arguments", default="", help="Of an execute: 0='now'.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Of a write-attributes: pmin=60.")
@click.option("--query", "queries", multiple=True, help="Uri-Query of a CoAP request.")
@click.option("--option", "options", multiple=True, metavar="NUMBER=HEX", help="Option of a CoAP request.")
@click.option("--ttl", type=SPAN, help="In which it may be delivered: 90, 15min, 6h, 2d; else as the endpoint says.")
@click.option("--priority", type=click.Choice([one.value for one in Priority]), default=Priority.NORMAL.value)
@click.option("--confirmed", is_flag=True, help="Ask the network to confirm the delivery.")
@click.option("--supersede-key", metavar="KEY", help="An older request with this key makes way, if it is not out.")
@click.option("--idempotency-key", metavar="KEY", help="The same request with this key is sent once only.")
@click.argument("name")
@click.argument("operation")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@errors_shown
def send(
    target: Target,
    as_json: bool,
    name: str,
    operation: str,
    paths: Sequence[str],
    **given: Any,
) -> None:
    """Send an operation to a device, and wait for the outcome.

    OPERATION is read, write, replace, execute, create, delete, discover, write-attributes, read-composite or
    write-composite; or GET, POST, PUT, DELETE, FETCH, PATCH, iPATCH for a CoAP request as it is.
    """
    common: dict[str, Any] = {
        "endpoint": name,
        "ttl": given["ttl"],
        "priority": Priority(given["priority"]),
        "confirmed": given["confirmed"],
        "supersede_key": given["supersede_key"],
        "idempotency_key": given["idempotency_key"],
        "wait": given["wait"],
    }
    method = _METHODS.get(operation.upper()) if operation not in _OPERATIONS else None
    if method is None and operation not in _OPERATIONS:
        raise click.BadParameter(f"{operation!r} is no operation: see --help", param_hint="OPERATION")
    asked = _raw(method, paths, given) if method is not None else _operation(Operation(operation), paths, given)
    _show(target.ask(SendDownlink(**common, **asked)), as_json=as_json)


@click.command("outcome")
@target_options
@json_option
@_wait_option
@click.argument("id", type=click.IntRange(1, 2**63 - 1))
@errors_shown
def outcome(target: Target, as_json: bool, wait: float, id: int) -> None:  # noqa: A002  # the argument's name in the usage line
    """Show what became of a request that was sent by `downlink send` or by the API, with the device's response."""
    _show(target.ask(GetOutcome(id=id, wait=wait)), as_json=as_json)


def _operation(operation: Operation, paths: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    if given["queries"] or given["options"]:
        raise click.UsageError("--query and --option are of a CoAP request, such as GET")
    composite = operation is Operation.READ_COMPOSITE
    if not composite and len(paths) > 1:
        raise click.UsageError(f"{operation} takes one PATH")
    path = "" if composite or not paths else paths[0]
    value, file = given["value"], given["payload"]
    return {
        "operation": operation,
        "path": path,
        "paths": tuple(paths) if composite else (),
        "value": None if value is None else _json(value, path),
        "values": {below: _json(text, f"{path}/{below}") for below, text in pairs(given["values"]).items()} or None,
        "format": None if given["format_"] is None else Format(given["format_"]),
        "accept": None if given["accept"] is None else Format(given["accept"]),
        "payload": None if file is None else file.read(),
        "content_format": given["content_format"],
        "instance": given["instance"],
        "arguments": given["arguments"],
        "attributes": {one: _json(text, "") for one, text in pairs(given["attributes"]).items()} or None,
    }


def _raw(method: Method, paths: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    if given["value"] is not None or given["values"] or given["arguments"] or given["attributes"]:
        raise click.UsageError("a CoAP request has a --payload, no values")
    file = given["payload"]
    options = [CoapOption(number=int(number), value=bytes.fromhex(text)) for number, text in _options(given["options"])]
    for number, name in ((12, "content_format"), (17, "accept")):
        if given[name] is not None:
            uint = FORMATS[Format(given[name])] if name == "accept" else given[name]
            options.append(CoapOption(number=number, uint=uint))
    path = "/".join(paths)
    payload = b"" if file is None else file.read()
    return {
        "coap": CoapRequest(
            method=method, path=path, queries=tuple(given["queries"]), options=tuple(options), payload=payload
        )
    }


def _options(given: Sequence[str]) -> list[tuple[str, str]]:
    found = [tuple(one.split("=", 1)) for one in given]
    for one in found:
        if len(one) != 2 or not one[0].isdigit() or not re.fullmatch(r"([0-9a-fA-F]{2})*", one[1]):  # noqa: PLR2004
            raise click.BadParameter("write NUMBER=HEX, such as 17=2d16", param_hint="--option")
    return [(number, text) for number, text in found]


def _json(text: str, path: str) -> Json:
    """Return the value that a text on the command line means.

    The bridge reads a text by the type of its resource. Of a resource that is not known, a number that is written the
    usual way is one, and so is a truth value: what goes to the device is what was typed, 0012 and 1.50 too.
    """
    if re.fullmatch(r"/*[0-9]+(/+[0-9]+)*", path) and resource_at(read_path(re.sub("/+", "/", path))) is not None:
        return text
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text):
        return int(text)
    return float(text) if _FRACTION.fullmatch(text) and repr(float(text)) == text else text


def _show(found: DirectView, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found.over and found.downlink.state != "RESPONDED":
        raise SystemExit(1)


def _print(found: DirectView) -> None:
    row = found.downlink
    if not found.over:
        click.echo(f"{found.id}: {row.state}, not over; lwm2m-bridge downlink outcome {found.id}")
        return
    reason = f": {row.reason}" if row.reason else ""
    response = found.response
    click.echo(plain(f"{found.id}: {row.state}{reason}" if response is None else f"{found.id}: {response.code}"))
    for id_ in found.superseded:
        click.echo(f"downlink {id_} makes way for it")
    if response is None:
        return
    if response.late:
        click.echo("the answer came late")
    if not response.complete:
        click.echo("blocks of the answer are missing, or it changed while it was fetched")
    if response.withheld:
        click.echo("the payload is withheld: it may hold keys")
    elif response.values:
        rows = [(one.path, one.value, one.type or "", one.name or "") for one in response.values]
        print_table(("path", "value", "type", "name"), rows, "")
    elif response.payload:
        click.echo(plain(response.text) if response.text is not None else response.payload.hex(" "))
