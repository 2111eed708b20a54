"""`lwm2m-bridge doctor`: faults in the set-up of networks, and the cure for each."""

import sys
from collections.abc import Iterable, Iterator, Mapping

import click

from bindings.diagnosis import Finding, Grade
from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, print_json
from bridge.cli.tables import broken, plain, terminal_width
from bridge.control.contract import Client
from bridge.errors import NotFound
from bridge.operations.types.networks import CheckNetworks, NetworkChecks
from bridge.operations.types.state import GetReadiness, Phase

_MARKS = {Grade.GOOD: "ok", Grade.WARNING: "warning", Grade.BAD: "BAD", Grade.UNCHECKED: "NOT CHECKED"}
_MARK = max(map(len, _MARKS.values())) + 2  # characters


@click.command("doctor")
@target_options
@json_option
@click.option("--network", help="Only this network.")
@errors_shown
def doctor(target: Target, as_json: bool, network: str | None) -> None:
    """Check every network: reachability, credentials, harmful settings, the way back to the bridge.

    Nothing is changed. The exit code is 1 if a finding is bad or a network could not be checked at all;
    with warnings it is 0.
    """
    configured = {} if target.socket is not None else target.configuration().networks
    if network is not None and configured and network not in configured:
        raise NotFound(f"network {network!r} is not configured (known: {', '.join(configured)})")

    async def work(client: Client) -> dict[str, tuple[Finding, ...]]:
        if (await client.ask(GetReadiness())).phase is Phase.DOWN:
            checked = await client.ask(CheckNetworks(network))
            return {name: (_DOWN, *findings) for name, findings in checked.networks.items()}
        found: dict[str, tuple[Finding, ...]] = {
            name: (_new(one.binding),) for name, one in configured.items() if network in (None, name)
        }
        try:
            checked = await client.ask(CheckNetworks(network))
        except NotFound:
            if not found:
                raise
        else:
            found |= checked.networks
        return found

    found = target.use(work)
    if as_json:
        print_json(NetworkChecks(networks=found))
    elif not found:
        click.echo("no network is configured")
    else:
        for line in _blocks(found, terminal_width()):
            click.echo(line)
    if any(one.grade in (Grade.BAD, Grade.UNCHECKED) for findings in found.values() for one in findings):
        sys.exit(1)


_DOWN = Finding(
    "bridge",
    Grade.WARNING,
    "the service is down: whether the network can reach it is not checked",
    "start it with `lwm2m-bridge run`",
)


def _new(binding: str) -> Finding:
    text = f"the running service does not have this network; its binding is {binding!r}"
    return Finding("checks", Grade.UNCHECKED, text, "if it is new in the configuration: restart the service")


def _blocks(found: Mapping[str, Iterable[Finding]], width: int | None) -> Iterator[str]:
    """Yield a block for each finding: what was found, and below it the cure."""
    for name, findings in found.items():
        for one in findings:
            grade = f"{_MARKS[one.grade]:<{_MARK}}"
            yield from _hanging(f"{grade}{plain(one.what)}, {plain(name)}: {plain(one.detail)}", width)
            if one.cure:
                yield from _hanging(" " * _MARK + f"cure: {plain(one.cure)}", width)


def _hanging(text: str, width: int | None) -> Iterator[str]:
    """Wrap a text between words; all lines begin behind the mark."""
    first, *more = broken(text[_MARK:], None if width is None else width - _MARK)
    yield text[:_MARK] + first
    yield from (" " * _MARK + line for line in more)
