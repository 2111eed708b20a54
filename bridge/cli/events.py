"""`lwm2m-bridge event` and `webhook`: events, and the URLs to which they are posted."""

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, moment, print_json
from bridge.cli.tables import print_table
from bridge.operations.types.events import (
    CreateWebhook,
    EventView,
    ListDeadLetters,
    ListEndpointEvents,
    ListEvents,
    ListWebhooks,
    RemoveWebhook,
    WebhookList,
    WebhookView,
)
from bridge.operations.types.request import LARGEST_PAGE, Result

_types = click.option("--type", "types", multiple=True, help="Only events of this type; may be given several times.")
_prefix = click.option("--prefix", default="", help="Only endpoints whose names begin like this.")


@click.group("event")
def event_group() -> None:
    """Outcomes, registrations and changes of provisioning, in the order in which they happened."""


@event_group.command("list")
@target_options
@json_option
@_types
@_prefix
@click.option("--endpoint", help="Registrations and provisioning of this endpoint, newest first.")
@click.option("--after", type=click.IntRange(0), help="Where the page begins: `next` of the page before.")
@click.option("--limit", type=click.IntRange(1, LARGEST_PAGE), default=100, show_default=True, help="Events on a page.")
@errors_shown
def list_events(
    target: Target,
    as_json: bool,
    types: tuple[str, ...],
    prefix: str,
    endpoint: str | None,
    after: int | None,
    limit: int,
) -> None:
    """List events, oldest first. With --endpoint newest first; `downlink list` and `uplink list` show its messages."""
    if endpoint is not None:
        if prefix:
            raise click.UsageError("--endpoint and --prefix exclude each other")
        cursor = "" if after is None else str(after)
        of_one = target.ask(ListEndpointEvents(name=endpoint, types=types, after=cursor, limit=limit))
        _print_events(of_one, of_one.items, of_one.next, as_json)
        return
    found = target.ask(ListEvents(after=after, types=types, prefix=prefix, limit=limit))
    if found.lost and not as_json:
        click.echo("older events are not kept any more", err=True)
    _print_events(found, found.items, str(found.next), as_json)


def _print_events(page: Result, items: tuple[EventView, ...], following: str | None, as_json: bool) -> None:
    if as_json:
        print_json(page)
        return
    print_table(
        ("id", "time", "type", "endpoint", "details"),
        ([one.id, moment(one.at), one.type, one.data.get("endpoint", ""), _text(one.data)] for one in items),
        "no events",
    )
    if following is not None:
        click.echo(f"next: --after {following}")


def _text(data: dict[str, object]) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in data.items() if name != "endpoint" and value not in ("", None)
    )


@click.group("webhook")
def webhook_group() -> None:
    """URLs to which events are posted."""


@webhook_group.command("create")
@target_options
@json_option
@_types
@_prefix
@click.argument("url")
@errors_shown
def create(target: Target, as_json: bool, types: tuple[str, ...], prefix: str, url: str) -> None:
    """Post every event to URL from now on. The secret of the signatures is shown once."""
    made = target.ask(CreateWebhook(url=url, types=types, prefix=prefix))
    if as_json:
        print_json(made)
        return
    click.echo(made.secret)
    click.echo(f"webhook {made.id}; its secret is not shown again", err=True)


@webhook_group.command("list")
@target_options
@json_option
@errors_shown
def list_webhooks(target: Target, as_json: bool) -> None:
    """List webhooks, with the last event that each accepted."""
    _print(target.ask(ListWebhooks()), as_json)


@webhook_group.command("remove")
@target_options
@json_option
@click.argument("id", type=click.IntRange(1, 2**63 - 1))
@errors_shown
def remove(target: Target, as_json: bool, id: int) -> None:  # noqa: A002  # the argument's name in the usage line
    """Remove a webhook: no event is posted to it any more."""
    _print(target.ask(RemoveWebhook(id)), as_json)


@webhook_group.command("dead")
@target_options
@json_option
@click.option("--limit", type=click.IntRange(1, LARGEST_PAGE), default=100, show_default=True, help="Events, at most.")
@errors_shown
def dead(target: Target, as_json: bool, limit: int) -> None:
    """List events that a webhook did not accept for days (dead letters)."""
    found = target.ask(ListDeadLetters(limit=limit))
    if as_json:
        print_json(found)
        return
    print_table(
        ("webhook", "event", "time", "why"),
        ([one.webhook, one.event, moment(one.at), one.trouble] for one in found.items),
        "no dead letters",
    )


def _print(found: WebhookList, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_table(
        ("id", "url", "types", "prefix", "sent up to", "state", "why"),
        ([one.id, one.url, " ".join(one.types), one.prefix, one.told, _state(one), one.trouble] for one in found.items),
        "no webhooks; add one with `lwm2m-bridge webhook create URL`",
    )


def _state(webhook: WebhookView) -> str:
    if webhook.disabled:
        return "disabled"
    return "working" if webhook.retry_at is None else f"next try {moment(webhook.retry_at)}"
