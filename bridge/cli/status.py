"""`lwm2m-bridge status`: the state of the bridge."""

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click
import msgspec

from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, moment, outline, print_json
from bridge.cli.messages import state_and_end
from bridge.cli.tables import print_table
from bridge.control.contract import Client
from bridge.errors import NotRunning
from bridge.operations.types.messages import CountMessages, MessageCounts
from bridge.operations.types.request import Problem
from bridge.operations.types.state import GetStatus, Phase, Status, WorkView

DOWN = 3  # exit code, the same as that of `systemctl status` for a unit that does not run

_SENTENCES = {
    Phase.DOWN: "the service is down",
    Phase.STARTING: "the service is starting",
    Phase.RUNNING: "the service is running",
    Phase.STOPPING: "the service is stopping",
}


def _down_as_exit_code(command: Callable[..., None]) -> Callable[..., None]:
    """Show a service that never ran, or cannot be found, as one that is down."""

    @wraps(command)
    def inner(*, as_json: bool, **given: Any) -> None:
        try:
            command(as_json=as_json, **given)
        except NotRunning as error:
            if as_json:
                print_json(Problem(error=type(error).__name__, detail=str(error)))
            else:
                click.echo(f"{_SENTENCES[Phase.DOWN]}: {error}", err=True)
            sys.exit(DOWN)

    return inner


@click.command("status")
@target_options
@json_option
@errors_shown
@_down_as_exit_code
def status(target: Target, as_json: bool) -> None:
    """Show the state of the bridge, and the number of messages in each state; exit code 3 while it is down."""

    async def work(client: Client) -> tuple[Status, MessageCounts]:
        return await client.ask(GetStatus()), await client.ask(CountMessages())

    found, counts = target.use(work)
    if as_json:
        print_json({**msgspec.structs.asdict(found), "counts": counts})
    else:
        print_status(found, counts)
    if found.phase is Phase.DOWN:
        sys.exit(DOWN)


def _how_far(work: WorkView) -> str:
    if work.total is None:
        return f"{work.done} so far"
    return f"{100 * work.done // work.total} % ({work.done} of {work.total})"


_SECONDS = frozenset(
    {"round_trip_median", "round_trip_95", "round_trip_max", "clock_skew", "clock_ahead", "token_seconds_left"}
)
_MEGABYTE = 1_000_000  # bytes


def _with_units(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested figures for people: seconds and bytes with their units, times as dates."""
    shown: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            shown[name] = _with_units(value)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            shown[name] = value
        elif name in _SECONDS:
            shown[name] = f"{value:g} s"
        elif name.endswith("_at"):
            shown[name] = moment(value)
        elif name == "bytes":
            shown[name] = f"{value / _MEGABYTE:.1f} MB" if value >= _MEGABYTE else f"{value} bytes"
        else:
            shown[name] = value
    return shown


def print_status(found: Status, counts: MessageCounts) -> None:
    """Print the state of the bridge for people."""
    click.echo(_SENTENCES[found.phase])
    shown = msgspec.structs.asdict(found)
    del shown["phase"], shown["ready"], shown["work"]
    for work in found.work:
        click.echo(f"{work.name}: {_how_far(work)}")
    shown["store"] = msgspec.structs.asdict(found.store)
    if found.node is not None:
        shown["node"] = msgspec.structs.asdict(found.node)
    if found.phase is not Phase.DOWN:
        shown["servers"] = {key: address or "its name is not resolved" for key, address in found.servers.items()}
    for line in outline(_with_units({**shown, "time": moment(found.time)})):
        click.echo(line)
    click.echo("")
    print_table(
        ("direction", "state", "messages"),
        [
            *(["down", state_and_end(row), row.messages] for row in counts.downlinks),
            *(["up", row.state, row.messages] for row in counts.uplinks),
        ],
        "no messages yet",
    )
