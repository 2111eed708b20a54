"""`lwm2m-bridge usage` and `quota`: what was used of networks, what is left, and what a transfer would cost."""

import csv
import sys

import click

from bridge.cli.access import Target, target_options
from bridge.cli.common import errors_shown, json_option, moment, print_json
from bridge.cli.tables import print_table
from bridge.control.contract import Client
from bridge.operations.types.quotas import (
    By,
    EstimateTransfer,
    ListQuotas,
    ListUsage,
    QuotaVerdict,
    QuotaView,
    UsagePage,
    UsageView,
)
from bridge.operations.types.request import LARGEST_PAGE
from bridge.spreadsheet import guarded

_COLUMNS = ("date", "network", "endpoint", "down", "down bytes", "up", "up bytes")
_CSV = (
    "date", "network", "endpoint", "endpoint_id", "down_messages", "down_bytes", "up_messages", "up_bytes",
)  # fmt: skip


@click.command("usage")
@click.option("--by", type=click.Choice([by.value for by in By]), default=By.ENDPOINT.value, show_default=True)
@click.option("--endpoint", help="Only this endpoint.")
@click.option("--network", help="Only this network.")
@click.option("--from", "first", metavar="DATE", help="First day, as 2026-11-01.  [default: the first of this month]")
@click.option("--to", "last", metavar="DATE", help="Last day.  [default: today]")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for a spreadsheet.")
@json_option
@target_options
@errors_shown
def usage(
    target: Target,
    by: str,
    endpoint: str | None,
    network: str | None,
    first: str | None,
    last: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show what was used of networks, day by day, as a table or as CSV. Days are UTC; bytes are those of CoAP.

    In CSV a name that a spreadsheet would take for a formula (it begins with = + - or @) has an apostrophe before it.
    endpoint_id tells endpoints apart, also those that were removed.
    """

    async def work(client: Client) -> list[UsageView]:
        found: list[UsageView] = []
        after = ""
        while True:
            page: UsagePage = await client.ask(
                ListUsage(
                    by=By(by), endpoint=endpoint, network=network, first=first, last=last, after=after,
                    limit=LARGEST_PAGE,
                )
            )  # fmt: skip
            found += page.items
            if page.next is None:
                return found
            after = page.next

    items = target.use(work)
    if as_json:
        print_json({"items": items})
    elif as_csv:
        csv.writer(sys.stdout).writerow(_CSV)
        # Text in quotes, also where a spreadsheet takes another character for the end of a cell.
        csv.writer(sys.stdout, quoting=csv.QUOTE_NONNUMERIC).writerows(_csv_cells(one) for one in items)
    else:
        print_table(_COLUMNS, (_usage_cells(one) for one in items), "nothing was used in this time")


def _csv_cells(one: UsageView) -> list[object]:
    cells = [getattr(one, name) for name in _CSV]
    return [guarded(cell) if isinstance(cell, str) else cell for cell in cells]


def _usage_cells(one: UsageView) -> list[object]:
    whose = one.endpoint or (f"(removed: {one.endpoint_id})" if one.endpoint_id is not None else "")
    return [one.date, one.network, whose, one.down_messages, one.down_bytes, one.up_messages, one.up_bytes]


@click.group("quota")
def quota_group() -> None:
    """Show what is left of quotas, and what a transfer would cost."""


@quota_group.command("list")
@click.option("--endpoint", help="Only the quotas of this endpoint, with what it used.")
@json_option
@target_options
@errors_shown
def list_quotas(target: Target, endpoint: str | None, as_json: bool) -> None:
    """List quotas: what is used, what requests may still use, and when the next period begins."""
    found = target.ask(ListQuotas(endpoint=endpoint))
    if as_json:
        print_json(found)
        return
    print_table(
        ("quota", "network", "per", "group", "counts", "messages", "bytes", "left", "next period", "at the limit"),
        map(_quota_cells, found.items),
        "no quota is configured",
    )


def _quota_cells(one: QuotaView) -> list[object]:
    each = one.used_messages is None
    return [
        one.name,
        one.network,
        one.per,
        one.group,
        one.counts,
        _of(one.used_messages, one.messages),
        _of(one.used_bytes, one.bytes),
        "see --endpoint" if each else _left(one.left_messages, one.left_bytes),
        moment(one.ends_at),
        one.at_limit,
    ]


@quota_group.command("estimate")
@click.argument("endpoint")
@click.argument("content", metavar="BYTES", type=click.IntRange(1, 1 << 40))
@json_option
@target_options
@errors_shown
def estimate(target: Target, endpoint: str, content: int, as_json: bool) -> None:
    """Estimate what sending BYTES of content to ENDPOINT would cost, such as a firmware image."""
    found = target.ask(EstimateTransfer(endpoint=endpoint, content=content))
    if as_json:
        print_json(found)
        return
    click.echo(
        f"at least {found.down_messages} messages ({found.down_bytes} bytes) to the device and {found.up_messages} "
        f"({found.up_bytes} bytes) from it, in blocks of {found.block} bytes"
    )
    for one in found.quotas:
        click.echo(_sentence(one))


def _sentence(one: QuotaVerdict) -> str:
    parts = [
        f"{needed} of the {left} {unit} left"
        for needed, left, unit in (
            (one.needs_messages, one.left_messages, "messages"),
            (one.needs_bytes, one.left_bytes, "bytes"),
        )
        if left is not None
    ]
    text = f"quota {one.quota}: it takes {' and '.join(parts)} until {moment(one.ends_at)}"
    if one.periods is None:
        return f"{text}; it never fits"
    return text if one.fits else f"{text}; it lasts {one.periods} periods"


def _of(used: int | None, limit: int | None) -> str:
    if limit is None:
        return ""
    return f"{limit}" if used is None else f"{used} of {limit}"


def _left(messages: int | None, size: int | None) -> str:
    return ", ".join(f"{left} {unit}" for left, unit in ((messages, "messages"), (size, "bytes")) if left is not None)
