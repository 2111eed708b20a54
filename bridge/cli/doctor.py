"""`lwm2m-bridge doctor`: what in the networks' set-ups will hurt, and the cure for each."""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bindings.diagnosis import Finding, Grade
from bridge.cli.access import Client, use
from bridge.cli.common import config_option, json_option, print_json, read_config, told
from bridge.cli.tables import broken, plain, terminal_width
from bridge.config import Config
from bridge.errors import BridgeError, ConfigurationError

_MARKS = {Grade.GOOD: "ok", Grade.WARNING: "warning", Grade.BAD: "BAD", Grade.UNCHECKED: "NOT CHECKED"}
_MARK = max(map(len, _MARKS.values())) + 2  # characters


@click.command("doctor")
@config_option
@json_option
@click.option("--network", help="Only this network.")
@told
def doctor(config_path: Path, as_json: bool, network: str | None) -> None:
    """Check every network: reachable, credentials, settings that will hurt, the way back to the bridge.

    Nothing is changed anywhere. The exit code is 1 if something is bad or a network could not be checked at all;
    warnings leave it at 0.
    """
    config = read_config(config_path)
    if network is not None and network not in config.networks:
        raise ConfigurationError(f"network {network!r} is not configured (known: {', '.join(config.networks)})")

    async def ask(client: Client) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = await client.ask("GET", "/doctor", network=network)
        return found

    found = use(config, ask) if _runs(config) else asyncio.run(_without_service(config, network))
    for name, configured in config.networks.items():
        if network in (None, name) and not found.get(name):
            text = f"the running service has none for it: its binding is {configured.binding!r}"
            one = Finding("checks", Grade.UNCHECKED, text, "if it is new in the configuration: restart the service")
            found[name] = [asdict(one)]
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no network is configured")
    else:
        for line in _blocks(found, terminal_width()):
            click.echo(line)
    if any(one["grade"] in (Grade.BAD, Grade.UNCHECKED) for findings in found.values() for one in findings):
        sys.exit(1)


def _blocks(found: Mapping[str, Iterable[Mapping[str, Any]]], width: int | None) -> Iterator[str]:
    """Give a block for each finding: what was found, and below it the cure."""
    for name, findings in found.items():
        for one in findings:
            grade = f"{_MARKS[Grade(one['grade'])]:<{_MARK}}"
            yield from _hanging(f"{grade}{plain(one['what'])}, {plain(name)}: {plain(one['detail'])}", width)
            if one["cure"]:
                yield from _hanging(" " * _MARK + f"cure: {plain(one['cure'])}", width)


def _hanging(text: str, width: int | None) -> Iterator[str]:
    """Break a text between words; it begins behind the mark, and so do its further lines."""
    first, *more = broken(text[_MARK:], None if width is None else width - _MARK)
    yield text[:_MARK] + first
    yield from (" " * _MARK + line for line in more)


def _runs(config: Config) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(config.control_socket))
        except OSError:
            return False
    return True


async def _without_service(config: Config, network: str | None) -> dict[str, list[dict[str, Any]]]:
    """Check what can be checked while the service is down."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, configured in config.networks.items():
        if network in (None, name):
            down = Finding(
                "bridge",
                Grade.WARNING,
                "it is down: the way back to it is not checked",
                "start it with `lwm2m-bridge run`",
            )
            try:
                findings = [down, *await configured.create().check()]  # type: ignore[attr-defined]  # not every one can
            except AttributeError:
                findings = [Finding("checks", Grade.UNCHECKED, f"the binding {configured.binding!r} has none")]
            except ConfigurationError as error:
                findings = [Finding("settings", Grade.BAD, str(error), f"mend this setting in [networks.{name}]")]
            except BridgeError as error:
                cure = "start the service with `lwm2m-bridge run`, and ask again"
                findings = [Finding("checks", Grade.UNCHECKED, str(error), cure)]
            found[name] = [asdict(one) for one in findings]
    return found
