"""`lwm2m-bridge downlink` and `uplink`: what became of every message."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import click
import msgspec

from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, moment, moment_near, outline, print_json
from bridge.cli.send import outcome, send
from bridge.cli.tables import in_words, print_table
from bridge.delivery.states import DownlinkState, UplinkState
from bridge.operations.types.messages import (
    BlockView,
    CancelDownlink,
    DownlinkCount,
    DownlinkView,
    ListDownlinks,
    ListUplinks,
    UplinkView,
)
from bridge.operations.types.request import LARGEST_PAGE
from bridge.operations.types.stories import (
    DownlinkStory,
    GetDownlinkPayload,
    GetUplinkPayload,
    PayloadView,
    ShowDownlink,
    ShowUplink,
    UplinkStory,
)

_ID = click.IntRange(1, 2**63 - 1)
_Command = Callable[..., None]


_payload_option = click.option(
    "--payload", is_flag=True, help="Also show options and payload; they may hold personal data and secrets."
)


@click.group("downlink")
def downlink_group() -> None:
    """Messages to devices."""


@click.group("uplink")
def uplink_group() -> None:
    """Messages from devices."""


def _listing(states: type[StrEnum]) -> Callable[[_Command], _Command]:
    """Add the options of a list of messages to a command: filters, and the form of the output."""

    def with_options(command: _Command) -> _Command:
        for option in (
            errors_shown,
            click.option("--after", default="", help="The page after this: `next` of the page before."),
            click.option(
                "--limit",
                default=50,
                show_default=True,
                type=click.IntRange(1, LARGEST_PAGE),
                help="Messages on a page, newest first.",
            ),
            click.option(
                "--state",
                type=click.Choice([state.value for state in states], case_sensitive=False),
                metavar="STATE",
                help="Only those in this state.",
            ),
            click.option("--endpoint", help="Only this endpoint's."),
            json_option,
            target_options,
        ):
            command = option(command)
        return command

    return with_options


def _print(
    page: Any, as_json: bool, columns: Sequence[str], cells: Callable[[Any], Sequence[object]], nothing: str
) -> None:
    if as_json:
        print_json(page)
        return
    print_table(columns, map(cells, page.items), nothing)
    if page.next is not None:
        click.echo(f"there are more: --after {page.next}")


@downlink_group.command("list")
@_listing(DownlinkState)
def list_downlinks(target: Target, as_json: bool, state: str | None, **asked: Any) -> None:
    """List messages to devices with their state or outcome."""
    _print(
        target.ask(ListDownlinks(state=None if state is None else DownlinkState(state), **asked)),
        as_json,
        ("id", "state", "endpoint", "what", "path", "code", "accepted", "deliver by", "why"),
        _downlink_cells,
        "no messages to devices",
    )


def _downlink_cells(row: DownlinkView) -> Sequence[object]:
    return [
        row.id,
        state_and_end(row),
        _endpoint(row),
        row.operation,
        f"{row.target} {block_shown(row.block)}" if row.block else row.target,
        row.response or (row.verdict and f"{row.verdict} (bridge)"),
        moment(row.accepted_at),
        "" if row.over else moment_near(row.deliver_by, row.accepted_at),
        "" if row.state in _SUCCESSES else in_words(row.reason),
    ]


def block_shown(block: BlockView) -> str:
    """Return how far a block-wise write is with this block."""
    of = "" if block.total is None else f" of {block.total}"
    return f"(block {block.number}: to {block.offset + block.bytes}{of} bytes)"


_SUCCESSES = DownlinkState.RESPONDED, DownlinkState.DELIVERED
"""States for which no reason is shown: it is that of an earlier attempt, and would look like a fault. JSON has it."""


def state_and_end(row: DownlinkView | DownlinkCount) -> str:
    """Return the state, and whether it is the outcome if that is not obvious."""
    return f"{row.state}, ended" if row.over and row.state in ("SENT", "DELIVERED", "UNKNOWN") else row.state


def _endpoint(row: DownlinkView | UplinkView) -> str:
    return row.endpoint or f"(removed, {row.endpoint_id})"


@downlink_group.command("show")
@target_options
@json_option
@_payload_option
@click.argument("id", type=_ID)
@errors_shown
def show_downlink(target: Target, as_json: bool, payload: bool, id: int) -> None:  # noqa: A002  # the argument's name in the usage line
    """Show one message to a device: path, codes, each attempt with what the network said, each answer."""
    story = target.ask(ShowDownlink(id))
    _print_story(story, target.ask(GetDownlinkPayload(id)) if payload else None, as_json)


downlink_group.add_command(send)
downlink_group.add_command(outcome)


@downlink_group.command("cancel")
@target_options
@json_option
@click.argument("id", type=_ID)
@errors_shown
def cancel(target: Target, as_json: bool, id: int) -> None:  # noqa: A002  # as above
    """Cancel a message, and say what was achieved."""
    row = target.ask(CancelDownlink(id))
    if as_json:
        print_json(row)
        return
    note = "" if row.over else _CANCELLING.get(row.state, "")
    click.echo(f"{row.id}: {row.state}{note}{'; ' if row.reason else ''}{row.reason}")


_CANCELLING = {
    "SUBMITTING": ", will be removed from the network if the network accepts it",
    "BUFFERED": ", being removed from the network",
    "UNKNOWN": ", will be removed from the network if the network has it",
    "SENT": ", not cancelled: it was sent to the device already; it is not sent again",
    "DELIVERED": ", not cancelled: the device has it",
}


@uplink_group.command("list")
@_listing(UplinkState)
def list_uplinks(target: Target, as_json: bool, state: str | None, **asked: Any) -> None:
    """List messages from devices with their state or outcome."""
    _print(
        target.ask(ListUplinks(state=None if state is None else UplinkState(state), **asked)),
        as_json,
        ("id", "state", "endpoint", "kind", "what", "path", "code", "received", "why"),
        lambda row: [
            row.id,
            row.state,
            _endpoint(row),
            row.kind,
            row.operation,
            row.target,
            row.code,
            moment(row.received_at),
            in_words(row.reason),
        ],
        "no messages from devices",
    )


@uplink_group.command("show")
@target_options
@json_option
@_payload_option
@click.argument("id", type=_ID)
@errors_shown
def show_uplink(target: Target, as_json: bool, payload: bool, id: int) -> None:  # noqa: A002  # as above
    """Show one message from a device: path, code, outcome, and the answer."""
    story = target.ask(ShowUplink(id))
    _print_story(story, target.ask(GetUplinkPayload(id)) if payload else None, as_json)


_TIMES = "accepted_at", "received_at", "deliver_by", "answer_by", "not_before", "expires_at", "finished_at"


def _print_story(story: DownlinkStory | UplinkStory, payload: PayloadView | None, as_json: bool) -> None:
    if as_json:
        shown = msgspec.structs.asdict(story)
        print_json(shown if payload is None else {**shown, "content": payload})
        return
    apart = "made", "answers", "moments"
    fields = {name: value for name, value in msgspec.structs.asdict(story).items() if name not in apart}
    if isinstance(story, DownlinkStory) and story.block is not None:
        fields["block"] = block_shown(story.block).strip("()")
    for line in outline({name: moment(value) if name in _TIMES else value for name, value in fields.items()}):
        click.echo(line)
    if payload is not None:
        _print_payload(payload)
    click.echo("")
    print_table(("time", "what happened"), [[moment(one.at), one.what] for one in story.moments], "")


def _print_payload(payload: PayloadView) -> None:
    for option in payload.options:
        click.echo(f"{option.name:<24} {option.value}")
    if payload.withheld:
        click.echo(f"{'payload':<24} withheld: it may hold keys")
        return
    size = f"{len(payload.payload)} bytes"
    click.echo(f"{'payload':<24} {size}{': ' if payload.payload else ''}{payload.text or payload.payload.hex(' ')}")
