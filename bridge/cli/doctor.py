"""`lwm2m-bridge doctor`: what in the networks' set-ups will hurt, and the cure for each."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bindings.diagnosis import Finding, Grade
from bridge.cli.access import Client, use
from bridge.cli.common import config_option, json_option, print_json, read_config, told
from bridge.cli.tables import print_table
from bridge.config import Config
from bridge.errors import BridgeError, ConfigurationError

_MARKS = {Grade.GOOD: "ok", Grade.WARNING: "warning", Grade.BAD: "BAD"}


@click.command("doctor")
@config_option
@json_option
@click.option("--network", help="Only this network.")
@told
def doctor(config_path: Path, as_json: bool, network: str | None) -> None:
    """Check every network: reachable, credentials, settings that will hurt, the way back to the bridge.

    Nothing is changed anywhere. The exit code is 1 if something is bad; warnings leave it at 0.
    """
    config = read_config(config_path)
    if network is not None and network not in config.networks:
        raise ConfigurationError(f"network {network!r} is not configured (known: {', '.join(config.networks)})")

    async def ask(client: Client) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = await client.ask("GET", "/doctor", network=network)
        return found

    found = use(config, ask) if _runs(config) else asyncio.run(_without_service(config, network))
    if as_json:
        print_json(found)
    else:
        print_table(
            ("network", "what", "", "how it is", "cure"),
            (
                [name, one["what"], _MARKS[Grade(one["grade"])], one["detail"], one["cure"]]
                for name, findings in found.items()
                for one in findings
            ),
            "no network is configured",
        )
    if any(one["grade"] == Grade.BAD for findings in found.values() for one in findings):
        sys.exit(1)


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
            down = Finding("bridge", Grade.WARNING, "it is down: the way back to it is not checked", "start it")
            try:
                findings = [down, *await configured.create().check()]  # type: ignore[attr-defined]  # not every one can
            except AttributeError:
                findings = [Finding("checks", Grade.WARNING, f"the binding {configured.binding!r} has none")]
            except BridgeError as error:
                findings = [Finding("checks", Grade.WARNING, str(error), "start the service, and ask again")]
            found[name] = [asdict(one) for one in findings]
    return found
