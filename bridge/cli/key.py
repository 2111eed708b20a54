"""`lwm2m-bridge key` and `audit`: keys of the REST API, and the audit log."""

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import SPAN, errors_shown, json_option, moment, print_json
from bridge.cli.tables import print_table
from bridge.operations.types.access import CreateKey, KeyView, ListAudit, ListKeys, RevokeKey
from bridge.operations.types.request import LARGEST_PAGE
from bridge.store.access import Role


@click.group("key")
def key_group() -> None:
    """Keys of the REST API."""


@key_group.command("create")
@target_options
@json_option
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="read: see everything but contents; operate: act on messages and devices that are there; admin: everything.",
)
@click.option("--lifetime", type=SPAN, help="How long it is valid: 90, 15min, 6h, 2d; default: until it is revoked.")
@errors_shown
def create(target: Target, as_json: bool, name: str, role: str, lifetime: float | None) -> None:
    """Make a key for a person or a program. The key is shown once; the bridge stores only its SHA-256."""
    made = target.ask(CreateKey(name=name, role=Role(role), lifetime=lifetime))
    if as_json:
        print_json(made)
        return
    click.echo(made.key)
    click.echo(f"key {made.id} for {made.name}, role {made.role}; it is not shown again", err=True)


@key_group.command("list")
@target_options
@json_option
@errors_shown
def list_keys(target: Target, as_json: bool) -> None:
    """List keys, without their secrets."""
    found = target.ask(ListKeys())
    if as_json:
        print_json(found)
        return
    print_table(
        ("id", "name", "role", "made", "state"),
        ([one.id, one.name, one.role, moment(one.created_at), _state(one)] for one in found.items),
        "no keys; make one with `lwm2m-bridge key create NAME --role read`",
    )


def _state(key: KeyView) -> str:
    if key.revoked_at is not None:
        return f"revoked {moment(key.revoked_at)}"
    if key.expires_at is None:
        return "valid"
    return f"{'valid until' if key.valid else 'expired'} {moment(key.expires_at)}"


@key_group.command("revoke")
@target_options
@json_option
@click.argument("id", type=click.IntRange(1, 2**63 - 1))
@errors_shown
def revoke(target: Target, as_json: bool, id: int) -> None:  # noqa: A002  # the argument's name in the usage line
    """Revoke a key, immediately and for good."""
    key = target.ask(RevokeKey(id))
    if as_json:
        print_json(key)
    else:
        click.echo(f"key {key.id} of {key.name} is revoked")


@click.command("audit")
@target_options
@json_option
@click.option("--limit", type=click.IntRange(1, LARGEST_PAGE), default=50, show_default=True, help="Entries on a page.")
@click.option("--after", default="", help="The page after this: `next` of the page before.")
@errors_shown
def audit(target: Target, as_json: bool, limit: int, after: str) -> None:
    """List who asked for which change, newest first."""
    found = target.ask(ListAudit(limit=limit, after=after))
    if as_json:
        print_json(found)
        return
    print_table(
        ("time", "who", "operation", "about", "outcome"),
        ([moment(one.at), one.who, one.operation, one.subject, one.outcome] for one in found.items),
        "no change was requested yet",
    )
    if found.next is not None:
        click.echo(f"there are more: --after {found.next}")
