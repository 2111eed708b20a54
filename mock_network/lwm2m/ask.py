"""What the commands of the emulated device and server share that speak to a running one, through its control API."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from mock_network.control_api import authority


def call(control: tuple[str, int], method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Call a control API below `/control` and return its JSON, None for no content; click.ClickException."""
    if not control[1]:
        raise click.UsageError("--control must say where the running one has its control API, before the command")
    return asyncio.run(_call(f"http://{authority(*control)}/control{path}", method, body))


async def _call(url: str, method: str, body: Mapping[str, Any] | None) -> Any:
    timeout = aiohttp.ClientTimeout(total=None)  # a device may take hours to answer
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, json=body) as response,
        ):
            text = await response.text()
    except aiohttp.ClientError as error:
        raise click.ClickException(f"no control API answers at {url}: {error}") from error
    found = json.loads(text) if text else None
    if isinstance(found, dict) and "error" in found:
        raise click.ClickException(str(found["error"]))
    return found


def segment(name: str) -> str:
    """Return a name as one segment of a URL's path."""
    return quote(name, safe="")


def value_of(text: str) -> Any:
    """Return the value of a command-line argument: parsed if it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def pairs_of(words: Sequence[str]) -> dict[str, Any]:
    """Return `name=value` words as a dictionary; a name alone maps to None. click.BadParameter for an empty name."""
    found = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not name:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE")
        found[name] = value_of(text) if separator else None
    return found


def show(found: Any, *, as_json: bool, columns: Sequence[str] = ()) -> None:
    """Print what a call returned: JSON for scripts, else lines and tables for people.

    `columns` are the members of a list's entries that people see; none means all that are short.
    """
    if as_json:
        click.echo(json.dumps(found))
    elif isinstance(found, dict) and found.get("outcome") == "response":
        _show_response(found)
    elif isinstance(found, list) and found and isinstance(found[0], dict):
        _show_table(found, columns or [name for name, value in found[0].items() if not isinstance(value, dict | list)])
    elif isinstance(found, dict):
        for name, value in found.items():
            click.echo(f"{name}: {_text(value)}")
    elif found is not None:
        click.echo(_text(found) if found else "none")


def _show_response(found: Mapping[str, Any]) -> None:
    click.echo(f"{found['code']}  {found.get('diagnostic') or found.get('location', '')}".rstrip())
    for path, value in (found.get("values") or {}).items():
        click.echo(f"  {path}  {_text(value)}")
    for target, attributes in (found.get("links") or {}).items():
        line = " ".join(name if value is None else f"{name}={value}" for name, value in attributes.items())
        click.echo(f"  {target}  {line}".rstrip())


def _show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    table = Table(box=None, header_style="", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0], overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    Console(markup=False, highlight=False).print(table)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


json_option = click.option("--json", "as_json", is_flag=True, help="Print what the control API answers.")
