"""`lwm2m-bridge dashboard`: a link that signs a browser in."""

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import SPAN, errors_shown, json_option, moment, print_json
from bridge.errors import NotPossible
from bridge.operations.types.access import MakeDashboardLink
from bridge.store.access import Role

PATH = "/dashboard/"


@click.command("dashboard")
@target_options
@json_option
@click.option(
    "--name", default="dashboard", show_default=True, help="Who will use it, for lists of keys and the audit log."
)
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.READ.value,
    show_default=True,
    help="read: see everything but contents; operate: act on messages and devices that are there; admin: everything.",
)
@click.option(
    "--lifetime", type=SPAN, default="12h", show_default=True, help="How long its key is valid: 15min, 6h, 2d."
)
@click.option("--url", help="Address of the API as the browser reaches it, such as https://bridge.example.")
@errors_shown
def dashboard(target: Target, as_json: bool, name: str, role: str, lifetime: float, url: str | None) -> None:
    """Print a link that signs a browser in to the dashboard.

    The link is good once, for ten minutes. A key is made for it, as for everybody who uses the API; `lwm2m-bridge key
    revoke` ends what was signed in with it.
    """
    root = url.rstrip("/") if url else _address(target)
    made = target.ask(MakeDashboardLink(name=name, role=Role(role), lifetime=lifetime))
    link = f"{root}{PATH}#/sign-in?code={made.code}"
    if as_json:
        print_json({"url": link, "good_until": made.good_until, "key": made.key})
        return
    click.echo(link)
    click.echo(
        f"good once, until {moment(made.good_until)}; key {made.key.id}, role {made.key.role}, "
        f"is valid until {moment(made.key.expires_at)}",
        err=True,
    )


def _address(target: Target) -> str:
    api = target.configuration().api
    if not api.listen:
        raise NotPossible('there is no API, and so no dashboard; set listen in [api], like listen = "127.0.0.1:8460"')
    return f"{'https' if api.certificate else 'http'}://{api.listen}"
